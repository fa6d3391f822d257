package mark_test

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"github.com/filigreehq/filigree/pkg/mark"
)

var update = flag.Bool("update", false, "write testdata/scripts.txt anew")

// samples are names and words in the scripts of the world, with what is hard about them.
var samples = []struct{ script, text string }{
	{"Latin", "Zoë Müller-Ångström AVATAR fi"},
	{"Latin, Polish and Turkish", "Łukasz Żółć, İpek Çağlar"},
	{"Latin, Vietnamese", "Nguyễn Thị Phương Ậu ỹ ẵ"},
	{"Latin, marks apart", "e\u0328\u0301 m\u0304 x\u0308"},
	{"Cyrillic", "Ёлка Ґалаґан Їжак Ђорђе"},
	{"Greek", "Αλέξανδρος Παπαδόπουλος ᾄ"},
	{"Arabic", "محمد عبد الله الرحمٰن لا"},
	{"Arabic, vowels and digits", "مُحَمَّد بن سَلمان ١٢٣ 456"},
	{"Persian, apart within words", "می‌خواهم پژمان گچساران"},
	{"Urdu", "اردو ٹھیک ڑے نستعلیق ہے"},
	{"Hebrew", "דוד (שלום) 123 בְּרֵאשִׁית"},
	{"Arabic in Latin", "Copy for محمد علي (12), ok@x.com"},
	{"Latin in Arabic", "نسخة محمد: 12ok@x.com / A-17"},
	{"Devanagari", "अमिताभ बच्चन क्षत्रिय श्रीमती र्द्ध कृष्ण"},
	{"Devanagari, joined and not", "क्ष क्‍ष क्‌ष"},
	{"Bengali", "শ্রীমতী রবীন্দ্রনাথ ঠাকুর ক্ষমা"},
	{"Gurmukhi", "ਗੁਰਮੁਖੀ ਸਿੰਘ ਪ੍ਰੀਤ"},
	{"Gujarati", "ગુજરાતી શ્રી ક્ષત્રિય"},
	{"Oriya", "ଓଡ଼ିଆ ଶ୍ରୀ କ୍ଷମା"},
	{"Tamil", "தமிழ் ஸ்ரீ கோவிந்தன்"},
	{"Telugu", "తెలుగు శ్రీ కృష్ణ"},
	{"Kannada", "ಕನ್ನಡ ಶ್ರೀ ಕೃಷ್ಣ"},
	{"Malayalam", "മലയാളം ശ്രീ കൃഷ്ണൻ"},
	{"Sinhala", "සිංහල ශ්‍රී ලංකා"},
	{"Thai", "สมชาย ใจดี น้ำ ที่ ก็"},
	{"Lao", "ສະບາຍດີ ນ້ຳ"},
	{"Khmer", "ភាសាខ្មែរ ស្រី"},
	{"Myanmar", "မြန်မာဘာသာ ကျွန်တော်"},
	{"Tibetan", "བཀྲ་ཤིས་བདེ་ལེགས།"},
	{"Ethiopic", "አማርኛ ኢትዮጵያ"},
	{"Georgian", "ქართული ენა"},
	{"Armenian", "Հայերեն լեզու"},
	{"Chinese, simplified", "张伟 王芳 直骨"},
	{"Chinese, traditional", "張偉 陳大文 直骨"},
	{"Chinese, rare", "㐂 𠮷 𠀋"},
	{"Japanese", "田中さくら 直骨 ー"},
	{"Japanese, in kanji only", "黒沢明 直骨"},
	{"Korean", "김철수 박지성 한글"},
	{"Korean, in parts", "\u1112\u1161\u11ab\u1100\u1173\u11af"},
	{"Mongolian", "ᠮᠣᠩᠭᠣᠯ"},
	{"N'Ko", "ߒߞߏ ߟߊߘߌ"},
	{"Syriac", "ܣܘܪܝܝܐ"},
	{"Thaana", "ދިވެހި"},
	{"Tifinagh", "ⵜⴰⵎⴰⵣⵉⵖⵜ"},
	{"Cherokee", "ᏣᎳᎩ"},
	{"Inuktitut", "ᐃᓄᒃᑎᑐᑦ"},
	{"Javanese", "ꦗꦮ ꦏꦿꦶꦱ꧀ꦤ"},
	{"Balinese", "ᬩᬮᬶ ᬓ᭄ᬱ"},
	{"Adlam", "𞤆𞤵𞤤𞤢𞤪"},
	{"Yi", "ꆈꌠꁱꂷ"},
	{"Signs", "№ 7 — “A” & Søn’s 100 % €5 ™ © °"},
}

