package observer

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// What the contract says, as the observer's parts speak of it.

func eventOf(production, distribution string, e *distributionv1.Event) event.Event {
	v := event.Event{
		Production: production, Distribution: distribution, ID: e.GetId(), Time: moment(e.GetTime()), Kind: e.GetKind(),
		Step: e.GetStep(), Unit: e.GetUnit(), Attempt: int(e.GetAttempt()), Worker: e.GetWorker(), Started: moment(e.GetStartedAt()),
		State: e.GetState(), Code: e.GetError().GetCode(), Message: e.GetError().GetMessage(), Retryable: e.GetError().GetRetryable(),
		RetryAt: moment(e.GetRetryAt()), Delivery: e.GetDelivery(), Again: e.GetAgain(),
		Limit: e.GetLimit(), LimitWait: e.GetLimitWait().AsDuration(), BytesIn: e.GetBytesIn(), BytesOut: e.GetBytesOut(), Text: e.GetText(),
	}
	for _, m := range e.GetMetrics() {
		v.Metrics = append(v.Metrics, event.Metric{Name: m.GetName(), Value: m.GetValue(), Labels: m.GetLabels()})
	}
	for _, l := range e.GetLog() {
		v.Log = append(v.Log, event.Line{Time: moment(l.GetTime()), Level: l.GetLevel(), Text: l.GetText()})
	}
	return v
}

// distributionOf is d, with what its plan says of its steps, if that was read.
func distributionOf(d *distributionv1.Distribution, plan []readside.Planned) event.Distribution {
	v := event.Distribution{
		Production: d.GetProduction(), ID: d.GetId(), Title: d.GetTitle(), State: d.GetState(), Mode: d.GetMode(),
		Definition: d.GetDefinition().GetName(), Version: int(d.GetDefinition().GetVersion()),
		Created: moment(d.GetCreatedAt()), Started: moment(d.GetStartedAt()), Ended: moment(d.GetEndedAt()), Deadline: moment(d.GetDeadline()),
		HeldUntil: moment(d.GetHeldUntil()), Items: int(d.GetItems().GetTotal()), ItemsDone: int(d.GetItems().GetDone()),
		ItemsFailed: int(d.GetItems().GetFailed()), Recipients: int(d.GetRecipients().GetTotal()), Parent: d.GetParent(),
	}
	for _, f := range d.GetFiles() {
		v.Files = append(v.Files, event.File{SHA256: f.GetSha256(), Name: f.GetName()})
	}
	for _, c := range d.GetSteps() {
		v.Steps = append(v.Steps, event.Step{Name: c.GetName(), Counts: map[string]int{
			"pending": int(c.GetPending()), "ready": int(c.GetReady()), "running": int(c.GetRunning()), "retrying": int(c.GetRetrying()),
			"done": int(c.GetDone()), "failed": int(c.GetFailed()), "skipped": int(c.GetSkipped()), "cancelled": int(c.GetCancelled()),
		}})
	}
	for i := range v.Steps {
		for _, p := range plan {
			if s := &v.Steps[i]; s.Name == p.Name {
				s.Function, s.Scope, s.Needs, s.Limits, s.Optional, s.Delivers = p.Function, p.Scope, p.Needs, p.Limits, p.Optional, p.Reaches
			}
		}
	}
	return v
}

func recipientOf(r *distributionv1.Recipient) event.Recipient {
	d := r.GetDelivery()
	return event.Recipient{
		Number: numberOf(r.GetId()), Name: r.GetName(), Email: r.GetEmail(), State: d.GetState(), MessageID: strings.Trim(d.GetMessageId(), "<>"),
		Code: d.GetError().GetCode(), Message: d.GetError().GetMessage(), SentAt: moment(d.GetSentAt()),
	}
}

// numberOf is the recipient's number in "<distribution>.r7"; 0 when it is none.
func numberOf(id string) int {
	_, text, _ := strings.Cut(id, ".r")
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// moment is a time that may be absent.
func moment(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// stampOf is the reverse of moment.
func stampOf(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
