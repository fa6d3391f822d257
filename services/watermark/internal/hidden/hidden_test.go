package hidden_test

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
)

var key = []byte("0123456789abcdef0123456789abcdef")

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 4)) }

func newID(r *rand.Rand) hidden.ID {
	return hidden.NewID(key, uint8(r.Uint32()), r.Uint64())
}

func verify(id hidden.ID) bool { return id.Verify(key) }

// The format of ids that are out in the world: these must never change.
func TestCodewordIsAsItEverWas(t *testing.T) {
	id := hidden.NewID(key, 1, 0xabcdef012345)
	got := fmt.Sprintf("%x", id.Codeword())
	const want = "01abcdef012345b52d292b8b06a02d85e97dcae175da5633bc39"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	h := sha256.New()
	for v := range 256 {
		fmt.Fprint(h, hidden.Strip(id.Codeword(), uint8(v)), hidden.Ribbon(id.Codeword(), int32(v*150)))
	}
	fmt.Fprint(h, hidden.Seal(9, key, []byte("seed"), hidden.About{Name: "A", Time: time.Unix(1, 0)}))
	const geometry = "14c6428fdd12425e"
	if got := fmt.Sprintf("%x", h.Sum(nil)[:8]); got != geometry {
		t.Errorf("geometry and seal give %s, want %s", got, geometry)
	}
}

func TestDecodePutsRightWhatParityAllows(t *testing.T) {
	r := random(1)
	for range 3000 {
		id := newID(r)
		word := id.Codeword()
		var erased [hidden.Symbols]bool
		errors := r.IntN(7)
		gone := r.IntN(14 - 2*errors)
		for n, i := range r.Perm(hidden.Symbols)[:errors+gone] {
			if n < errors {
				word[i] ^= byte(1 + r.IntN(255))
				continue
			}
			word[i], erased[i] = byte(r.Uint32()), true
		}
		got, corrected, ok := hidden.Decode(word, erased)
		if !ok || got != id || corrected != errors+gone {
			t.Fatalf("%d errors, %d erasures: got %v, %d, %v", errors, gone, got, corrected, ok)
		}
	}
}

// Words beyond repair must not become somebody's id.
func TestDecodeDoesNotInventIDs(t *testing.T) {
	r := random(2)
	for range 20000 {
		var word [hidden.Symbols]byte
		var erased [hidden.Symbols]bool
		for i := range word {
			word[i] = byte(r.Uint32())
		}
		gone := r.IntN(14)
		for _, i := range r.Perm(hidden.Symbols)[:gone] {
			erased[i] = true
		}
		id, corrected, ok := hidden.Decode(word, erased)
		if ok && corrected <= hidden.Sure {
			t.Fatalf("noise became %v with %d corrected", id, corrected)
		}
		if ok && verify(id) {
			t.Fatalf("noise became an id that verifies: %v", id)
		}
	}
}

func TestMACTellsKeysAndNumbersApart(t *testing.T) {
	id := hidden.NewID(key, 3, 77)
	if !id.Verify(key) {
		t.Error("an id of ours does not verify")
	}
	other := append([]byte(nil), key...)
	other[0] ^= 1
	changed := []hidden.ID{{Key: 4, Number: 77, MAC: id.MAC}, {Key: 3, Number: 78, MAC: id.MAC}, {Key: 3, Number: 77, MAC: id.MAC ^ 1}}
	for _, c := range changed {
		if c.Verify(key) {
			t.Errorf("%v verifies", c)
		}
	}
	if id.Verify(other) {
		t.Error("an id verifies under another key")
	}
}

func TestNumberOf(t *testing.T) {
	n, ok := hidden.NumberOf("00ff00ff00ff1234")
	if !ok || n != 0x00ff00ff00ff {
		t.Errorf("got %x, %v", n, ok)
	}
	for _, bad := range []string{"", "0123", "zzzzzzzzzzzz", "-12345678901"} {
		_, ok := hidden.NumberOf(bad)
		if ok {
			t.Errorf("%q has a number", bad)
		}
	}
}

// A route is what happens to points on their way through other programs.
type route struct {
	scale, angle, noise, grid float64
	mirrored                  bool
	stretch                   float64
}

func (w route) apply(r *rand.Rand, x, y float64) [2]float64 {
	if w.mirrored {
		x = -x
	}
	if w.stretch != 0 {
		y *= w.stretch
	}
	sin, cos := math.Sincos(w.angle)
	u, v := w.scale*(cos*x-sin*y)+311.7, w.scale*(sin*x+cos*y)-42.1
	u += w.noise * (2*r.Float64() - 1)
	v += w.noise * (2*r.Float64() - 1)
	if w.grid > 0 {
		u, v = math.Round(u/w.grid)*w.grid, math.Round(v/w.grid)*w.grid
	}
	return [2]float64{u, v}
}

