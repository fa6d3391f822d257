// Command broken breaks the source in one place at a time, by an overlay and not in the tree, and runs the test that is to
// notice. A test that passes all the same shows nothing: then broken fails.
//
// Run it at the root of the workspace (make broken). Arguments choose by words in a name; none means all.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A defect is one way to break the source, and the test that notices.
type defect struct {
	row, name      string
	file, from, to string
	pkg, test      string
}

// A row is that of what is promised; see docs/reliability.md.
var defects = []defect{
	{"cancel", "every checkpoint is granted, also of what was cancelled",
		"services/orchestrator/internal/store/lua/checkpoint.lua", "local at = redis.call(", "do return 1 end\nlocal at = redis.call(",
		"./loadtest/e2e", "TestCancelAndPauseInFlight"},
	{"cancel", "a pause holds nothing back",
		"services/orchestrator/internal/store/lua/claim.lua", "got[1] == 'running' and not got[2]", "(got[1] == 'running' or got[1] == 'paused') and not got[2]",
		"./loadtest/e2e", "TestCancelAndPauseInFlight"},
	{"cancel", "who has their mail is cancelled with what is optional",
		"services/orchestrator/internal/store/lua/settle.lua", "(outcome == 'ok' or g.optional) and 'made'", "outcome == 'ok' and 'made'",
		"./services/orchestrator", "TestCancelLeavesDoneWhatReachedPeople"},
	{"graceful stop", "what a stop interrupts is a failure",
		"pkg/worker/report.go", "|| errors.Is(cause, errStopping):", ":",
		"./loadtest/e2e", "TestRollingRestart"},
	{"pause of a worker", "every checkpoint is granted",
		"services/orchestrator/internal/store/lua/checkpoint.lua", "if at[1] ~= 'running' or at[2] ~= ARGV[3] or at[3] ~= ARGV[4] then", "if false then",
		"./loadtest/e2e", "TestStoppedPastTheLease"},
	{"pause of a worker", "whoever reports is believed",
		"services/orchestrator/internal/store/lua/settle.lua", "if a > 0 and (tonumber(r[f.a]) ~= a or r[f.by] ~= op.w) then", "if false then",
		"./services/orchestrator", "TestLateWordsOfALostWorker"},
	{"pause of a worker", "old leave is acted on",
		"pkg/worker/task.go", "freshFor = 5 * time.Second", "freshFor = time.Hour",
		"./pkg/worker", "TestLeaveThatIsTooOldIsNotActedOn"},
	{"gRPC faults", "a report whose answer is lost is not repeated",
		"pkg/worker/report.go", "if err == nil || !fault.Transient(err) ||", "if true || !fault.Transient(err) ||",
		"./services/orchestrator", "TestCallsThatFailOrOnlySeemTo"},
	{"gRPC faults", "a task that never arrived is not taken back, nor when its lease ends",
		"services/orchestrator/loop.go", "for _, group := range byDistribution(lost) {", "for _, group := range byDistribution(lost[:0]) {",
		"./services/orchestrator", "TestLateWordsOfALostWorker"},
	{"quota", "what is asked for again does not count",
		"services/orchestrator/internal/store/lua/ask.lua", "if size[1] == '0' then", "if false then",
		"./services/orchestrator", "TestQuotaOfOpenItems"},
	{"scripts run twice", "a failure told twice counts twice against a breaker",
		"services/orchestrator/internal/store/lua/heed.lua", "if redis.call('ZADD', counted, 'NX', now, ARGV[5]) == 0 then", "if false then",
		"./services/orchestrator/internal/store", "TestEveryScriptRunTwice"},
	{"scripts run twice", "recipients of what was made already are staged anew, to go in an hour",
		"services/orchestrator/internal/store/store.go", "if err != nil || made > 0 {", "if err != nil || made > 1 {",
		"./services/orchestrator/internal/store", "TestEveryScriptRunTwice"},
	{"idempotency", "keys are kept for 23 hours",
		"services/orchestrator/internal/store/store.go", "keepIdempotency = 48 * time.Hour", "keepIdempotency = 23 * time.Hour",
		"./services/orchestrator", "TestAKeyIsKeptByRedissClock"},
	{"idempotency", "keys are not looked at",
		"services/orchestrator/internal/store/lua/create.lua", "if was[1] then", "if false then",
		"./loadtest/e2e", "TestOneKeyForAHundredRequests"},
	{"gRPC faults", "who asks for the same mail again by the same key gets another",
		"services/orchestrator/resend.go", `if asked != "" && was.Asked == asked {`, "if false {",
		"./services/standalone", "TestEveryMethodThatFailsOrOnlySeemsTo"},
	{"gRPC faults", "a cancelled distribution is cancelled again",
		"services/orchestrator/internal/store/lua/cancel.lua", "if about[2] then\n  return 2", "if false then\n  return 2",
		"./services/standalone", "TestEveryMethodThatFailsOrOnlySeemsTo"},
	{"quota", "quotas are not looked at",
		"services/orchestrator/internal/store/lua/create.lua", "if ARGV[12] ~= '-' then", "if false then",
		"./services/orchestrator", "TestQuotaOfOpenItems"},
	{"quota", "a minute may see one distribution more",
		"services/orchestrator/internal/store/lua/create.lua", "'+inf') >= minute then", "'+inf') > minute then",
		"./services/orchestrator", "TestQuotaOfAMinute"},
	{"quota", "what steps start waits for room, too",
		"services/orchestrator/internal/store/store.go", "if n.Parent != nil || n.Hidden {", "if n.Hidden {",
		"./services/orchestrator", "TestWhatStepsStartIsNotRefused"},
	{"quota", "what has ended goes on counting",
		"services/orchestrator/internal/store/lua/settle.lua", "if end_at[3] == '1' then", "if false then",
		"./services/orchestrator", "TestQuotaOfOpenItems"},
	{"fairness", "productions are served first come, first served",
		"services/orchestrator/internal/store/lua/claim.lua", "call('ZINCRBY', index, started / weight, production)", "local all = weight",
		"./services/orchestrator", "TestSmallOnesBesideAFlood"},
	{"fairness", "deadlines do not count",
		"services/orchestrator/internal/store/lua/layout.lua", "kind[3] + deadline", "kind[3]",
		"./services/orchestrator", "TestSmallOnesBesideAFlood"},
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(words []string) int {
	dir, err := os.MkdirTemp("", "filigree-broken-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "a folder for what is broken:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder harms nobody
	unnoticed, ran := 0, 0
	for _, d := range defects {
		if !chosen(d, words) {
			continue
		}
		ran++
		begin := time.Now()
		said, err := d.noticed(dir)
		if err != nil {
			unnoticed++
		}
		fmt.Printf("%-18s %-75s %-40s %s (%.0f s)\n", d.row, d.name, d.test, said, time.Since(begin).Seconds())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if ran == 0 || unnoticed > 0 {
		fmt.Fprintf(os.Stderr, "%d ways to break it, %d of them not noticed\n", ran, unnoticed)
		return 1
	}
	return 0
}

func chosen(d defect, words []string) bool {
	for _, w := range words {
		if strings.Contains(d.row+" "+d.name+" "+d.test, w) {
			return true
		}
	}
	return len(words) == 0
}

// broken is the file as it is, broken.
func (d defect) broken(root string) (string, error) {
	source, err := os.ReadFile(filepath.Join(root, d.file))
	if err != nil {
		return "", err
	}
	n := strings.Count(string(source), d.from)
	if n != 1 {
		return "", fmt.Errorf("%s has %q %d times, want once: what is to be broken has changed", d.file, d.from, n)
	}
	return strings.Replace(string(source), d.from, d.to, 1), nil
}

// noticed runs the test on the broken source. Only a test that ran and failed has noticed.
func (d defect) noticed(dir string) (said string, err error) {
	root, err := os.Getwd()
	if err != nil {
		return "not run", err
	}
	text, err := d.broken(root)
	if err != nil {
		return "not run", err
	}
	changed, overlay := filepath.Join(dir, filepath.Base(d.file)), filepath.Join(dir, "overlay.json")
	raw, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, d.file): changed}})
	if err != nil {
		return "not run", err
	}
	for path, data := range map[string][]byte{changed: []byte(text), overlay: raw} {
		err = os.WriteFile(path, data, 0o600)
		if err != nil {
			return "not run", err
		}
	}
	cmd := exec.Command("go", "test", "-count=1", "-timeout", "10m", "-run", "^"+d.test+"$", d.pkg)
	// What the test builds is broken, too.
	cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay, "FILIGREE_BIN=")
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return "NOT NOTICED", fmt.Errorf("%s passes although %s", d.test, d.name)
	case !strings.Contains(string(out), "--- FAIL: "+d.test):
		return "not run", fmt.Errorf("%s did not run: %w\n%.2000s", d.test, err, out)
	}
	return "noticed", nil
}
