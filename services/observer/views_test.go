package observer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// shelf is records in memory: each distribution's end, zero while it is open.
type shelf struct {
	ends  map[string]time.Time
	reads int
	down  bool
}

func (s *shelf) briefs(choose func(end time.Time) bool) (all []readside.Brief) {
	for id, end := range s.ends {
		if choose(end) {
			all = append(all, readside.Brief{Production: "default", ID: id, Ended: end})
		}
	}
	return all
}

func (s *shelf) UnendedAfter(_ context.Context, place string, n int) ([]readside.Brief, string, error) {
	all := s.briefs(time.Time.IsZero)
	slices.SortFunc(all, func(a, b readside.Brief) int { return turn(a.ID) - turn(b.ID) })
	all = slices.DeleteFunc(all, func(b readside.Brief) bool { return place != "" && turn(b.ID) <= turn(place) })
	if len(all) <= n {
		return all, "", nil
	}
	return all[:n], all[n-1].ID, nil
}

// turn is an id's place.
func turn(id string) int {
	n, _ := strconv.Atoi(id)
	return n
}

func (s *shelf) Ended(_ context.Context, after time.Time, n int) ([]readside.Brief, error) {
	all := s.briefs(func(end time.Time) bool { return end.After(after) })
	slices.SortFunc(all, func(a, b readside.Brief) int { return a.Ended.Compare(b.Ended) })
	return all[:min(n, len(all))], nil
}

func (s *shelf) GetDistribution(_ context.Context, r *distributionv1.GetDistributionRequest) (*distributionv1.GetDistributionResponse, error) {
	s.reads++
	if s.down {
		return nil, fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the state store did not answer")
	}
	end, ok := s.ends[r.GetDistribution()]
	if !ok {
		return nil, fault.New(fault.NotFound, "DISTRIBUTION_UNKNOWN", "gone")
	}
	d := &distributionv1.Distribution{Id: r.GetDistribution(), Production: r.GetProduction()}
	if !end.IsZero() {
		d.EndedAt = timestamppb.New(end)
	}
	return &distributionv1.GetDistributionResponse{Distribution: d}, nil
}

func (s *shelf) LastEvent(context.Context, string, string) (readside.Last, error) {
	return readside.Last{}, nil
}

// However many are open, all of them are among the views after a few rounds, those that ended meanwhile for an hour, and none
// that is gone; and no round reads more than its share.
func TestViewsAreWholeInSlices(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	s, v := &shelf{ends: map[string]time.Time{}}, &views{}
	for i := range 100 {
		s.ends[fmt.Sprint(100+i)] = time.Time{}
	}
	rounds := func(n int) {
		t.Helper()
		for range n {
			s.reads = 0
			err := v.round(t.Context(), s, now, 12)
			if err != nil {
				t.Fatal(err)
			}
			if s.reads > 15 {
				t.Errorf("one round read %d, want at most 15", s.reads)
			}
		}
	}
	check := func(what string) {
		t.Helper()
		want, got := map[string]bool{}, map[string]bool{}
		for id, end := range s.ends {
			if end.IsZero() || !end.Before(now.Add(-endedFor)) {
				want[id] = end.IsZero()
			}
		}
		for _, d := range v.list {
			got[d.GetId()] = d.GetEndedAt() == nil
		}
		if fmt.Sprint(want) != fmt.Sprint(got) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	rounds(9)
	check("after one time around")
	for i := range 20 {
		s.ends[fmt.Sprint(100+i*4)] = now.Add(time.Duration(i/2) * time.Millisecond) // some in the same moment
	}
	delete(s.ends, "199")
	s.ends["300"] = time.Time{}
	rounds(20)
	check("when some ended, one is gone and one is new")
	s.ends["100"] = time.Time{} // a retry
	rounds(8)
	check("when one is open again")
	s.down = true
	err := v.round(t.Context(), s, now, 12)
	if fault.From(err).Reason != "STORE_UNAVAILABLE" {
		t.Errorf("got %v, want that nothing can be read", err)
	}
	check("when Redis went away")
	s.down = false
	now = now.Add(2 * time.Hour)
	rounds(1)
	check("two hours later")
}