func points[T any](r *rand.Rand, w route, vertices [][2]T, number func(T) float64) [][2]float64 {
	var out [][2]float64
	for _, p := range vertices {
		out = append(out, w.apply(r, number(p[0]), number(p[1])))
	}
	return out
}

func number(v int32) float64 { return float64(v) }

func TestStripReadsBack(t *testing.T) {
	r := random(3)
	for n := range 2000 {
		id := newID(r)
		strip := hidden.Strip(id.Codeword(), uint8(n))
		for _, p := range strip {
			if p[0] < 0 || p[0] >= hidden.StripWidth || p[1] < 0 || p[1] >= hidden.StripHeight {
				t.Fatalf("vertex %v is outside", p)
			}
		}
		scale := 0.4 * math.Pow(7.5, r.Float64())
		way := route{scale: 0.01 * scale, angle: 7 * r.Float64(), noise: 0.004, mirrored: n%2 == 1}
		found := points(r, way, strip[:], number)
		switch n % 5 {
		case 1:
			found = append(found, found[0]) // closed
		case 2:
			found = append([][2]float64{found[0]}, found...)
		case 3:
			more := points(r, way, [][2]int32{{-700, 300}, {-100, 40}, {-20, 900}}, number)
			found = append(append(more, found...), more[2], more[0])
		}
		got, ok := hidden.MatchStrip(found)
		if !ok {
			t.Fatalf("strip %d at scale %.2f is not found", n, scale)
		}
		back, corrected, ok := got.ID(verify)
		if !ok || back != id || corrected > 0 {
			t.Fatalf("strip %d at scale %.2f: got %v, %d, %v; want %v", n, scale, back, corrected, ok, id)
		}
		if got.Spread > 0.15 {
			t.Errorf("spread %.2f of a faithful strip", got.Spread)
		}
		if got := got.Frame.Scale(); math.Abs(got/way.scale-1) > 0.001 {
			t.Errorf("scale %v, want %v", got, way.scale)
		}
	}
}

// PostScript's drivers write tenths of points; a page stretched to another paper's shape is not scaled alike.
func TestStripSurvivesCoarseGridAndStretch(t *testing.T) {
	r := random(4)
	const rounds = 1000
	for name, way := range map[string]route{
		"a tenth of a point":           {scale: 0.01, grid: 0.1},
		"a tenth of a point, small":    {scale: 0.006, grid: 0.1, angle: 0.7},
		"a tenth of a point, upright":  {scale: 0.01, grid: 0.1, angle: math.Pi / 2},
		"stretched by a third":         {scale: 0.01, noise: 0.004, stretch: 1.33, angle: 0.3},
		"pressed to a third, mirrored": {scale: 0.01, noise: 0.004, stretch: 0.34, angle: 1.3, mirrored: true},
	} {
		right := 0
		for n := range rounds {
			id := newID(r)
			strip := hidden.Strip(id.Codeword(), uint8(n))
			got, ok := hidden.MatchStrip(points(r, way, strip[:], number))
			if !ok {
				continue
			}
			back, _, ok := got.ID(verify)
			if ok && back == id {
				right++
			}
		}
		if right < rounds*99/100 {
			t.Errorf("%s: %d of %d read", name, right, rounds)
		}
	}
}

func TestStripsOfDifferentVariantsShareNoVertex(t *testing.T) {
	code := newID(random(5)).Codeword()
	seen := map[[2]int32]uint8{}
	for n := range 256 {
		v := uint8(n)
		for _, p := range hidden.Strip(code, v) {
			other, there := seen[p]
			if there {
				t.Fatalf("variants %d and %d share %v", v, other, p)
			}
			seen[p] = v
		}
	}
}

func TestDamagedStripIsSeenAndNotRead(t *testing.T) {
	r := random(6)
	for n := range 300 {
		strip := hidden.Strip(newID(r).Codeword(), uint8(n))
		found := points(r, route{scale: 0.01, noise: 0.003}, strip[:], number)
		for _, k := range r.Perm(26)[:15] {
			found[k+2][0] += 0.2 * float64(1+r.IntN(4))
		}
		got, ok := hidden.MatchStrip(found)
		if !ok {
			t.Fatal("a damaged strip is not seen")
		}
		id, _, ok := got.ID(verify)
		if ok {
			t.Fatalf("a damaged strip is read as %v", id)
		}
	}
}

