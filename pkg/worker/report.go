package worker

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/fault"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

// result says how an attempt ended; nil when there is nothing to say because the task is not ours any more. Whatever a
// handler answered, it is a valid result: one that is not would take all those with it that are reported with it.
func (w *words) result(id, output string, err error, cause error) *taskv1.Result {
	r := &w.report
	r.Task = id
	if err == nil {
		err = unfit(output)
	}
	if err == nil {
		w.output.OutputJson, r.Outcome = output, &w.output
		return r
	}
	var pending *pendingError
	switch f := fault.From(err); {
	case f.Uncertain:
		// Whatever ended the attempt, that the effect may have happened is what counts.
		r.Outcome = &taskv1.Result_Failure{Failure: failure(f)}
	case errors.Is(err, ErrFenced) || errors.Is(cause, ErrFenced):
		return nil
	case errors.As(err, &pending):
		// So is that something was submitted.
		r.Outcome = &taskv1.Result_Pending{Pending: &taskv1.Pending{AskAfter: durationpb.New(pending.askAfter), Checkpoint: pending.checkpoint}}
	case errors.Is(err, ErrCancelled) || errors.Is(cause, ErrCancelled) || errors.Is(cause, errStopping):
		r.Outcome = &taskv1.Result_HandBack{HandBack: &taskv1.HandBack{}}
	default:
		r.Outcome = &taskv1.Result_Failure{Failure: failure(f)}
	}
	return r
}

const maxOutput = 8192

// unfit says why output cannot be reported.
func unfit(output string) error {
	if len(output) > maxOutput {
		return fault.New(fault.Invalid, "OUTPUT_TOO_LARGE", "the function answered with %d bytes and may with %d; large things belong into blobs", len(output), maxOutput)
	}
	if !utf8.ValidString(output) {
		return fault.New(fault.Invalid, "OUTPUT_INVALID", "the function's answer is not UTF-8")
	}
	return nil
}

// codes are those that a failure may have.
var codes = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,47}$`)

func failure(f *fault.Error) *taskv1.Failure {
	out := &taskv1.Failure{Class: taskv1.FailureClass_FAILURE_CLASS_PERMANENT, Code: f.Reason, Message: clip(strings.ToValidUTF8(f.Message, "�"), 900)}
	if !codes.MatchString(out.GetCode()) {
		out.Code = "UNNAMED"
	}
	switch f.Delivery {
	case "failed", "bounced", "blocked":
		out.Delivery = f.Delivery
	}
	switch {
	case f.Uncertain:
		out.Class = taskv1.FailureClass_FAILURE_CLASS_UNCERTAIN
	case f.Kind == fault.Exhausted:
		out.Class = taskv1.FailureClass_FAILURE_CLASS_THROTTLED
	case f.Transient():
		out.Class = taskv1.FailureClass_FAILURE_CLASS_TRANSIENT
	}
	if f.RetryAfter > 0 {
		out.RetryAfter = durationpb.New(f.RetryAfter)
	}
	return out
}

// clip cuts s to at most n bytes at a rune's boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// maxReport is how many results are reported together.
const maxReport = 100

// report sends ends of attempts in batches of whatever has come together, until results is closed and empty.
func (w *Worker) report(work context.Context) {
	for first := range w.results {
		batch := []*taskv1.Result{first}
	collect:
		for len(batch) < maxReport {
			select {
			case r, ok := <-w.results:
				if !ok {
					break collect
				}
				batch = append(batch, r)
			default:
				break collect
			}
		}
		w.deliver(work, batch)
	}
}

// deliver repeats a report until it is answered, until the leases would long have passed to others, or until work ends.
func (w *Worker) deliver(work context.Context, batch []*taskv1.Result) {
	var again backoff
	for giveUp := time.Now().Add(2 * time.Minute); ; {
		call, cancel := context.WithTimeout(work, 10*time.Second)
		_, err := w.tasks.Report(call, &taskv1.ReportRequest{Worker: w.cfg.Name, Results: batch})
		cancel()
		if err == nil || !fault.Transient(err) || time.Now().After(giveUp) || work.Err() != nil {
			if err != nil {
				w.log.ErrorContext(work, "report lost; the tasks will run again", "tasks", len(batch), "err", err)
			}
			w.release(batch...)
			return
		}
		w.log.WarnContext(work, "report failed, trying again", "err", err)
		again.pause(work)
	}
}