// digest is the geometry of a mark's row of text.
func digest(m *mark.Mark) string {
	h := sha256.New()
	s := m.Shapes()[1]
	for _, g := range s.Glyphs {
		fmt.Fprintf(h, "%d %d %d %d\n%s", g.X, g.Y, g.Outline.First[0], g.Outline.First[1], g.Outline.Path)
	}
	return fmt.Sprintf("%d %x", s.Height, h.Sum(nil)[:16])
}

func one(text string) (*mark.Mark, error) {
	return mark.Compose(mark.Spec{Template: "{name}"}, map[string]string{"name": text})
}

// The geometry is the same on every machine, and no change of it goes unseen. Written anew with -update, it must be looked
// at: rendered, beside what another program draws.
func TestScripts(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, s := range samples {
		m, err := one(s.text)
		if err != nil {
			t.Errorf("%s: %v", s.script, err)
			continue
		}
		shape := m.Shapes()[1]
		overlaps := "apart"
		if shape.Overlaps {
			overlaps = "overlapping"
		}
		fmt.Fprintf(&b, "%s: %s\n\t%d glyphs, %s, %d wide, %s\n", s.script, s.text, len(shape.Glyphs), overlaps, shape.Width, digest(m))
	}
	const file = "testdata/scripts.txt"
	if *update {
		err := os.WriteFile(file, []byte(b.String()), 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A mark set in another process, or after others, or at the same time as they are, is the same, and shares its outlines.
func TestMarksAreTheSameWhenMadeAtOnce(t *testing.T) {
	t.Parallel()
	want := map[string]string{}
	for _, s := range samples {
		m, err := one(s.text)
		if err != nil {
			t.Fatal(err)
		}
		want[s.text] = digest(m)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for text, want := range want { // in another order each time
				// Other text before it, so that the line is not one that is remembered.
				m, err := mark.Compose(mark.Spec{Template: "{name}\n{copy}"}, map[string]string{"name": text, "copy": fmt.Sprint(rand.Int())})
				if err != nil {
					t.Error(err)
					continue
				}
				m, err = one(text)
				if err != nil || digest(m) != want {
					t.Errorf("%s differs: %v", text, err)
				}
				_ = m.Bitmap() // for the race detector
			}
		})
	}
	wg.Wait()
	a, err := one("AA")
	if err != nil {
		t.Fatal(err)
	}
	glyphs := a.Shapes()[1].Glyphs
	if len(glyphs) != 2 || glyphs[0].Outline != glyphs[1].Outline {
		t.Error("two of a letter have two outlines")
	}
}

// Two lines' glyphs are in the order in which they are read from left to right.
func TestOrderOfFields(t *testing.T) {
	t.Parallel()
	xOf := func(text, letter string, fields map[string]string) int32 {
		t.Helper()
		m, err := mark.Compose(mark.Spec{Template: text}, fields)
		if err != nil {
			t.Fatal(err)
		}
		l, err := one(letter)
		if err != nil {
			t.Fatal(err)
		}
		want := l.Shapes()[1].Glyphs[0].Outline
		for _, g := range m.Shapes()[1].Glyphs {
			if g.Outline == want {
				return g.X
			}
		}
		t.Fatalf("%s is not in %s", letter, text)
		return 0
	}
	hebrew := map[string]string{"name": "אב", "email": "7k@x.com", "date": "2026-11-28"}
	for _, c := range []struct{ template, left, right string }{
		{"{name}", "ב", "א"},
		{"for {name} K", "f", "K"},
		{"{email} {name}", "k", "א"},    // the line runs from right to left, as its only letters in the template's hand
		{"{name} {email}", "7", "k"},    // an address is not torn apart
		{"{name} {email}", "k", "c"},    // nor turned about
		{"{name}, {date}", "6", "8"},    // nor a date
		{"{name}\n{email}", "7", "א"},   // a row of lines runs as its first does
		{"A {name}\n{email}", "A", "k"}, // from left to right
		{"({name})", "(", "א"},          // brackets look towards what they enclose
	} {
		left, right := xOf(c.template, c.left, hebrew), xOf(c.template, c.right, hebrew)
		if left >= right {
			t.Errorf("%s: %s is at %d, right of %s at %d", c.template, c.left, left, c.right, right)
		}
	}
}

func TestMissingGlyphs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"🎬", "a🎬", "👨‍👩‍👧", "🇺🇦", "👍🏽", "❤️‍🔥", "\U0001f6d8", // emoji
		"\ufffd", "\ue000", "\U000f0000", "\ufdd0", "\U0010ffff", "\u0378", // what is not text, or not yet
		"𒀀", "𓀀", "𝔘", // scripts that the pack leaves out
		"محمد 🎬", "नेहा𓀀",
	} {
		_, err := one(text)
		var e *mark.Error
		if !errors.As(err, &e) || e.Reason != "MARK_GLYPH_MISSING" || !strings.Contains(e.Message, "U+") {
			t.Errorf("%+q: got %v, want MARK_GLYPH_MISSING that names the character", text, err)
		}
	}
}

