package watermark_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark"
)

func TestEveryPageShapeIsMarkedWhereItIsSeen(t *testing.T) {
	needTools(t)
	local := newLocal(t)
	gray := func(v string) []byte { return []byte(v + " g -5000 -5000 20000 20000 re f") }
	for _, c := range []struct {
		name, page string
		content    []byte
	}{
		{"letter", "/MediaBox[0 0 612 792]", nil},
		{"turned by 90", "/MediaBox[0 0 612 792]/Rotate 90", nil},
		{"turned by 180", "/MediaBox[0 0 612 792]/Rotate 180", nil},
		{"turned by 270", "/MediaBox[0 0 612 792]/Rotate -90", nil},
		{"origin elsewhere", "/MediaBox[-300 1000 312 1792]", nil},
		{"corners swapped", "/MediaBox[612 792 0 0]", nil},
		{"cropped and turned", "/MediaBox[0 0 1000 1000]/CropBox[600 100 900 500]/Rotate 90", nil},
		{"crop beyond the page", "/MediaBox[0 0 300 300]/CropBox[-100 -100 900 900]", nil},
		{"units of an inch", "/MediaBox[0 0 8.5 11]/UserUnit 72", nil},
		{"poster", "/MediaBox[0 0 14000 9000]", nil},
		{"stamp-sized", "/MediaBox[0 0 40 30]", nil},
		{"strip", "/MediaBox[0 0 2000 60]", nil},
		{"no box", "", nil},
		{"black", "/MediaBox[0 0 612 792]", gray("0")},
		{"middling", "/MediaBox[0 0 612 792]", gray("0.5")},
		{"dark", "/MediaBox[0 0 612 792]", gray("0.3")},
		{"transformed and clipped for ever", "/MediaBox[0 0 612 792]", []byte("q 0 0 0 0 0 0 cm 0 0 1 1 re W n q")},
		{"string left open", "/MediaBox[0 0 612 792]", []byte("BT (abc")},
		{"operator without operands", "/MediaBox[0 0 612 792]", []byte("0 cm")},
		{"state closed too often", "/MediaBox[0 0 612 792]", []byte("Q Q Q .01 0 0 .01 0 0 cm")},
		{"transparency group", "/MediaBox[0 0 612 792]/Group<</S/Transparency/K true/I true/CS/DeviceCMYK>>", gray("1")},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := onePage(c.page, c.content).write(t)
			out := filepath.Join(t.TempDir(), "copy.pdf")
			_, err := stampFile(t.Context(), local, src, out, watermark.Copy{Fields: somebody})
			if err != nil {
				t.Fatal(err)
			}
			judge(t, src, out, 1)
			centred(t, src, out)
		})
	}
}

// centred checks that what the mark changes lies around the middle of what is seen and stays within it.
func centred(t *testing.T, src, out string) {
	t.Helper()
	plain, err := render(t, src)
	if err != nil {
		t.Fatal(err)
	}
	marked, err := render(t, out)
	if err != nil {
		t.Fatal(err)
	}
	if len(plain) != 1 || len(marked) != 1 {
		t.Fatalf("rendered %d and %d pages", len(plain), len(marked))
	}
	a, b := plain[0], marked[0]
	var n, x, y float64
	for i := range a.pixels {
		if a.pixels[i] != b.pixels[i] {
			n++
			x += float64(i % a.width)
			y += float64(i / a.width)
		}
	}
	x, y = x/n/float64(a.width), y/n/float64(a.height)
	if n == 0 || x < 0.3 || x > 0.7 || y < 0.35 || y > 0.65 { // what is woven in lies anywhere
		t.Errorf("the mark's middle is at (%.2f, %.2f) of the page, want it near the middle", x, y)
	}
}

