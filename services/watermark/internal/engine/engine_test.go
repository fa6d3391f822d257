package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark/internal/compile"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

const onePage = "%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Count 1/Kids[3 0 R]>>\nendobj\n" +
	"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 400]/Rotate 90>>\nendobj\ntrailer\n<</Root 1 0 R/Size 4>>\n%%EOF\n"

func newEngine(t *testing.T, dir string) *engine.Engine {
	t.Helper()
	err := sandbox.Check(t.Context())
	need.Working(t, "sandbox", err)
	return engine.New(engine.Config{
		Limits: compile.Limits{Pages: 10, Objects: 1000, Content: 1 << 20}, TempDir: dir, Parallel: 1,
	}, slog.New(slog.DiscardHandler))
}

func source(t *testing.T, data string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source")
	err := os.WriteFile(path, []byte(data), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // only read
	return f
}

func TestCompileTellsWhatASourceIs(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	src := source(t, onePage)
	var made [][]byte
	for range 2 { // wherever the file was read to
		raw, err := e.Compile(t.Context(), src, false)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, raw)
		_, err = src.Seek(0, io.SeekEnd)
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("two templates of one source differ")
	}
	tpl, err := engine.Open(made[0])
	if err != nil {
		t.Fatal(err)
	}
	run := tpl.Runs()[0]
	if tpl.Pages() != 1 || tpl.MediaType() != "application/pdf" || tpl.Engine() != engine.Version || !tpl.Lockable() || tpl.Size() <= 0 ||
		run.Page.Box != [4]float64{0, 0, 300, 400} || run.Page.Rotate != 90 {
		t.Errorf("it is said to be %d pages of %s, the first %+v", tpl.Pages(), tpl.MediaType(), run)
	}
	for _, c := range []struct{ data, reason string }{
		{"", "FILE_EMPTY"},
		{"Dear all,", "PDF_NOT_A_PDF"},
		{"%PDF-1.4\nnothing", "PDF_BROKEN"},
		{"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00", "IMAGE_UNSUPPORTED"},
		{"\x89PNG\r\n\x1a\nnothing", "IMAGE_BROKEN"},
		{"\xff\xd8\xff\xe0nothing", "IMAGE_BROKEN"},
	} {
		_, err := e.Compile(t.Context(), source(t, c.data), true)
		var refusal *compile.Error
		if !errors.As(err, &refusal) || refusal.Reason != c.reason {
			t.Errorf("%.12q: got %v, want %s", c.data, err, c.reason)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestCompileWantsAFolderForItsFiles(t *testing.T) {
	e := newEngine(t, filepath.Join(t.TempDir(), "none"))
	for _, data := range []string{onePage, "%PDF-1.4\nnothing"} {
		_, err := e.Compile(t.Context(), source(t, data), false)
		if !errors.Is(err, engine.ErrDisk) {
			t.Errorf("got %v, want ErrDisk", err)
		}
	}
}

func TestCompileEndsWithItsContext(t *testing.T) {
	e := newEngine(t, t.TempDir())
	reason := errors.New("the reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	_, err := e.Compile(ctx, source(t, "%PDF-1.4\nnothing"), false)
	if !errors.Is(err, reason) {
		t.Errorf("got %v, want what the context ended with", err)
	}
}

func TestOpenRefusesWhatIsNoTemplate(t *testing.T) {
	e := newEngine(t, t.TempDir())
	raw, err := e.Compile(t.Context(), source(t, onePage), false)
	if err != nil {
		t.Fatal(err)
	}
	for at := range raw {
		damaged := bytes.Clone(raw)
		damaged[at] ^= 0x10
		for _, data := range [][]byte{damaged, raw[:at]} {
			_, err := engine.Open(data)
			if !errors.Is(err, template.ErrDamaged) {
				t.Fatalf("damaged at byte %d of %d: %v, want ErrDamaged", at, len(raw), err)
			}
		}
	}
}

// writerFunc is a copy that is written by a function.
type writerFunc func(io.Writer) (int64, error)

func (f writerFunc) WriteTo(w io.Writer) (int64, error) { return f(w) }

func TestReaderGivesWhatIsWritten(t *testing.T) {
	broken := errors.New("broken")
	for _, want := range []error{nil, broken} {
		got, err := io.ReadAll(engine.Reader(writerFunc(func(w io.Writer) (int64, error) {
			n, err := io.WriteString(w, "a copy")
			return int64(n), errors.Join(err, want)
		})))
		if string(got) != "a copy" || !errors.Is(err, want) {
			t.Errorf("read %q, %v; want a copy, %v", got, err, want)
		}
	}
}

func TestClosingAReaderEndsTheWriting(t *testing.T) {
	for _, read := range []int{0, 1, 5000} {
		ended := make(chan error, 1)
		r := engine.Reader(writerFunc(func(w io.Writer) (int64, error) {
			for {
				_, err := w.Write(make([]byte, 1000))
				if err != nil {
					ended <- err
					return 0, err
				}
			}
		}))
		_, err := io.ReadFull(r, make([]byte, read))
		if err != nil {
			t.Fatal(err)
		}
		err = r.Close()
		if err != nil {
			t.Fatal(err)
		}
		err = <-ended // or the test ends by its time limit
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the writer got %v", err)
		}
	}
}
