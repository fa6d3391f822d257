package openapi_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/gateway/internal/openapi"
)

var update = flag.Bool("update", false, "write the document instead of comparing it")

const (
	swaggerFile = "../../../../proto/gen/filigree.swagger.json"
	docFile     = "../../openapi.json"
)

func TestTheCommittedDocumentBelongsToTheProtosAsTheyStand(t *testing.T) {
	swagger, err := os.ReadFile(swaggerFile)
	if err != nil {
		t.Fatal(err)
	}
	got, err := openapi.Convert(swagger)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		err = os.WriteFile(docFile, got, 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	diff := cmp.Diff(string(want), string(got))
	if diff != "" {
		t.Errorf("openapi.json is not what the protos give: run `make gen` and commit what it writes (-committed +made):\n%s", diff)
	}
}

// What clients are generated from has names that people would give, and says of each answer's field whether it may be null.
func TestSchemasAreAsClientsKnowThem(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	plain := regexp.MustCompile(`^[A-Z][A-Za-z]*$`)
	for name := range doc.Components.Schemas {
		if !plain.MatchString(name) || strings.Contains(name, "Service") {
			t.Errorf("a schema is called %s: give it a name in `named`", name)
		}
	}
	for schema, fields := range map[string]map[string]bool{
		"Distribution": {"late_by": true, "ended_at": true, "definition": true, "title": false},
		"Function":     {"oldest": true, "ready": false},
		"Resource":     {"idle_timeout": true, "blocked_until": true, "limit": true, "kind": false},
	} {
		for field, want := range fields {
			got := doc.Components.Schemas[schema].Value.Properties[field].Value.Nullable
			if got != want {
				t.Errorf("%s.%s may be null: %t, want %t", schema, field, got, want)
			}
		}
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	swagger, err := os.ReadFile(swaggerFile)
	if err != nil {
		t.Fatal(err)
	}
	first, err := openapi.Convert(swagger)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		again, err := openapi.Convert(swagger)
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(first) {
			t.Fatal("two conversions of one document differ")
		}
	}
}

func TestInputThatCannotBeConvertedIsRefused(t *testing.T) {
	for name, input := range map[string]string{
		"no JSON":                      `swagger`,
		"no schema of errors":          `{"swagger":"2.0","paths":{},"definitions":{}}`,
		"two schemas of one name":      `{"swagger":"2.0","paths":{},"definitions":{"v1Thing":{},"Thing":{}}}`,
		"no path to add the upload to": `{"swagger":"2.0","paths":{},"definitions":{"v1Error":{"type":"object"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := openapi.Convert([]byte(input))
			if err == nil {
				t.Errorf("got a document, want an error: %s", strings.TrimSpace(string(doc)))
			}
		})
	}
}