func TestTheSameRequestGivesTheSameBytes(t *testing.T) {
	local := newLocal(t)
	src := pages(5, "", "").write(t)
	for _, password := range []string{"", "correct horse"} {
		var copies [][]byte
		for i := range 3 {
			out := filepath.Join(t.TempDir(), fmt.Sprint(i))
			_, err := stampFile(t.Context(), local, src, out, watermark.Copy{Fields: somebody, Password: password, Item: "1"})
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			copies = append(copies, data)
		}
		if !bytes.Equal(copies[0], copies[1]) || !bytes.Equal(copies[1], copies[2]) {
			t.Errorf("with password %q three copies alike differ", password)
		}
	}
}

func TestAPasswordOpensItsCopyOnly(t *testing.T) {
	needTools(t)
	local := newLocal(t)
	src := pages(3, "/Lang(en)", "/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 10 10]/Contents(a note)>>]").write(t)
	for _, password := range []string{"abcd-efgh-ijkm-npqr", "pässwörd ж", strings.Repeat("x", 32)} {
		out := filepath.Join(t.TempDir(), "copy.pdf")
		_, err := stampFile(t.Context(), local, src, out, watermark.Copy{Fields: somebody, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		said, err := tool(t, "qpdf", "--show-encryption", "--password="+password, out)
		if err != nil || !strings.Contains(said, "R = 6") || !strings.Contains(said, "file encryption method: AESv3") {
			t.Errorf("qpdf --show-encryption: %v\n%s", err, said)
		}
		for _, open := range [][]string{
			{"qpdf", "--check", "--password=%", out},
			{"mutool", "show", "-p", "%", out, "pages/3"},
			{"pdftoppm", "-r", "20", "-upw", "%", out, filepath.Join(t.TempDir(), "p")},
		} {
			for _, try := range []struct {
				password string
				opens    bool
			}{{password, true}, {"", false}, {"abcd-efgh-ijkm-npqs", false}} {
				args := make([]string, len(open))
				for i, a := range open {
					args[i] = strings.ReplaceAll(a, "%", try.password)
				}
				said, err := tool(t, args[0], args[1:]...)
				if (err == nil) != try.opens {
					t.Errorf("%s with %q: opens %t, want %t: %v %s", args[0], try.password, err == nil, try.opens, err, said)
				}
			}
		}
		if password == "abcd-efgh-ijkm-npqr" {
			plain, err := render(t, src)
			if err != nil {
				t.Fatal(err)
			}
			marked, err := render(t, out, "-upw", password)
			if err != nil || len(marked) != 3 {
				t.Fatalf("%d pages: %v", len(marked), err)
			}
			d := difference(plain[2], marked[2])
			if d.changed < visible || d.strongly > ruined {
				t.Errorf("page 3 of the locked copy: %.3f changed, %.3f strongly", d.changed, d.strongly)
			}
		}
	}
}

func TestUnusablePasswordsAreRefused(t *testing.T) {
	local := newLocal(t)
	src := pages(1, "", "").write(t)
	for _, password := range []string{strings.Repeat("x", 128), "a\nb", "a\xff", "a\u202eb"} {
		_, err := stampFile(t.Context(), local, src, filepath.Join(t.TempDir(), "out"), watermark.Copy{Fields: somebody, Password: password})
		wantFault(t, err, "PASSWORD_UNUSABLE")
	}
}

func TestWhatIsActiveOrHiddenDoesNotGetIntoACopy(t *testing.T) {
	needTools(t)
	local := newLocal(t)
	s := pages(2,
		"/OpenAction<</S/JavaScript/JS(canary1)>> /AA<</WC<</S/JavaScript/JS(canary2)>>>> /Metadata 9 0 R /PieceInfo<</X(canary3)>>"+
			"/Names<</JavaScript<</Names[(a)<</S/JavaScript/JS(canary4)>>]>>/EmbeddedFiles<</Names[(canary5)<</Type/Filespec/EF<</F 9 0 R>>>>]>>>>"+
			"/AcroForm<</XFA[(canary6)9 0 R]/Fields[<</FT/Sig/T(s)/V<</Type/Sig/ByteRange[0 1 2 3]/Contents(canary7)>>>>]>>",
		"/AA<</O<</S/URI/URI(canary8)>>>> /Thumb 9 0 R /Metadata 9 0 R /Annots["+
			"<</Subtype/Link/Rect[0 0 9 9]/A<</S/Launch/F(canary9)>>>>"+
			"<</Subtype/Link/Rect[0 0 9 9]/A<</S/GoTo/D[4 0 R]/Next<</S/SubmitForm/F(canary10)>>>>>>"+
			"<</Subtype/FileAttachment/Rect[0 0 9 9]/FS<</EF<</F 9 0 R>>>>>>"+
			"<</Subtype/Link/Rect[0 0 9 9]/A<</S/GoToR/F(canary11)>>>>"+
			"<</Subtype/Link/Rect[0 0 9 9]/A<</S/URI/URI(http://kept.example/)>>>>]")
	s.add("<</Type/Page/MediaBox[0 0 9 9]/X(canary12)>>") // a page that was removed
	if s.stream("", []byte("canary999")) != 9 {
		t.Fatal("the objects above refer to another number")
	}
	src := s.write(t)
	out := filepath.Join(t.TempDir(), "copy.pdf")
	made, err := stampFile(t.Context(), local, src, out, watermark.Copy{Fields: somebody})
	if err != nil {
		t.Fatal(err)
	}
	judge(t, src, out, 2)
	flat, err := tool(t, "qpdf", "--qdf", "--object-streams=disable", out, "-")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"canary", "JavaScript", "Launch", "SubmitForm", "GoToR", "EmbeddedFile", "OpenAction", "/AA", "XFA", "Thumb", "PieceInfo", "Metadata"} {
		if strings.Contains(flat, word) {
			t.Errorf("%q is in the copy", word)
		}
	}
	if !strings.Contains(flat, "http://kept.example/") {
		t.Error("an ordinary link is lost")
	}
	notes := strings.Join(made.Notes, "; ")
	for _, want := range []string{"1 signature loses", "scripts", "attached files", "XFA", "links that start programs"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes %q say nothing of %q", notes, want)
		}
	}
}