// Whatever a name is made of, either it is refused, or each of its characters has its part in what is drawn.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	letters := map[rune]bool{}
	for _, s := range samples {
		for _, r := range s.text {
			letters[r] = true
		}
	}
	for r := rune(0x100); r < 0x3000; r += 7 {
		letters[r] = true
	}
	alphabet := append(slices.Sorted(maps.Keys(letters)), []rune("\u202e\u202d\u2066\u2067\u2068\u2069\x00\x1b\u00ad\u200b\u200d\u200c\u2060\ufeff🎬\ufe0f")...)
	n := 3000
	if testing.Short() {
		n = 300
	}
	random := rand.New(rand.NewPCG(4, 2))
	drawn := 0
	for range n {
		name := make([]rune, 1+random.IntN(8))
		from := random.IntN(len(alphabet))
		for i := range name {
			name[i] = alphabet[(from+random.IntN(12))%len(alphabet)] // neighbours, which are of one script
		}
		m, err := one(string(name))
		var e *mark.Error
		if err != nil {
			if !errors.As(err, &e) {
				t.Fatalf("%+q: no refusal: %v", name, err)
			}
			continue
		}
		drawn++
		lossless(t, m)
	}
	if drawn < n/4 {
		t.Errorf("only %d of %d names could be drawn", drawn, n)
	}
}

// lossless takes each visible character out of a line in turn: what is drawn must change.
func lossless(t *testing.T, m *mark.Mark) {
	t.Helper()
	line := []rune(m.Lines()[0])
	want := digest(m)
	for i, r := range line {
		if r == ' ' || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) || r == '\u034f' {
			continue
		}
		less := slices.Delete(slices.Clone(line), i, i+1)
		if norm.NFC.String(string(less)) == string(line) {
			continue
		}
		without, err := one(string(less))
		if err == nil && digest(without) == want {
			t.Errorf("%+q looks the same without %+q", line, r)
		}
	}
}
