package send

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// Waiting begins when the last of what a step needs has ended, whatever the two are about.
func TestSpans(t *testing.T) {
	t.Parallel()
	at := func(ms int) *timestamppb.Timestamp { return timestamppb.New(time.UnixMilli(int64(1000 + ms))) }
	attempt := func(step, unit string, n int32, from, to int) *distributionv1.Event {
		return &distributionv1.Event{Kind: "attempt", Step: step, Unit: unit, Attempt: n, StartedAt: at(from), Time: at(to)}
	}
	g := &graph{}
	for _, st := range []struct {
		name  string
		needs []string
	}{{"prepare", nil}, {"watermark", []string{"prepare"}}, {"email", []string{"watermark", "link"}}, {"report", []string{"email"}}} {
		g.Steps = append(g.Steps, struct {
			Name  string   `yaml:"name"`
			Needs []string `yaml:"needs"`
		}{st.name, st.needs})
	}
	run, wait := map[string][]time.Duration{}, map[string][]time.Duration{}
	spans([]*distributionv1.Event{
		{Kind: "accepted", Time: at(0)},
		attempt("prepare", "f1", 1, 5, 10),
		attempt("prepare", "f2", 1, 7, 30),
		attempt("watermark", "i1.1", 1, 12, 20), // 2 after f1
		attempt("watermark", "i2.1", 1, 33, 50), // 3 after f2
		attempt("email", "r1", 1, 54, 60),       // 4 after both; no step link
		attempt("email", "r1", 2, 100, 101),     // again, which waited on purpose
		attempt("report", "d", 1, 108, 109),     // 7 after the last
	}, g, run, wait)
	for step, want := range map[string][]int{"prepare": {5, 7}, "watermark": {2, 3}, "email": {4}, "report": {7}} {
		if len(wait[step]) != len(want) {
			t.Errorf("%s: got waits %v, want %v ms", step, wait[step], want)
			continue
		}
		for i, ms := range want {
			if wait[step][i] != time.Duration(ms)*time.Millisecond {
				t.Errorf("%s: got waits %v, want %v ms", step, wait[step], want)
			}
		}
	}
	if len(run["email"]) != 2 || run["email"][0] != 6*time.Millisecond {
		t.Errorf("got email running %v, want 6 ms and another", run["email"])
	}
}