func TestBadSourcesGetTheirClearAnswer(t *testing.T) {
	cfg := watermark.DefaultConfig()
	cfg.MaxObjects = 10_000 // a million take a while to write down
	local, err := watermark.NewLocal(cfg, newKeys(t), slog.New(slog.DiscardHandler))
	need.Working(t, "copies", err)
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	var many bytes.Buffer
	crowd := onePage("/MediaBox[0 0 9 9]/Annots[5 0 R]", nil)
	for i := range 20_000 {
		fmt.Fprintf(&many, "%d 0 R ", i+6)
	}
	crowd.add("<</Type/Annot/X[%s]>>", many.String())
	for range 20_000 {
		crowd.objects = append(crowd.objects, "<<>>")
	}
	bomb := onePage("/MediaBox[0 0 9 9]", nil)
	bomb.objects[3] = string(fmt.Appendf(nil, "<</Filter[/FlateDecode/FlateDecode]/Length %d>>\nstream\n%s\nendstream", 0, deflate(deflate(make([]byte, 300<<20)))))
	for _, c := range []struct {
		name, reason string
		data         []byte
	}{
		{"empty", "FILE_EMPTY", nil},
		{"text", "PDF_NOT_A_PDF", []byte("Dear all, the script is attached.")},
		{"header only", "PDF_BROKEN", []byte("%PDF-1.7\n")},
		{"noise", "PDF_BROKEN", append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte("\x93obj\xff<<"), 5000)...)},
		{"no pages", "PDF_NO_PAGES", pages(0, "", "").bytes()},
		{"too many pages", "PDF_TOO_MANY_PAGES", pages(5001, "", "").bytes()}, // found before its objects
		{"protected", "PDF_ENCRYPTED", encrypted(t)},
		{"nested beyond measure", "", onePage("/MediaBox[0 0 9 9]/Annots "+deep, nil).bytes()},
		{"more objects than are taken", "PDF_TOO_COMPLEX", crowd.bytes()},
		{"decompression bomb", "PDF_TOO_COMPLEX", bomb.bytes()},
	} {
		t.Run(c.name, func(t *testing.T) {
			made, err := stampFile(t.Context(), local, write(t, c.data), filepath.Join(t.TempDir(), "out"), watermark.Copy{Fields: somebody})
			if c.reason == "" {
				t.Logf("%+v %v", made, err)
				if err == nil {
					return // it may be taken, without what is too deep
				}
				c.reason = "PDF_TOO_COMPLEX"
				if strings.Contains(err.Error(), "PDF_BROKEN") {
					c.reason = "PDF_BROKEN"
				}
			}
			wantFault(t, err, c.reason)
		})
	}
}