// Several people who put their copies together can take the id out, which is a limit that is told; they cannot put in
// anybody else's.
func TestColludersFrameNobody(t *testing.T) {
	r := random(11)
	const rounds = 50
	for people := 2; people <= 4; people++ {
		for _, way := range []string{"each vertex of one of them", "the middle of all"} {
			named := 0
			for n := range rounds {
				var ids []hidden.ID
				var strips [][hidden.Vertices][2]int32
				for range people {
					id := newID(r)
					ids = append(ids, id)
					strips = append(strips, hidden.Strip(id.Codeword(), uint8(n)))
				}
				var mixed [][2]float64
				for k := range hidden.Vertices {
					of := strips[r.IntN(people)][k]
					p := [2]float64{float64(of[0]), float64(of[1])}
					if way == "the middle of all" {
						p = [2]float64{}
						for _, s := range strips {
							p[0] += float64(s[k][0]) / float64(people)
							p[1] += float64(s[k][1]) / float64(people)
						}
					}
					mixed = append(mixed, p)
				}
				got, ok := hidden.MatchStrip(mixed)
				if !ok {
					t.Fatalf("%d people, %s: not even damaged", people, way)
				}
				id, _, ok := got.ID(verify)
				if !ok {
					continue
				}
				if !slices.Contains(ids, id) {
					t.Fatalf("%d people, %s: somebody else is named, %v", people, way, id)
				}
				named++
			}
			t.Logf("%d people, %s: one of them is named in %d of %d", people, way, named, rounds)
		}
	}
}

func TestForgedStripIsReadAndDoesNotVerify(t *testing.T) {
	r := random(7)
	for n := range 300 {
		forged := hidden.ID{Key: 1, Number: r.Uint64() >> 16, MAC: r.Uint64() >> 16}
		strip := hidden.Strip(forged.Codeword(), uint8(n))
		got, ok := hidden.MatchStrip(points(r, route{scale: 0.01, noise: 0.003}, strip[:], number))
		if !ok {
			t.Fatal("not found")
		}
		id, _, ok := got.ID(verify)
		if !ok || id != forged || id.Verify(key) {
			t.Fatalf("got %v, %v", id, ok)
		}
	}
}

func TestOtherPolylinesAreNoStrips(t *testing.T) {
	r := random(8)
	for range 20000 {
		var found [][2]float64
		wave := r.IntN(3)
		for k := range 30 + r.IntN(5) {
			p := [2]float64{600 * r.Float64(), 800 * r.Float64()}
			switch wave {
			case 1: // a chart's line
				p = [2]float64{10 * float64(k), 50 * r.Float64()}
			case 2: // a saw
				p = [2]float64{1.72 * float64(k), 9.9 * float64(k%2) * (0.5 + r.Float64()/2)}
			}
			found = append(found, p)
		}
		got, ok := hidden.MatchStrip(found)
		if !ok {
			continue
		}
		id, _, ok := got.ID(nil)
		if ok {
			t.Fatalf("%v is read as %v", found, id)
		}
	}
}

func TestRegularZigzagIsNoStrip(t *testing.T) {
	for _, pitch := range []float64{0.5, 1, 1.71, 3, 10} {
		var found [][2]float64
		for k := range 60 {
			found = append(found, [2]float64{pitch * float64(k), 9.8 * float64(k%2)})
		}
		_, ok := hidden.MatchStrip(found)
		if ok {
			t.Errorf("a zigzag of pitch %.2f is taken for a strip", pitch)
		}
	}
}

func TestRibbonReadsBack(t *testing.T) {
	r := random(9)
	for n := range 3000 {
		id := newID(r)
		width := int32(100 + r.IntN(60000))
		ribbon := hidden.Ribbon(id.Codeword(), width)
		for _, p := range ribbon {
			if p[0] < 0 || p[0] > hidden.RibbonWidth(width) || p[1] < hidden.RibbonBottom || p[1] > hidden.RibbonTop {
				t.Fatalf("vertex %v is outside", p)
			}
		}
		em := 10 * math.Pow(20, r.Float64())
		way := route{scale: em / 1000, angle: 7 * r.Float64(), noise: 0.004, mirrored: n%2 == 1}
		found := points(r, way, ribbon[:], number)
		if n%3 == 1 {
			found = append(found, found[0])
		}
		got, ok := hidden.MatchRibbon(found)
		if !ok {
			t.Fatalf("ribbon %d of %d at %.1f pt is not found", n, width, em)
		}
		back, corrected, ok := got.ID(verify)
		if !ok || back != id || corrected > 0 {
			t.Fatalf("ribbon %d of %d at %.1f pt: got %v, %d, %v; want %v", n, width, em, back, corrected, ok, id)
		}
		if got := got.Frame.Scale() * 1000; math.Abs(got/em-1) > 0.001 {
			t.Errorf("ribbon of %d: em is %v, want %v", width, got, em)
		}
	}
}

