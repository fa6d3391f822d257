package rpc

import (
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

// plainly reports whether m keeps all rules of its proto at first sight; false says nothing. Reports of attempts that
// succeeded are most of what an orchestrator is called with, and holding each against the rules by reflection is a twentieth
// of its time. A test holds this against the rules themselves.
func plainly(m proto.Message) bool {
	report, ok := m.(*taskv1.ReportRequest)
	if !ok || !within(report.GetWorker(), 64) || len(report.GetResults()) == 0 || len(report.GetResults()) > 1000 {
		return false
	}
	for _, r := range report.GetResults() {
		output, ok := r.GetOutcome().(*taskv1.Result_OutputJson)
		if !ok || output == nil || len(output.OutputJson) > 8192 || !within(r.GetTask(), 200) {
			return false
		}
	}
	return true
}

// within reports whether s has letters, surely no more than n: it has no more bytes.
func within(s string, n int) bool { return s != "" && len(s) <= n }
