package watermark_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image"
	"image/png"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/need"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/watermark"
)

const production = "heist"

type bench struct {
	server *watermark.Server
	blobs  *blob.Bucket
	keys   *keyring.Ring
}

func newBench(t *testing.T) bench {
	t.Helper()
	blobs, err := blob.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	b := bench{blobs: blobs, keys: newKeys(t)}
	b.server, err = watermark.New(watermark.DefaultConfig(), watermark.Deps{Blobs: blobs, Keys: b.keys, Log: slog.New(slog.DiscardHandler)})
	need.Working(t, "copies", err)
	return b
}

// upload stores data as directory does.
func (b bench) upload(t *testing.T, data []byte) *watermarkv1.File {
	t.Helper()
	sum := sha256.Sum256(data)
	f := &watermarkv1.File{Sha256: hex.EncodeToString(sum[:]), Name: "script.pdf"}
	_, _, err := b.blobs.Create(t.Context(), "src/"+production+"/"+f.GetSha256(), "application/pdf", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fetch returns the stored bytes of an artifact after checking what is said of them.
func (b bench) fetch(t *testing.T, a *watermarkv1.Artifact) []byte {
	t.Helper()
	r, err := b.blobs.Read(t.Context(), a.GetKey())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if int64(len(data)) != a.GetSize() || hex.EncodeToString(sum[:]) != a.GetSha256() {
		t.Errorf("%s has %d bytes with digest %x, announced were %d and %s", a.GetKey(), len(data), sum, a.GetSize(), a.GetSha256())
	}
	return data
}

func TestPrepareSaysWhatCopiesWillBeLike(t *testing.T) {
	b := newBench(t)
	s := pages(3, "/OpenAction<</S/JavaScript/JS(x)>>", "")
	s.objects[4] = strings.Replace(s.objects[4], "/MediaBox[0 0 612 792]", "/MediaBox[0 0 600 800]/CropBox[10 20 610 700]/Rotate 270/UserUnit 2", 1)
	got, err := b.server.Prepare(t.Context(), &watermarkv1.PrepareRequest{Production: production, File: b.upload(t, s.bytes())})
	if err != nil {
		t.Fatal(err)
	}
	want := &watermarkv1.PrepareResponse{
		Pages: 3, Notes: []string{"scripts are left out"}, MediaType: "application/pdf",
		Placement: &watermarkv1.Placement{Runs: []*watermarkv1.PageRun{
			{Count: 1, Box: []float64{10, 20, 600, 700}, Rotate: 270, UserUnit: 2},
			{Count: 2, Box: []float64{0, 0, 612, 792}, UserUnit: 1},
		}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestStampStoresACopyOnce(t *testing.T) {
	b := newBench(t)
	req := &watermarkv1.StampRequest{
		Production: production, File: b.upload(t, pages(2, "", "").bytes()), Fields: somebody, Item: "item-1", Revision: 1,
		Mark:     &watermarkv1.Mark{Template: "{name} {date}\nfor {email}"},
		Password: &watermarkv1.PasswordId{Recipient: "r1", Generation: 1, Key: 1},
	}
	first, err := b.server.Stamp(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	a := first.GetArtifact()
	if a.GetPages() != 2 || a.GetMediaType() != "application/pdf" || a.GetEngine() != watermark.Engine {
		t.Errorf("artifact %v", a)
	}
	data := b.fetch(t, a)
	second, err := b.server.Stamp(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second, protocmp.Transform()); diff != "" {
		t.Errorf("a repeat differs (-first +second)\n%s", diff)
	}
	needTools(t)
	password, err := b.keys.PasswordFor(1, production, "r1", 1)
	if err != nil {
		t.Fatal(err)
	}
	said, err := tool(t, "qpdf", "--check", "--password="+password, write(t, data))
	if err != nil {
		t.Errorf("the recipient's password does not open it: %v %s", err, said)
	}
}

// Whatever a copy depends on is part of its name, so that no two requests share one by mistake.
func TestEveryPartOfARequestCounts(t *testing.T) {
	b := newBench(t)
	file := b.upload(t, pages(1, "", "").bytes())
	other := b.upload(t, pages(2, "", "").bytes())
	b.in(t, "other", pages(1, "", "").bytes())
	base := &watermarkv1.StampRequest{Production: production, File: file, Fields: map[string]string{"name": "A", "email": "b"}, Item: "i", Revision: 1}
	seen := map[string]string{}
	for name, change := range map[string]func(*watermarkv1.StampRequest){
		"nothing":    func(*watermarkv1.StampRequest) {},
		"file":       func(r *watermarkv1.StampRequest) { r.File = other },
		"mark":       func(r *watermarkv1.StampRequest) { r.Mark = &watermarkv1.Mark{Template: "{name}"} },
		"field":      func(r *watermarkv1.StampRequest) { r.Fields["name"] = "B" },
		"fields":     func(r *watermarkv1.StampRequest) { r.Fields = map[string]string{"name": "Ab", "email": ""} },
		"item":       func(r *watermarkv1.StampRequest) { r.Item = "j" },
		"revision":   func(r *watermarkv1.StampRequest) { r.Revision = 2 },
		"password":   func(r *watermarkv1.StampRequest) { r.Password = &watermarkv1.PasswordId{Recipient: "r", Generation: 1} },
		"production": func(r *watermarkv1.StampRequest) { r.Production = "other" },
		"e-mail":     func(r *watermarkv1.StampRequest) { r.Fields["email"] = "c" },
		"layout":     func(r *watermarkv1.StampRequest) { r.Mark = &watermarkv1.Mark{Layout: "tiled"} },
		"color":      func(r *watermarkv1.StampRequest) { r.Mark = &watermarkv1.Mark{Color: "#336699"} },
		"opacity":    func(r *watermarkv1.StampRequest) { r.Mark = &watermarkv1.Mark{Opacity: 30} },
		"size":       func(r *watermarkv1.StampRequest) { r.Mark = &watermarkv1.Mark{Size: 20} },
		"pages":      func(r *watermarkv1.StampRequest) { r.Mark = &watermarkv1.Mark{Pages: "2"} },
		"recipient":  func(r *watermarkv1.StampRequest) { r.Password = &watermarkv1.PasswordId{Recipient: "s", Generation: 1} },
		"generation": func(r *watermarkv1.StampRequest) { r.Password = &watermarkv1.PasswordId{Recipient: "r", Generation: 2} },
	} {
		req, ok := proto.Clone(base).(*watermarkv1.StampRequest)
		if !ok {
			t.Fatal("no clone")
		}
		change(req)
		resp, err := b.server.Stamp(t.Context(), req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		data := b.fetch(t, resp.GetArtifact())
		for _, id := range []string{resp.GetArtifact().GetKey(), string(data)} {
			if seen[id] != "" {
				t.Errorf("%q and %q give the same copy", name, seen[id])
			}
			seen[id] = name
		}
	}
}

func TestStampRefusesForGood(t *testing.T) {
	b := newBench(t)
	file := b.upload(t, pages(1, "", "").bytes())
	for _, c := range []struct {
		name, reason, says string
		change             func(*watermarkv1.StampRequest)
	}{
		{"a field nobody has", "MARK_FIELD_UNKNOWN", "{agent}", func(r *watermarkv1.StampRequest) { r.Mark = &watermarkv1.Mark{Template: "{agent}"} }},
		{"a letter that cannot be drawn", "MARK_GLYPH_MISSING", "U+1F600", func(r *watermarkv1.StampRequest) { r.Fields["name"] = "Zoë 😀" }},
		{"a mark without text", "MARK_EMPTY", "empty", func(r *watermarkv1.StampRequest) { r.Fields = nil }},
		{"a file that is gone", "FILE_MISSING", "script.pdf", func(r *watermarkv1.StampRequest) {
			r.File = &watermarkv1.File{Sha256: strings.Repeat("0", 64), Name: "script.pdf"}
		}},
		{"another production's file", "FILE_MISSING", "script.pdf", func(r *watermarkv1.StampRequest) { r.Production = "other" }},
		{"a key nobody has", "KEY_UNKNOWN", "7", func(r *watermarkv1.StampRequest) {
			r.Password = &watermarkv1.PasswordId{Recipient: "r", Generation: 1, Key: 7}
		}},
		{"a text file", "PDF_NOT_A_PDF", "not a PDF", func(r *watermarkv1.StampRequest) { r.File = b.upload(t, []byte("hello")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := &watermarkv1.StampRequest{
				Production: production, File: file, Item: "i", Revision: 1, Fields: map[string]string{"name": "A", "email": "b"},
			}
			c.change(req)
			_, err := b.server.Stamp(t.Context(), req)
			wantFault(t, err, c.reason)
			var f *fault.Error
			if errors.As(err, &f) && !strings.Contains(f.Message, c.says) {
				t.Errorf("%q does not say %q", f.Message, c.says)
			}
		})
	}
}

// A name or an address that the mark does not show is sealed in the copy, and counts as well.
func TestWhoseCopyItIsCounts(t *testing.T) {
	b := newBench(t)
	req := &watermarkv1.StampRequest{Production: production, File: b.upload(t, pages(1, "", "").bytes()), Item: "i", Mark: &watermarkv1.Mark{Template: "Confidential"}}
	seen := map[string]bool{}
	for _, fields := range []map[string]string{nil, {"name": "A"}, {"email": "A"}, {"name": "A", "email": "b"}, {"name": "Ab"}} {
		req.Fields = fields
		resp, err := b.server.Stamp(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		data := string(b.fetch(t, resp.GetArtifact()))
		if seen[data] {
			t.Errorf("%v gets somebody else's copy", fields)
		}
		seen[data] = true
	}
}

// Pictures go the way of documents.
func TestPicturesAreServed(t *testing.T) {
	b := newBench(t)
	one, two := b.replica(t), b.replica(t)
	var data bytes.Buffer
	err := png.Encode(&data, image.NewGray(image.Rect(0, 0, 400, 300)))
	if err != nil {
		t.Fatal(err)
	}
	f := b.upload(t, data.Bytes())
	prepared, err := one.Prepare(t.Context(), &watermarkv1.PrepareRequest{Production: production, File: f})
	if err != nil || prepared.GetPages() != 1 || prepared.GetMediaType() != "image/png" || len(prepared.GetPlacement().GetRuns()) != 1 {
		t.Fatalf("%v, %v", prepared, err)
	}
	a := stamped(t, one, order(f, "i"))
	first := b.fetch(t, a)
	img, err := png.Decode(bytes.NewReader(first))
	if err != nil || img.Bounds().Dx() != 400 || a.GetMediaType() != "image/png" || a.GetPages() != 1 {
		t.Errorf("%v, %v", a, err)
	}
	b.drop(t, a.GetKey())
	again := stamped(t, two, order(f, "i"))
	if !proto.Equal(a, again) || !bytes.Equal(first, b.fetch(t, again)) || two.reads() != 0 {
		t.Errorf("the second replica made %v after reading the source %d times, the first made %v", again, two.reads(), a)
	}
	if bytes.Equal(first, b.fetch(t, stamped(t, two, order(f, "j")))) {
		t.Error("two items' copies are the same")
	}
	req := order(f, "i")
	req.Password = &watermarkv1.PasswordId{Recipient: "r", Generation: 1}
	_, err = one.Stamp(t.Context(), req)
	wantFault(t, err, "PASSWORD_UNSUPPORTED")

	good := b.read(t, templateKey(f))
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	b.put(t, templateKey(f), bad)
	r := b.replica(t)
	stamped(t, r, order(f, "i"))
	if r.reads() != 1 || !bytes.Equal(good, b.read(t, templateKey(f))) {
		t.Error("a damaged template was not made anew")
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	b := newBench(t)
	cfg := watermark.DefaultConfig()
	cfg.TempDir = t.TempDir()
	server, err := watermark.New(cfg, watermark.Deps{Blobs: b.blobs, Keys: b.keys, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{pages(1, "", "").bytes(), []byte("%PDF-1.4 broken")} {
		_, err = server.Stamp(t.Context(), &watermarkv1.StampRequest{Production: production, File: b.upload(t, data), Fields: somebody, Item: "i"})
		t.Log(err)
	}
	left, err := os.ReadDir(cfg.TempDir)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

func TestHealth(t *testing.T) {
	err := newBench(t).server.Health(t.Context())
	if err != nil {
		t.Error(err)
	}
}

// The defaults stand in the flags, for people, and in DefaultConfig, for programs.
func TestFlagsAndDefaultsAgree(t *testing.T) {
	var fromFlags watermark.Config
	parser, err := kong.New(&fromFlags)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromFlags, watermark.DefaultConfig()); diff != "" {
		t.Errorf("(-flags +DefaultConfig)\n%s", diff)
	}
}

func TestConfigIsCheckedAsAWhole(t *testing.T) {
	err := watermark.DefaultConfig().Validate()
	if err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	err = watermark.Config{Parallel: -1, TempDir: filepath.Join(t.TempDir(), "none")}.Validate()
	if err == nil {
		t.Fatal("nonsense is accepted")
	}
	for _, field := range []string{"max-pages", "max-objects", "max-content", "memory", "cpu", "parallel", "temp-dir"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q does not mention %s", err, field)
		}
	}
}
