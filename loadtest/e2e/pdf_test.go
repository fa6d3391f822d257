package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tool runs a reader of PDFs and returns what it says.
func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %.300s", name, err, out)
	}
	return string(out), nil
}

// structure has qpdf check a document: its pages, and whether qpdf has warnings. ok is false when it cannot be opened
// with this password.
func structure(t *testing.T, path, password string) (pages int, warned, ok bool) {
	t.Helper()
	_, err := tool(t, "qpdf", "--password="+password, "--check", path)
	warned = warning(err)
	if err != nil && !warned {
		return 0, false, false
	}
	out, err := tool(t, "qpdf", "--warning-exit-0", "--no-warn", "--password="+password, "--show-npages", path)
	if err != nil {
		return 0, warned, false
	}
	pages, err = strconv.Atoi(strings.TrimSpace(out))
	return pages, warned, err == nil
}

// warning reports whether qpdf opened a document and found something odd about it.
func warning(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == 3
}

// mutoolPages has mutool open a document and returns its pages; 0 when it does not.
func mutoolPages(t *testing.T, path, password string) int {
	t.Helper()
	args := []string{"show"}
	if password != "" {
		args = append(args, "-p", password)
	}
	out, err := tool(t, "mutool", append(args, path, "trailer/Root/Pages/Count")...)
	if err != nil {
		return 0
	}
	fields := strings.Fields(out) // warnings come before the answer
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		return 0
	}
	return n
}

// raster is a rendered page, one byte of grey a pixel.
type raster struct {
	width, height int
	pixels        []byte
}

// render has poppler draw all pages, small; further arguments go to pdftoppm, and outweigh ours.
func render(t *testing.T, path string, args ...string) ([]raster, error) {
	t.Helper()
	dir := t.TempDir()
	_, err := tool(t, "pdftoppm", slices.Concat([]string{"-gray", "-scale-to", "200"}, args, []string{path, filepath.Join(dir, "page")})...)
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "page-*.pgm")) // sorted; numbers have leading zeros
	if err != nil {
		return nil, err
	}
	var list []raster
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var r raster
		var depth int
		_, err = fmt.Sscanf(string(data[:min(len(data), 40)]), "P5\n%d %d\n%d", &r.width, &r.height, &depth)
		if err != nil || len(data) < r.width*r.height {
			return nil, fmt.Errorf("%s is no picture: %w", name, err)
		}
		r.pixels = data[len(data)-r.width*r.height:]
		list = append(list, r)
	}
	return list, nil
}

// visible is how much of a page must differ for a mark to be seen: the thinnest name across a page covers more.
const visible = 0.004

// changed is the share of pixels that differ by more than how a renderer rounds.
func changed(a, b raster) float64 {
	if a.width != b.width || a.height != b.height || len(a.pixels) == 0 {
		return 1
	}
	n := 0
	for i := range a.pixels {
		d := int(a.pixels[i]) - int(b.pixels[i])
		if d > 4 || d < -4 {
			n++
		}
	}
	return float64(n) / float64(len(a.pixels))
}

var documentEnd = regexp.MustCompile(`startxref\s+\d+\s+%%EOF`)

// revisions finds fault with a document that is not one revision: an update appended to the source would leave the
// clean pages inside.
func revisions(data []byte) error {
	if n := bytes.Count(data, []byte("startxref")); n != 1 {
		return fmt.Errorf("startxref stands %d times, want once", n)
	}
	// PostScript in a font or a character map may end in %%EOF, too.
	if n := len(documentEnd.FindAll(data, -1)); n != 1 {
		return fmt.Errorf("startxref, a number and %%%%EOF stand %d times, want once", n)
	}
	// The trailer, or the cross-reference stream's dictionary, is behind the last object or table.
	at, err := strconv.Atoi(strings.TrimSpace(string(bytes.TrimSuffix(bytes.TrimSpace(data[bytes.Index(data, []byte("startxref"))+9:]), []byte("%%EOF")))))
	if err != nil || at <= 0 || at >= len(data) {
		return fmt.Errorf("startxref points nowhere: %w", err)
	}
	head := data[at:]
	dict := head[:min(len(head), 4096)]
	if i := bytes.Index(head, []byte("trailer")); bytes.HasPrefix(head, []byte("xref")) && i > 0 {
		dict = head[i:]
	} else if i := bytes.Index(head, []byte("stream")); i > 0 {
		dict = head[:i]
	}
	if bytes.Contains(dict, []byte("/Prev")) {
		return errors.New("the cross-reference table names a previous revision")
	}
	return nil
}

func TestRevisionsBite(t *testing.T) {
	t.Parallel()
	one := "%PDF-1.7\n1 0 obj<</Prev 2>>endobj\nxref\n0 0\ntrailer<</Size 1>>\nstartxref\n34\n%%EOF\n"
	err := revisions([]byte(one))
	if err != nil {
		t.Errorf("one revision: got %v, want no fault", err)
	}
	for name, text := range map[string]string{
		"an appended update":       one + "xref\n0 0\ntrailer<</Prev 34>>\nstartxref\n90\n%%EOF\n",
		"a table with a previous":  strings.Replace(one, "/Size 1", "/Size 1/Prev 9", 1),
		"a stream with a previous": strings.Replace(one, "xref\n0 0\ntrailer<</Size 1>>", "3 0 obj<</Type/XRef/Prev 9>>stream", 1),
		"no table at all":          strings.Replace(one, "34", "0", 1),
	} {
		if revisions([]byte(text)) == nil {
			t.Errorf("%s: got no fault", name)
		}
	}
}
