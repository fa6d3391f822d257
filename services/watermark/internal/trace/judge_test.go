package trace_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/trace"
)

// sheetsOf are n pages of one copy.
func sheetsOf(id hidden.ID, n int) []sheet {
	all := make([]sheet, n)
	for i := range all {
		all[i] = sheet{id: id, strip: true, ribbon: true}
	}
	return all
}

// people is a Finder.
type people map[uint64][]hidden.About

func (p people) Find(_ context.Context, number uint64) ([]hidden.About, error) { return p[number], nil }

const number = 0xabcdef012345

var (
	ada = hidden.About{Name: "Ada", Email: "ada@example.com", Artifact: "abcdef012345aaaa"}
	bob = hidden.About{Name: "Bob", Email: "bob@example.com", Artifact: "000000000007bbbb"}
)

func sealed(a hidden.About) []byte { return hidden.Seal(1, sealKey, nil, a) }

func TestVerdicts(t *testing.T) {
	forged := hidden.ID{Key: 1, Number: number, MAC: 12345}
	unknown := hidden.NewID([]byte("some other key"), 9, number)
	ours, theirs := ours(number), ours(7)
	for _, c := range []struct {
		name   string
		pdf    []byte
		want   trace.Outcome
		copies []string // numbers
		doubts []trace.Outcome
	}{
		{"a copy", write(t, sheetsOf(ours, 3), sealed(ada)), trace.Match, []string{"abcdef012345"}, nil},
		{"a copy without metadata", write(t, sheetsOf(ours, 3), nil), trace.Match, []string{"abcdef012345"}, nil},
		{"metadata alone", write(t, []sheet{{}}, sealed(ada)), trace.Match, []string{"abcdef012345"}, nil},
		{"two copies merged", write(t, append(sheetsOf(ours, 2), sheetsOf(theirs, 1)...), nil), trace.Ambiguous, []string{"abcdef012345", "000000000007"}, nil},
		{"another's metadata", write(t, sheetsOf(ours, 2), sealed(bob)), trace.Ambiguous, []string{"000000000007", "abcdef012345"}, nil},
		{"forged", write(t, sheetsOf(forged, 2), nil), trace.Forged, nil, []trace.Outcome{trace.Forged, trace.Forged}},
		{"a forged page in a copy", write(t, append(sheetsOf(ours, 1), sheetsOf(forged, 1)...), nil), trace.Match, []string{"abcdef012345"}, []trace.Outcome{trace.Forged, trace.Forged}},
		{"made under another key", write(t, sheetsOf(unknown, 1), nil), trace.UnknownKey, nil, []trace.Outcome{trace.UnknownKey, trace.UnknownKey}},
		{"damaged", write(t, []sheet{{id: ours, strip: true, damaged: true}}, nil), trace.Damaged, nil, []trace.Outcome{trace.Damaged}},
		{"metadata broken", write(t, []sheet{{}}, append(sealed(ada), 0)), trace.Damaged, nil, []trace.Outcome{trace.Damaged}},
		{"metadata of another key", write(t, []sheet{{}}, hidden.Seal(2, macKey, nil, ada)), trace.UnknownKey, nil, []trace.Outcome{trace.UnknownKey}},
		{"metadata of nobody", write(t, []sheet{{}}, []byte("?")), trace.Damaged, nil, []trace.Outcome{trace.Damaged}},
		{"nothing of ours", write(t, []sheet{{}, {}}, nil), trace.None, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := judge(t, find(t, save(t, c.pdf), ""), nil)
			if r.Outcome != c.want {
				t.Errorf("got %s, want %s", r.Outcome, c.want)
			}
			var copies []string
			for _, got := range r.Copies {
				copies = append(copies, got.Number)
			}
			if diff := cmp.Diff(c.copies, copies); diff != "" {
				t.Errorf("copies: %s", diff)
			}
			var doubts []trace.Outcome
			for _, d := range r.Doubts {
				doubts = append(doubts, d.Outcome)
			}
			if diff := cmp.Diff(c.doubts, doubts); diff != "" {
				t.Errorf("doubts: %s", diff)
			}
		})
	}
}

func TestEvidenceSaysWhichPages(t *testing.T) {
	sheets := append(append(sheetsOf(ours(number), 2), sheet{}), sheetsOf(ours(7), 1)...)
	r := judge(t, find(t, save(t, write(t, sheets, sealed(bob))), ""), people{number: {ada}})
	want := []trace.Copy{
		{Number: "000000000007", Who: []hidden.About{bob}, Evidence: []trace.Evidence{
			{Channel: trace.Metadata, Outcome: trace.Match, Number: "000000000007", Key: 1},
			{Channel: trace.Strokes, Outcome: trace.Match, Number: "000000000007", Key: 1, Pages: []int{4}},
			{Channel: trace.Ribbon, Outcome: trace.Match, Number: "000000000007", Key: 1, Pages: []int{4}},
			{Channel: trace.Glyphs, Outcome: trace.Match, Number: "000000000007", Key: 1, Pages: []int{4}},
		}},
		{Number: "abcdef012345", Who: []hidden.About{ada}, Evidence: []trace.Evidence{
			{Channel: trace.Strokes, Outcome: trace.Match, Number: "abcdef012345", Key: 1, Pages: []int{1, 2}},
			{Channel: trace.Ribbon, Outcome: trace.Match, Number: "abcdef012345", Key: 1, Pages: []int{1, 2}},
			{Channel: trace.Glyphs, Outcome: trace.Match, Number: "abcdef012345", Key: 1, Pages: []int{1, 2}},
		}},
	}
	if diff := cmp.Diff(want, r.Copies); diff != "" {
		t.Error(diff)
	}
}

