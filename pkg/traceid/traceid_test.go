package traceid_test

import (
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/traceid"
)

const distribution = "01JDQ6Z8Y3ABCDEFGHJKMNPQRS"

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	for unit, want := range map[string]traceid.About{
		"d": {}, "f2": {File: 2}, "r7": {Recipient: 7}, "i2.7": {File: 2, Recipient: 7}, "i100.10000": {File: 100, Recipient: 10000},
		"r1048574": {Recipient: 1048574}, "f4094": {File: 4094},
	} {
		id, ok := traceid.Of(distribution, unit)
		if !ok || len(id.String()) != 32 {
			t.Fatalf("Of(%q) = %s, %v, want 32 hex digits", unit, id, ok)
		}
		for _, text := range []string{id.String(), strings.ToUpper(id.String()), "00-" + id.String() + "-00f067aa0ba902b7-01", " " + id.String() + "\n"} {
			got, err := traceid.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if got.File != want.File || got.Recipient != want.Recipient || got.Unit() != unit || !got.Sure() {
				t.Errorf("Parse(Of(%q)) is about %+v, want %q for sure", unit, got, unit)
			}
			if got.First > distribution || got.Last < distribution || got.First[:19] != distribution[:19] || got.Last[:19] != distribution[:19] {
				t.Errorf("Parse(Of(%q)) is of distributions %s to %s, want about %s", unit, got.First, got.Last, distribution)
			}
		}
	}
}

// Whoever has the number of a trace that is too large for it must see that it is.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"f4095", "f70000", "r1048575", "r99999999", "i4095.1", "i1.1048576"} {
		id, ok := traceid.Of(distribution, unit)
		if !ok {
			t.Fatalf("Of(%q) is none", unit)
		}
		got, err := traceid.Parse(id.String())
		if err != nil || got.Sure() || got.File > traceid.MostFile || got.Recipient > traceid.MostRecipient {
			t.Errorf("Parse(Of(%q)) = %+v, %v, want it unsure", unit, got, err)
		}
	}
}

func TestNoID(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{distribution, ""}, {distribution, "x"}, {distribution, "r"}, {distribution, "r0"}, {distribution, "r-1"}, {distribution, "r+1"},
		{distribution, "i2"}, {distribution, "i2."}, {distribution, "i.2"}, {distribution, "f1.2"}, {"nightly-import", "d"},
		{"01JDQ6Z8Y3ABCDEFGHJKMNPQRU", "d"}, {"Z1JDQ6Z8Y3ABCDEFGHJKMNPQRS", "d"}, {"00000000000000000000000000", "d"},
	} {
		id, ok := traceid.Of(c[0], c[1])
		if ok {
			t.Errorf("Of(%q, %q) = %s, want none", c[0], c[1], id)
		}
	}
	for _, s := range []string{"", "abc", strings.Repeat("0", 32), strings.Repeat("g", 32), strings.Repeat("a", 31), strings.Repeat("a", 33)} {
		got, err := traceid.Parse(s)
		if err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", s, got)
		}
	}
}

// Ids of ULIDs that differ in what an id keeps differ; the bounds are of the right length and the alphabet of ULIDs.
func FuzzParse(f *testing.F) {
	f.Add("0192b3c4d5e6f708192a3b4c00200007")
	f.Fuzz(func(t *testing.T, s string) {
		about, err := traceid.Parse(s)
		if err != nil {
			return
		}
		if len(about.First) != 26 || len(about.Last) != 26 || about.First > about.Last {
			t.Fatalf("Parse(%q) = %+v", s, about)
		}
		id, ok := traceid.Of(about.First, about.Unit())
		if about.First == "00000000000000000000000000" {
			return
		}
		if !ok || !strings.Contains(strings.ToLower(s), id.String()) {
			t.Errorf("Of(Parse(%q)) = %s", s, id)
		}
	})
}

func TestItemOfRecipient(t *testing.T) {
	t.Parallel()
	recipient, _ := traceid.Of(distribution, "r7")
	want, _ := traceid.Of(distribution, "i2.7")
	got, ok := recipient.Item(2)
	if !ok || got != want {
		t.Errorf("Item(2) of r7 = %s, %v, want %s", got, ok, want)
	}
	for _, unit := range []string{"d", "f2", "i2.7"} {
		id, _ := traceid.Of(distribution, unit)
		got, ok := id.Item(2)
		if ok {
			t.Errorf("Item(2) of %s = %s, want none", unit, got)
		}
	}
}
