package orchestrator

import (
	"context"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// A Planned is a step of what a distribution runs, without those that it leaves out.
type Planned struct {
	Name, Function, Scope string // scope: distribution file item recipient
	Needs, Limits         []string
	Optional              bool
	// Delivers: it is the required delivery of a recipient. Reaches: it waits for the end of the undo window.
	Delivers, Reaches bool
	Timeout           time.Duration
}

// Plan lists the steps of what a distribution runs, in the definition's order.
func (r *Reader) Plan(ctx context.Context, production, id string) ([]Planned, error) {
	d, err := r.find(ctx, production, id)
	if err != nil {
		return nil, err
	}
	out := make([]Planned, len(d.steps.Steps))
	for i := range d.steps.Steps {
		st := &d.steps.Steps[i]
		out[i] = Planned{Name: st.Name, Function: st.Function, Scope: string(st.Scope), Needs: st.Needs, Limits: st.Limits,
			Optional: st.Optional, Delivers: st.Delivers != "", Reaches: st.Reaches, Timeout: st.Timeout}
	}
	return out, nil
}

// A Standing is a step of one unit as its record tells.
type Standing struct {
	Unit, Step, State          string
	Attempts                   int
	Errors, Crashes, Throttles int // of the attempts
	Worker                     string
	Started, Ended, RetryAt    time.Time
	Code, Message              string
	// Output is what it answered, as JSON.
	Output string
	// Limit is what a ready step was put aside for: a limit, or "k/" and a digest for its exclusive key; empty when it waits
	// for a worker.
	Limit          string
	MaybeDuplicate bool
}

// mostUnits is how many units one call reads.
const mostUnits = 1000

// Standing reads the steps of units ("d", "f2", "r7", "i2.7"), at most 1,000, in their order and the definition's; what was
// not laid out yet has none.
func (r *Reader) Standing(ctx context.Context, production, id string, units []string) ([]Standing, error) {
	d, err := r.find(ctx, production, id)
	if err != nil {
		return nil, err
	}
	if len(units) > mostUnits {
		return nil, fault.New(fault.Invalid, "INVALID_ARGUMENT", "at most %d units are read at once", mostUnits)
	}
	parsed := make([]plan.Unit, len(units))
	for i, u := range units {
		parsed[i], err = d.unit(u)
		if err != nil {
			return nil, err
		}
	}
	records, err := r.store.Units(ctx, production, id, parsed)
	if err != nil {
		return nil, unavailable(err)
	}
	var out []Standing
	for _, rec := range records {
		for i := range d.steps.Steps {
			step := &d.steps.Steps[i]
			st, ok := rec.Steps[step.Name]
			if !ok || step.Scope != rec.Scope() {
				continue
			}
			v := d.stepView(step, st, records...)
			s := Standing{Unit: rec.String(), Step: step.Name, State: string(st.State), Attempts: st.Attempts,
				Errors: st.Tally.Errors, Crashes: st.Tally.Crashes, Throttles: st.Tally.Throttles, Worker: st.Worker,
				Started: st.Started, Ended: st.Ended, Code: v.GetError().GetCode(), Message: v.GetError().GetMessage(), Output: st.Output,
				MaybeDuplicate: st.MaybeDuplicate}
			switch st.State {
			case plan.Ready:
				s.Limit = st.Aside
			case plan.Retrying:
				s.RetryAt = st.RetryAt
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// unit reads the name of one of the distribution's units.
func (d *distribution) unit(name string) (plan.Unit, error) {
	u, err := plan.ParseUnit(name)
	if err != nil || u.File > d.size.Files || u.Recipient > d.size.Recipients {
		return u, fault.New(fault.NotFound, "UNIT_UNKNOWN", "there is no %q in distribution %s", name, d.id)
	}
	return u, nil
}

// Request is what a step of a unit is asked with, as JSON, as it would be made now; empty while what it is made of is not
// there. It holds no secret: functions get those themselves.
func (r *Reader) Request(ctx context.Context, production, id, unit, step string) (string, error) {
	d, err := r.find(ctx, production, id)
	if err != nil {
		return "", err
	}
	u, err := d.unit(unit)
	if err != nil {
		return "", err
	}
	st, ok := d.steps.Step(step)
	if !ok || st.Scope != u.Scope() || st.Starts {
		return "", nil
	}
	var person *store.Recipient
	if u.Recipient > 0 {
		people, err := r.store.Recipients(ctx, production, id, []int{u.Recipient})
		if err != nil {
			return "", unavailable(err)
		}
		person = &people[0]
	}
	request, err := r.requestOf(ctx, d, st, u, person)
	if err != nil {
		return "", nil //nolint:nilerr // an expression looks at what is not there yet
	}
	return request, nil
}
