package rpc

import (
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

// What is valid at first sight is valid by the rules, also at their edges; what most calls are like is.
func TestPlainlyValidIsValid(t *testing.T) {
	t.Parallel()
	texts := []string{"", "w", strings.Repeat("w", 64), strings.Repeat("w", 65), strings.Repeat("é", 33), strings.Repeat("w", 200), strings.Repeat("w", 201)}
	outcomes := []*taskv1.Result{
		{}, {Outcome: &taskv1.Result_OutputJson{}}, {Outcome: &taskv1.Result_OutputJson{OutputJson: "{}"}}, {Outcome: (*taskv1.Result_OutputJson)(nil)},
		{Outcome: &taskv1.Result_OutputJson{OutputJson: strings.Repeat("x", 8192)}}, {Outcome: &taskv1.Result_OutputJson{OutputJson: strings.Repeat("x", 8193)}},
		{Outcome: &taskv1.Result_Failure{}}, {Outcome: &taskv1.Result_Failure{Failure: &taskv1.Failure{Code: "no code"}}},
		{Outcome: &taskv1.Result_HandBack{HandBack: &taskv1.HandBack{}}}, {Outcome: &taskv1.Result_Pending{Pending: &taskv1.Pending{}}},
	}
	plain := 0
	check := func(m proto.Message) {
		if !plainly(m) {
			return
		}
		plain++
		err := protovalidate.Validate(m)
		if err != nil {
			t.Errorf("plainly valid, and is not: %v", err)
		}
	}
	for _, worker := range texts {
		check(&taskv1.PullRequest{Worker: worker})
		check(&taskv1.ReportRequest{Worker: worker})
		check(&taskv1.ReportRequest{Worker: worker, Results: []*taskv1.Result{nil}})
		for _, task := range texts {
			for _, o := range outcomes {
				r := &taskv1.Result{Task: task, Outcome: o.GetOutcome()}
				dated := &taskv1.Result{Task: task, Outcome: o.GetOutcome(), StartedAt: &timestamppb.Timestamp{Seconds: -1, Nanos: -1}, EndedAt: timestamppb.Now()}
				good := &taskv1.Result{Task: "t", Outcome: &taskv1.Result_OutputJson{OutputJson: "{}"}}
				for _, results := range [][]*taskv1.Result{{r}, {dated}, {good, r}, {good, nil}} {
					check(&taskv1.ReportRequest{Worker: worker, Results: results})
				}
				for _, n := range []int{1000, 1001} {
					if task == "w" && worker == "w" {
						check(&taskv1.ReportRequest{Worker: worker, Results: many(good, n)})
					}
				}
			}
		}
	}
	if plain == 0 {
		t.Error("nothing is plainly valid")
	}
	err := Validate(&taskv1.ReportRequest{Worker: "w", Results: []*taskv1.Result{{Task: "t"}}})
	if err == nil || !strings.Contains(err.Error(), "outcome") {
		t.Errorf("a result without an outcome: %v, want it refused", err)
	}
}

func many(r *taskv1.Result, n int) []*taskv1.Result {
	all := make([]*taskv1.Result, n)
	for i := range all {
		all[i] = r
	}
	return all
}