func encrypted(t *testing.T) []byte {
	t.Helper()
	local := newLocal(t)
	out := filepath.Join(t.TempDir(), "locked.pdf")
	_, err := stampFile(t.Context(), local, pages(1, "", "").write(t), out, watermark.Copy{Fields: somebody, Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRestrictedSourcesAreTakenWhenAllowed(t *testing.T) {
	needTools(t)
	dir := t.TempDir()
	src, restricted := pages(2, "", "").write(t), filepath.Join(dir, "restricted.pdf")
	_, err := tool(t, "qpdf", "--encrypt", "", "owner", "256", "--print=none", "--", src, restricted)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stampFile(t.Context(), newLocal(t), restricted, filepath.Join(dir, "a"), watermark.Copy{Fields: somebody})
	wantFault(t, err, "PDF_ENCRYPTED")

	cfg := watermark.DefaultConfig()
	cfg.OpenRestricted = true
	local, err := watermark.NewLocal(cfg, newKeys(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "b")
	_, err = stampFile(t.Context(), local, restricted, out, watermark.Copy{Fields: somebody})
	if err != nil {
		t.Fatal(err)
	}
	judge(t, src, out, 2)
	_, err = stampFile(t.Context(), local, write(t, encrypted(t)), filepath.Join(dir, "c"), watermark.Copy{Fields: somebody})
	wantFault(t, err, "PDF_ENCRYPTED")
}

func TestFiveThousandPagesAreWithinLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	local := newLocal(t)
	out := filepath.Join(t.TempDir(), "out")
	made, err := stampFile(t.Context(), local, pages(5000, "", "").write(t), out, watermark.Copy{Fields: somebody, Password: "x"})
	if err != nil || made.Pages != 5000 {
		t.Fatalf("%+v, %v", made, err)
	}
}

func wantFault(t *testing.T, err error, reason string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Reason != reason || f.Transient() {
		t.Errorf("got %v, want it refused for good as %s", err, reason)
	}
}

// The script of DESIGN's figures: about 120 pages and 200 KB.
func BenchmarkStamp(b *testing.B) {
	local := newLocal(b)
	src := pages(120, "", "").write(b)
	for _, c := range []struct{ name, password string }{{"open", ""}, {"locked", "abcd-efgh-ijkm-npqr"}} {
		b.Run(c.name, func(b *testing.B) {
			out := filepath.Join(b.TempDir(), "out")
			for b.Loop() {
				_, err := stampFile(b.Context(), local, src, out, watermark.Copy{Fields: somebody, Password: c.password})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What of a copy's time goes into starting a child of this program, which links more than package sandbox's tests do.
func BenchmarkChildStart(b *testing.B) {
	for b.Loop() {
		err := sandbox.Check(b.Context())
		if err != nil {
			b.Fatal(err)
		}
	}
}
