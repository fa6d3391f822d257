package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each place that is to be broken is there, once, and so is the test that is to notice: make broken, which takes long,
// still breaks what it says.
func TestDefectsAreWhereTheyAre(t *testing.T) {
	root := "../../.."
	for _, d := range defects {
		_, err := d.broken(root)
		if err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		files, err := filepath.Glob(filepath.Join(root, d.pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found = found || regexp.MustCompile(`(?m)^func `+d.test+`\(t `).Match(text)
		}
		if !found {
			t.Errorf("%s: there is no %s in %s", d.name, d.test, d.pkg)
		}
	}
	if !chosen(defects[0], nil) || chosen(defects[0], []string{"no such word"}) || !chosen(defects[0], strings.Fields("nothing cancel")) {
		t.Error("defects are not chosen by words")
	}
}
