package console_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/services/console"
)

// bundleMax bounds what a browser loads for all pages together but the reader, compressed, in bytes.
const bundleMax = 300 << 10

func TestBundleIsSmall(t *testing.T) {
	total := 0
	err := fs.WalkDir(console.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch path.Ext(name) {
		case ".js", ".css", ".html", ".svg":
		default: // fonts are fetched for the scripts that a page shows, and compressed by themselves
			return nil
		}
		data, err := fs.ReadFile(console.Files(), name)
		if err != nil {
			return err
		}
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := io.Copy(w, bytes.NewReader(data)); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		total += packed.Len()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d KiB compressed", total>>10)
	if total == 0 || total > bundleMax {
		t.Errorf("the console is %d bytes compressed; it is to be more than none and at most %d", total, bundleMax)
	}
}

// TestNothingIsLoadedFromElsewhere reads what index.html and the style sheets refer to.
func TestNothingIsLoadedFromElsewhere(t *testing.T) {
	elsewhere := regexp.MustCompile(`(?:src|href)="(?:https?:)?//|url\(["']?(?:https?:)?//|@import ["'](?:https?:)?//`)
	seen := 0
	err := fs.WalkDir(console.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".html") && !strings.HasSuffix(name, ".css") {
			return err
		}
		seen++
		data, err := fs.ReadFile(console.Files(), name)
		if found := elsewhere.Find(data); found != nil {
			t.Errorf("%s loads something from elsewhere: %s", name, found)
		}
		return err
	})
	if err != nil || seen < 2 {
		t.Errorf("%d pages and style sheets read, %v", seen, err)
	}
}