func TestCopiesThatShareANumber(t *testing.T) {
	twin := ada
	twin.Artifact, twin.Name = "abcdef012345bbbb", "Twin"
	known := people{number: {ada, ada, twin}}
	r := judge(t, find(t, save(t, write(t, sheetsOf(ours(number), 1), nil)), ""), known)
	if r.Outcome != trace.Ambiguous || len(r.Copies) != 1 || len(r.Copies[0].Who) != 2 {
		t.Errorf("got %s, %v", r.Outcome, r.Copies)
	}
	// What it says of itself tells them apart.
	r = judge(t, find(t, save(t, write(t, sheetsOf(ours(number), 1), sealed(twin))), ""), known)
	if r.Outcome != trace.Match || len(r.Copies[0].Who) != 1 || r.Copies[0].Who[0].Name != "Twin" {
		t.Errorf("got %s, %v", r.Outcome, r.Copies)
	}
}

type unreachable struct{}

func (unreachable) Find(context.Context, uint64) ([]hidden.About, error) {
	return nil, errors.New("away")
}

func TestLookupThatFailsLeavesTheRest(t *testing.T) {
	f := find(t, save(t, write(t, sheetsOf(ours(number), 1), nil)), "")
	r, err := trace.Judge(t.Context(), f, keys, unreachable{})
	if err == nil || r.Outcome != trace.Match || len(r.Copies) != 1 {
		t.Errorf("got %v, %v", r, err)
	}
}

// A mark with few letters cannot say whose it is by their places; they still agree or do not.
func TestFewGlyphsAgree(t *testing.T) {
	s := sheet{id: ours(number), ribbon: true, name: "Li"}
	r := judge(t, find(t, save(t, write(t, []sheet{s}, nil)), ""), nil)
	if r.Outcome != trace.Match || len(r.Copies[0].Evidence) != 2 || r.Copies[0].Evidence[1].Channel != trace.Glyphs {
		t.Errorf("got %v", r)
	}
}

// Whoever fills a document with rubbish in our shape does not hide what else is in it.
func TestRubbishHidesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	shape := func(id hidden.ID, wrong int, blur float64) trace.Shape {
		var points [][2]float64
		for k, p := range hidden.Strip(id.Codeword(), uint8(r.Uint32())) {
			x, y := float64(p[0])+blur*(r.Float64()-0.5), float64(p[1])+blur*(r.Float64()-0.5)
			if k >= 3 && k < 3+wrong {
				y += 20 * float64(r.IntN(4))
			}
			points = append(points, [2]float64{x / 100, y / 100})
		}
		return trace.Shape{Page: 1, Points: trace.Pack(points)}
	}
	var all []trace.Shape
	for i := range 100 {
		all = append(all, shape(hidden.ID{Key: 1, Number: uint64(i)}, 20, float64(i%2)*30))
	}
	all = append(all, shape(ours(number), 0, 0))
	result := judge(t, trace.Findings{Pages: 1, Shapes: all}, nil)
	if result.Outcome != trace.Match || result.Copies[0].Number != "abcdef012345" {
		t.Errorf("got %s, %v", result.Outcome, result.Copies)
	}
}

// Shapes come from a child that a stranger's file may have taken over.
func FuzzJudge(f *testing.F) {
	strip := hidden.Strip(ours(1).Codeword(), 3)
	var points trace.Points
	for _, p := range strip {
		points = append(points, trace.Pack([][2]float64{{float64(p[0]), float64(p[1])}})...)
	}
	f.Add([]byte(points), []byte(points), true, sealed(ada))
	f.Add([]byte(points), []byte(nil), false, []byte{1, 1})
	f.Fuzz(func(t *testing.T, points, glyphs []byte, ribbon bool, seal []byte) {
		shape := trace.Shape{Page: 1, Ribbon: ribbon, Points: points[:min(len(points), 2000)], Glyphs: glyphs[:min(len(glyphs), 2000)]}
		r, err := trace.Judge(t.Context(), trace.Findings{Pages: 1, Shapes: []trace.Shape{shape}, Sealed: [][]byte{seal}}, keys, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Copies {
			if c.Number != "000000000001" && c.Number != "abcdef012345" {
				t.Errorf("noise became a copy of %s", c.Number)
			}
		}
	})
}
