package openapi_test

import (
	"flag"
	"os"
	"strings"
	"testing"

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
