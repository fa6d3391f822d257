package main

import (
	"os"
	"strings"
	"testing"
)

func TestGeneratedCodeMatchesItsSources(t *testing.T) {
	got, err := Sums("..")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../gen/SUMS")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, "gen/") || !strings.Contains(got, "filigree/task/v1/task.proto") {
		t.Fatal("no sources or no generated files were found")
	}
	if got != string(want) {
		t.Error("proto/gen does not belong to proto/filigree as it stands: run `make gen` and commit what it writes")
	}
}