func TestGlyphsReadBackInTheRibbonsFrame(t *testing.T) {
	r := random(10)
	for n := range 1000 {
		id := newID(r)
		code := id.Codeword()
		width := int32(15000 + r.IntN(15000))
		em := 10 * math.Pow(10, r.Float64())
		way := route{scale: em / 1000, angle: 7 * r.Float64(), noise: 0.003, mirrored: n%2 == 1}
		ribbon := hidden.Ribbon(code, width)
		frame, ok := hidden.MatchRibbon(points(r, way, ribbon[:], number))
		if !ok {
			t.Fatal("no ribbon")
		}
		var firsts [][2]int32
		for g := range 30 + r.IntN(15) {
			first := [2]int32{r.Int32N(width), r.Int32N(900) - 100}
			dx, dy := hidden.Nudge(code, g, first)
			if max(dx, -dx, dy, -dy) > hidden.MaxNudge {
				t.Fatalf("moved by %d, %d", dx, dy)
			}
			firsts = append(firsts, [2]int32{first[0] + dx, first[1] + dy})
		}
		got := hidden.ReadGlyphs(frame.Frame, points(r, way, firsts, number))
		back, corrected, ok := got.ID(verify)
		if !ok || back != id {
			t.Fatalf("glyphs %d at %.1f pt: got %v, %d, %v; want %v", n, em, back, corrected, ok, id)
		}
		agree, known := got.Agree(code)
		if agree < 24 || known != hidden.Symbols {
			t.Errorf("%d of %d symbols agree at %.1f pt", agree, known, em)
		}
	}
}

func TestSealedOpensUnderItsKeyOnly(t *testing.T) {
	about := hidden.About{
		Production: "p1", Distribution: "d1", Item: "i1", Name: "Zoë Ünal", Email: "zoe@example.com",
		Artifact: "00ff", Time: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC),
	}
	sealed := hidden.Seal(5, key, []byte("seed"), about)
	number, ok := hidden.SealedKey(sealed)
	if !ok || number != 5 {
		t.Errorf("key %d, %v", number, ok)
	}
	got, err := hidden.Open(key, sealed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(about, got); diff != "" {
		t.Error(diff)
	}
	if string(hidden.Seal(5, key, []byte("seed"), about)) != string(sealed) {
		t.Error("sealed twice gives two results")
	}
	if string(hidden.Seal(5, key, []byte("seed2"), about)) == string(sealed) {
		t.Error("the seed does not matter")
	}
	for i := range sealed {
		bad := append([]byte(nil), sealed...)
		bad[i] ^= 4
		_, err := hidden.Open(key, bad)
		if err == nil {
			t.Errorf("opens with byte %d changed", i)
		}
	}
	_, err = hidden.Open([]byte("0123456789abcdef0123456789abcdeX"), sealed)
	if err == nil {
		t.Error("opens under another key")
	}
	empty, err := hidden.Open(key, hidden.Seal(5, key, nil, hidden.About{}))
	if err != nil || empty != (hidden.About{}) {
		t.Errorf("got %v, %v", empty, err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(hidden.Seal(5, key, nil, hidden.About{Name: "a"}))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		_, _ = hidden.Open(key, sealed) // must come back
	})
}

func BenchmarkCodeword(b *testing.B) {
	id := newID(random(1))
	b.ReportAllocs()
	for b.Loop() {
		_ = id.Codeword()
	}
}

func BenchmarkStrip(b *testing.B) {
	code := newID(random(1)).Codeword()
	b.ReportAllocs()
	for b.Loop() {
		_ = hidden.Strip(code, 3)
	}
}

func BenchmarkRibbon(b *testing.B) {
	code := newID(random(1)).Codeword()
	b.ReportAllocs()
	for b.Loop() {
		_ = hidden.Ribbon(code, 22000)
	}
}

func BenchmarkSeal(b *testing.B) {
	about := hidden.About{Name: "Somebody", Email: "somebody@example.com"}
	for b.Loop() {
		_ = hidden.Seal(1, key, nil, about)
	}
}

func BenchmarkReadStrip(b *testing.B) {
	strip := hidden.Strip(newID(random(1)).Codeword(), 200)
	found := points(random(1), route{scale: 0.01, noise: 0.003}, strip[:], number)
	for b.Loop() {
		r, _ := hidden.MatchStrip(found)
		_, _, ok := r.ID(verify)
		if !ok {
			b.Fatal("not read")
		}
	}
}
