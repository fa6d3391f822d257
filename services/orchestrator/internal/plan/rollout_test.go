package plan_test

import (
	"fmt"
	"testing"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

func TestCheckShares(t *testing.T) {
	for _, tc := range []struct {
		shares []plan.Share
		good   bool
	}{
		{nil, true},
		{[]plan.Share{{1, 100}}, true},
		{[]plan.Share{{1, 80}, {2, 20}}, true},
		{[]plan.Share{{1, 100}, {2, 0}}, true},
		{[]plan.Share{{1, 80}, {2, 10}}, false},
		{[]plan.Share{{1, 80}, {2, 30}}, false},
		{[]plan.Share{{1, 50}, {1, 50}}, false},
		{[]plan.Share{{0, 100}}, false},
		{[]plan.Share{{1, 120}, {2, -20}}, false},
	} {
		err := plan.CheckShares(tc.shares)
		if (err == nil) != tc.good {
			t.Errorf("%v: got %v", tc.shares, err)
		}
	}
}

// Shares are met closely, whatever ids have in common, and the same id gives the same version.
func TestChoose(t *testing.T) {
	const n = 10_000
	for name, id := range map[string]func(int) string{
		"ids that differ at the end":       func(i int) string { return fmt.Sprintf("01J9Z3K4M5N6P7Q8R9S0T%05d", i) },
		"ids that differ at the beginning": func(i int) string { return fmt.Sprintf("%05d1J9Z3K4M5N6P7Q8R9S0T", i) },
	} {
		for _, shares := range [][]plan.Share{
			{{1, 80}, {2, 20}}, {{7, 1}, {3, 99}}, {{1, 0}, {2, 100}}, {{1, 33}, {2, 33}, {3, 34}},
		} {
			got := map[int]int{}
			for i := range n {
				v := plan.Choose(shares, id(i))
				if v != plan.Choose(shares, id(i)) {
					t.Fatalf("%s: %s takes another version the second time", name, id(i))
				}
				got[v]++
			}
			for _, s := range shares {
				want := n * s.Percent / 100
				if d := got[s.Version] - want; d < -150 || d > 150 || s.Percent == 0 && d != 0 {
					t.Errorf("%s, %v: version %d was taken %d times of %d, want about %d", name, shares, s.Version, got[s.Version], n, want)
				}
			}
		}
	}
}
