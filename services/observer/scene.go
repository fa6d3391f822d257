package observer

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/fingerprint"
	"github.com/filigreehq/filigree/services/observer/internal/story"
	"github.com/filigreehq/filigree/services/observer/internal/why"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// How much of a distribution is read to tell of it.
const (
	mostEvents = 200_000
	mostPeople = 10_000
)

// A scene is a distribution with what answers and stories about it are made of.
type scene struct {
	view   *distributionv1.Distribution
	plan   []readside.Planned
	d      event.Distribution
	events []event.Event
	// last is the last attempt of each step, by unit and step.
	last map[string]*event.Event
	// failing is the first failure in a row of each step that has not gone well since.
	failing map[string]time.Time
}

// reads are the observer's own reads: of the records, and of what was archived.
func (s *Server) reads() distributionReads { return distributionReads{Records: s.records, s: s} }

// scene reads a distribution and all that happened to it.
func (s *Server) scene(ctx context.Context, production, id string) (*scene, error) {
	got, err := s.reads().GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: production, Distribution: id})
	if err != nil {
		return nil, err
	}
	sc := &scene{view: got.GetDistribution(), last: map[string]*event.Event{}, failing: map[string]time.Time{}}
	sc.plan, err = s.records.Plan(ctx, production, id)
	if err != nil && fault.From(err).Kind != fault.NotFound {
		return nil, err
	}
	if err != nil {
		// It was archived; what is known of its steps is their names.
		for _, st := range sc.view.GetSteps() {
			sc.plan = append(sc.plan, readside.Planned{Name: st.GetName(), Function: st.GetName()})
		}
	}
	sc.d = distributionOf(sc.view, sc.plan)
	sc.events, err = s.eventsOf(ctx, production, id)
	if err != nil {
		return nil, err
	}
	for i := range sc.events {
		sc.note(&sc.events[i])
	}
	return sc, nil
}

// note keeps what is asked of attempts again and again.
func (sc *scene) note(e *event.Event) {
	key := e.Unit + "/" + e.Step
	switch e.Kind {
	case "skipped", "cancelled":
		// A person gave it up: nothing of it fails any more.
		delete(sc.last, key)
		delete(sc.failing, key)
		return
	case "attempt":
	default:
		return
	}
	sc.last[key] = e
	switch {
	case !failed(e):
		delete(sc.failing, key)
	case sc.failing[key].IsZero():
		sc.failing[key] = e.Time
	}
}

// failed reports whether an attempt went wrong.
func failed(e *event.Event) bool { return e.Code != "" && e.State != "done" && e.State != "skipped" }

// step is what the distribution's plan says of a step.
func (sc *scene) step(name string) readside.Planned {
	i := slices.IndexFunc(sc.plan, func(p readside.Planned) bool { return p.Name == name })
	if i < 0 {
		return readside.Planned{Name: name, Function: name}
	}
	return sc.plan[i]
}

// file is the name of a unit's document.
func (sc *scene) file(unit string) string {
	n, _ := story.Numbers(unit)
	if n < 1 || n > len(sc.d.Files) {
		return ""
	}
	if sc.d.Files[n-1].Name == "" {
		return sc.d.Files[n-1].SHA256[:min(12, len(sc.d.Files[n-1].SHA256))]
	}
	return sc.d.Files[n-1].Name
}

// way reads the steps of units as they stand.
func (s *Server) way(ctx context.Context, sc *scene, units []string, now time.Time) ([]why.Step, map[string]string, error) {
	var out []why.Step
	outputs := map[string]string{}
	for from := 0; from < len(units); from += 1000 {
		standing, err := s.records.Standing(ctx, sc.d.Production, sc.d.ID, units[from:min(from+1000, len(units))])
		if err != nil && fault.From(err).Kind == fault.NotFound && sc.view.GetEndedAt() != nil {
			return nil, outputs, nil // archived
		}
		if err != nil {
			return nil, nil, err
		}
		for _, st := range standing {
			out = append(out, sc.standing(st))
			outputs[st.Unit+"/"+st.Step] = st.Output
		}
	}
	in := story.Input{Distribution: sc.d, Unit: "d", Events: sc.events, Now: now}
	since := story.Since(in)
	for i := range out {
		if out[i].Since.IsZero() {
			out[i].Since = since(&out[i])
		}
	}
	return out, outputs, nil
}

// standing is a step as it stands, with what the plan and the events say of it.
func (sc *scene) standing(st readside.Standing) why.Step {
	p := sc.step(st.Step)
	return why.Step{Name: st.Step, Function: p.Function, Unit: st.Unit, File: sc.file(st.Unit), Delivers: p.Delivers, Optional: p.Optional,
		Limits: p.Limits, State: st.State, Worker: st.Worker, Code: st.Code, Message: st.Message, Limit: st.Limit, Attempts: max(st.Attempts, st.Errors),
		Started: st.Started, Ended: st.Ended, RetryAt: st.RetryAt, Since: sc.failing[st.Unit+"/"+st.Step], Timeout: p.Timeout}
}

// person reads one recipient.
func (s *Server) person(ctx context.Context, sc *scene, n int) (*event.Recipient, error) {
	got, err := s.reads().ListRecipients(ctx, &distributionv1.ListRecipientsRequest{Production: sc.d.Production, Distribution: sc.d.ID,
		PageToken: strconv.Itoa(n - 1), PageSize: 1})
	if err != nil {
		return nil, err
	}
	if n < 1 || len(got.GetRecipients()) == 0 {
		return nil, fault.New(fault.NotFound, "RECIPIENT_UNKNOWN", "there is no recipient r%d in distribution %s", n, sc.d.ID)
	}
	r := recipientOf(got.GetRecipients()[0])
	return &r, nil
}

// attempts are all of a distribution's attempts, with whose they were.
func (sc *scene) attempts(people []event.Recipient) []fingerprint.Attempt {
	version := sc.d.Definition
	if sc.d.Version > 0 {
		version += "@" + strconv.Itoa(sc.d.Version)
	}
	var out []fingerprint.Attempt
	for i := range sc.events {
		e := &sc.events[i]
		if e.Kind != "attempt" || e.Started.IsZero() && e.Code == "" {
			continue
		}
		file, n := story.Numbers(e.Unit)
		a := fingerprint.Attempt{Production: sc.d.Production, Distribution: sc.d.ID, Unit: e.Unit, Step: e.Step, Function: sc.step(e.Step).Function,
			Number: e.Attempt, Worker: e.Worker, At: e.Time, Recipient: n, Recipients: sc.d.Recipients, FileName: sc.file(e.Unit), Version: version}
		if file > 0 && file <= len(sc.d.Files) {
			a.File = sc.d.Files[file-1].SHA256
		}
		if n > 0 && n <= len(people) {
			a.Name, a.Email = people[n-1].Name, people[n-1].Email
		}
		if failed(e) {
			a.Code, a.Message, a.Retryable = e.Code, e.Message, e.Retryable
			a.Open = sc.last[e.Unit+"/"+e.Step] == e
		}
		out = append(out, a)
	}
	return out
}
