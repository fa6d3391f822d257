package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// What the server answers is what its OpenAPI document says: real answers to real requests, good and bad, are held
// against it.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	s := installation(t)
	docs, _ := sampleDocuments(t)
	_, id := order(t, s.api("coordinator"), docs[1:2], &distributionv1.CreateDistributionRequest{Recipients: crowd(2)})
	d := s.api("coordinator").ended(t, id, time.Minute)
	raw, err := http.Get(s.url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Body.Close()
	text, err := io.ReadAll(raw.Body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	err = doc.Validate(t.Context())
	if err != nil {
		t.Fatalf("the document is not valid: %v", err)
	}
	doc.Servers = openapi3.Servers{{URL: s.url}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	const production = "/v1/productions/default"
	distribution := production + "/distributions/" + id
	file := d.GetFiles()[0].GetSha256()
	for _, call := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/productions", "", 200},
		{"GET", production, "", 200},
		{"GET", "/v1/productions/nowhere", "", 404},
		{"POST", "/v1/productions", `{"id":"openapi-1","name":"Another"}`, 200},
		{"POST", "/v1/tokens", `{"role":"coordinator","productions":["default"]}`, 200},
		{"GET", production + "/files", "", 200},
		{"GET", production + "/files/" + file, "", 200},
		{"GET", production + "/files/" + strings.Repeat("0", 64), "", 404},
		{"GET", production + "/distributions?page_size=1", "", 200},
		{"POST", production + "/distributions", `{"files":[],"recipients":[],"idempotency_key":"x"}`, 400},
		{"GET", distribution, "", 200},
		{"GET", distribution + "/items", "", 200},
		{"GET", distribution + "/recipients", "", 200},
		{"GET", distribution + "/events?page_size=3", "", 200},
		{"POST", distribution + ":cancel", `{}`, 409},
		{"POST", distribution + ":retry", `{}`, 409},
		{"POST", distribution + "/recipients/" + id + ".r1:resend", `{}`, 200},
		{"POST", distribution + ":revoke", `{}`, 200},
		{"POST", production + "/recipients/" + id + ".r1:revealPassword", `{}`, 200},
		{"POST", production + "/devices", `{"email":"a@example.com","platform":"fcm","token":"t"}`, 200},
		{"GET", production + "/devices?email=a@example.com", "", 200},
		{"GET", "/v1/definitions", "", 200},
		{"GET", "/v1/definitions/send-documents", "", 200},
		{"GET", "/v1/definitions/send-documents/graph?format=dot", "", 200},
		{"GET", "/v1/definitions/none", "", 404},
		{"POST", "/v1/definitions", `{"source":"steps: ["}`, 400},
		{"GET", production + "/rollouts", "", 200},
		{"GET", distribution + "/graph", "", 200},
		{"POST", distribution + ":pause", `{}`, 409},
		{"GET", "/v1/functions", "", 200},
		{"GET", "/v1/pauses", "", 200},
		{"POST", "/v1/functions/nobody.Knows:pause", `{}`, 404},
		{"PUT", production + "/limits/openapi", `{"limit":{"name":"openapi","concurrency":3}}`, 200},
		{"GET", production + "/limits", "", 200},
		{"DELETE", production + "/limits/openapi", "", 200},
		{"PUT", "/v1/studio/resources/openapi", `{"resource":{"limit":{"name":"openapi"},"kind":"smtp"}}`, 200},
		{"GET", "/v1/studio/resources", "", 200},
		{"POST", "/v1/studio/resources/openapi:reset", `{}`, 200},
		{"DELETE", "/v1/studio/resources/openapi", "", 200},
		{"GET", production + "/schedules", "", 200},
		{"PUT", production + "/hooks/openapi", `{"hook":{"start":{}}}`, 200},
		{"GET", production + "/hooks", "", 200},
		{"DELETE", production + "/hooks/openapi", "", 200},
		{"POST", production + "/batches", `{"operation":"resume","filter":{"title":"nothing is called that"},"idempotency_key":"openapi"}`, 200},
		{"GET", production + "/batches", "", 200},
		{"GET", production + "/batches/none", "", 404},
		{"GET", "/v1/top", "", 200},
		{"GET", "/v1/overview", "", 200},
		{"GET", "/v1/overview?production=nowhere-at-all", "", 200},
		{"PUT", production + "/runs/openapi", `{"name":"import","state":"running","total":"3","labels":{"host":"nas"}}`, 200},
		{"PUT", production + "/runs/openapi", `{"name":"import","state":"failed","error":{"code":"NO","message":"no"}}`, 200},
		{"PUT", production + "/runs/openapi", `{"name":"import","state":"running"}`, 409},
		{"PUT", production + "/runs/openapi-2", `{"name":"import","state":"dreaming"}`, 400},
		{"GET", production + "/runs/openapi", "", 200},
		{"GET", production + "/runs/none", "", 404},
		{"PUT", production + "/credentials/openapi", `{"secret":"hush"}`, 200},
		{"GET", production + "/credentials", "", 200},
		{"DELETE", production + "/credentials/openapi", "", 200},
	} {
		r, err := http.NewRequestWithContext(t.Context(), call.method, s.url+call.path, strings.NewReader(call.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.tokens["admin"])
		if call.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		what := call.method + " " + call.path
		route, params, err := router.FindRoute(r)
		if err != nil {
			t.Errorf("%s is not in the document: %v", what, err)
			continue
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // it was read to its end
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != call.status {
			t.Errorf("%s: %d %s, want %d", what, resp.StatusCode, body, call.status)
		}
		if !json.Valid(body) {
			t.Errorf("%s: %s is not JSON", what, body)
		}
		err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route,
				Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}},
			Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
		})
		if err != nil {
			t.Errorf("%s: the answer is not what the document says: %v\n%s", what, err, body)
		}
	}
}
