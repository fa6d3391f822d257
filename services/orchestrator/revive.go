package orchestrator

import (
	"context"
	"errors"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// errBusy: a worker has a step that would have to run again.
var errBusy = errors.New("a step of this recipient is with a worker")

func (s *Server) reviveError(d *distribution, err error) error {
	switch {
	case errors.Is(err, store.ErrCancelled):
		return fault.New(fault.Conflict, "DISTRIBUTION_CANCELLED", "distribution %s was cancelled and stays so; send what is wanted as a new one", d.id)
	case errors.Is(err, store.ErrChanged), errors.Is(err, errBusy):
		return fault.New(fault.Unavailable, "DISTRIBUTION_BUSY", "distribution %s is changing too fast to do this now; try again", d.id)
	}
	return unavailable(err)
}

// tries is how often a revival is tried anew because something changed between looking and doing.
const tries = 5

// reviveFiles makes steps of files run again that failed: with code, if it is not empty.
func (s *Server) reviveFiles(ctx context.Context, d *distribution, code, by string) error {
	for range tries {
		records, err := s.store.Units(ctx, d.production, d.id, d.fileUnits())
		if err != nil {
			return err
		}
		all := states(records)
		revivals := d.failedFiles(all, code)
		if len(revivals) == 0 {
			return nil
		}
		err = s.store.Revive(ctx, d.graph, d.production, d.id, store.Again{
			Revivals: revivals, Attempts: attempts(records, revivals), Documents: d.documents(revivals), Who: by, Kind: "retry",
			Others: store.Others(d.steps, all, plan.Revived{Revivals: revivals}),
		})
		if !errors.Is(err, store.ErrChanged) {
			return err
		}
	}
	return store.ErrChanged
}

// failedFiles are the steps of files that failed with code, if it is not empty.
func (d *distribution) failedFiles(files []plan.UnitState, code string) []plan.Revival {
	if code != "" {
		var chosen []plan.UnitState
		for _, f := range files {
			if f.FailedWith(code) {
				chosen = append(chosen, f)
			}
		}
		files = chosen
	}
	return plan.ReviveFiles(d.steps, files)
}

// household is what is known of one recipient: the records of all files, of the recipient's items in the order of files,
// and of the recipient.
type household []store.UnitRecord

func (d *distribution) itemUnits(n int) []plan.Unit {
	units := make([]plan.Unit, d.size.Files)
	for f := range units {
		units[f] = plan.Unit{File: f + 1, Recipient: n}
	}
	return units
}

// households reads those of recipients, in one go.
func (s *Server) households(ctx context.Context, d *distribution, numbers []int) ([]household, error) {
	units := d.fileUnits()
	for _, n := range numbers {
		units = append(append(units, d.itemUnits(n)...), plan.Unit{Recipient: n})
	}
	records, err := s.store.Units(ctx, d.production, d.id, units)
	if err != nil {
		return nil, err
	}
	files, own := records[:d.size.Files:d.size.Files], records[d.size.Files:]
	out := make([]household, len(numbers))
	for i := range numbers {
		out[i] = append(files, own[i*(d.size.Files+1):(i+1)*(d.size.Files+1)]...)
	}
	return out, nil
}

// revived is what plan.Revive makes of a household.
func (d *distribution) revived(h household, redo plan.Redo) plan.Revived {
	all := states(h)
	return plan.Revive(d.steps, d.rules.Join, redo, all[:d.size.Files], all[d.size.Files:2*d.size.Files], all[2*d.size.Files])
}

// again is the revival of a recipient's steps; data, if it is not nil, is what is known of the recipient from now on.
func (s *Server) again(ctx context.Context, d *distribution, n int, h household, revived plan.Revived, data *store.Recipient) (store.Again, error) {
	a := store.Again{Revivals: revived.Revivals, Attempts: attempts(h, revived.Revivals), Documents: d.documents(revived.Revivals),
		Phases: map[plan.Unit]plan.Phase{}, Others: store.Others(d.steps, states(h), revived),
		Recipient: n, Delivery: h[len(h)-1].Delivery, Data: data}
	for _, rec := range h[d.size.Files : 2*d.size.Files] {
		a.Phases[rec.Unit] = rec.Phase
	}
	var err error
	if data == nil {
		a.Data, err = s.furtherMail(ctx, d, n, a.Revivals)
		if err != nil {
			return a, err
		}
	}
	a.Keys, err = s.revivedKeys(ctx, d, a.Revivals, a.Data)
	return a, err
}

// revive makes steps of one recipient run again: what failed, what redo asks for, and what waits for those. data
// replaces what is known of the recipient. It reports whether there was anything to do. errBusy, store.ErrChanged: not now.
func (s *Server) revive(ctx context.Context, d *distribution, n int, redo plan.Redo, data *store.Recipient, kind string) (bool, error) {
	for range tries {
		known, err := s.households(ctx, d, []int{n})
		if err != nil {
			return false, err
		}
		revived := d.revived(known[0], redo)
		if revived.Busy {
			return false, errBusy
		}
		if len(revived.Revivals) == 0 {
			return false, nil
		}
		a, err := s.again(ctx, d, n, known[0], revived, data)
		if err != nil {
			return false, err
		}
		a.Who, a.Kind = who(ctx), kind
		err = s.store.Revive(ctx, d.graph, d.production, d.id, a)
		if !errors.Is(err, store.ErrChanged) {
			return err == nil, err
		}
	}
	return false, store.ErrChanged
}

// documents are what each of revivals is about; see document.
func (d *distribution) documents(revivals []plan.Revival) []string {
	out := make([]string, len(revivals))
	for i, r := range revivals {
		out[i] = d.document(r.Step, r.Unit)
	}
	return out
}

// revivedKeys are the exclusive keys of revivals, since what is known of the recipient may have changed; nil when their
// steps have none.
func (s *Server) revivedKeys(ctx context.Context, d *distribution, revivals []plan.Revival, data *store.Recipient) ([]string, error) {
	var out []string
	for i, r := range revivals {
		if !r.Step.Exclusive {
			continue
		}
		if out == nil {
			out = make([]string, len(revivals))
		}
		known := data
		if known == nil && r.Recipient > 0 {
			people, err := s.store.Recipients(ctx, d.production, d.id, []int{r.Recipient})
			if err != nil {
				return nil, err
			}
			known = &people[0]
		}
		var err error
		out[i], err = d.def.Key(r.Step.Name, d.about(r.Unit, known))
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// furtherMail is what is known of a recipient from now on whose delivery was sent and is among the revivals: should
// there be more to send it is another mail, and what was sent is kept in mind, so that the same is not sent again.
// Otherwise it is nil.
func (s *Server) furtherMail(ctx context.Context, d *distribution, n int, revivals []plan.Revival) (*store.Recipient, error) {
	for _, r := range revivals {
		if r.Step.Delivers == "" || r.From != plan.Done {
			continue
		}
		people, err := s.store.Recipients(ctx, d.production, d.id, []int{n})
		if err != nil {
			return nil, err
		}
		now := people[0]
		now.Mails++
		request, err := s.requestOf(ctx, d, r.Step, r.Unit, &now)
		if err != nil {
			return nil, err
		}
		now.Sent = digest(request)
		return &now, nil
	}
	return nil, nil
}

func (d *distribution) fileUnits() []plan.Unit {
	units := make([]plan.Unit, d.size.Files)
	for f := range units {
		units[f] = plan.Unit{File: f + 1}
	}
	return units
}

func states(records []store.UnitRecord) []plan.UnitState {
	out := make([]plan.UnitState, len(records))
	for i, rec := range records {
		out[i] = plan.UnitState{Unit: rec.Unit, Phase: rec.Phase, Steps: map[string]plan.State{}, Codes: map[string]string{}, Heard: rec.Heard}
		for name, st := range rec.Steps {
			out[i].Steps[name], out[i].Codes[name] = st.State, st.Code
		}
	}
	return out
}

// attempts are those that each revived step had.
func attempts(records []store.UnitRecord, revivals []plan.Revival) []int {
	had := map[plan.Unit]map[string]store.StepRecord{}
	for _, rec := range records {
		had[rec.Unit] = rec.Steps
	}
	out := make([]int, len(revivals))
	for i, r := range revivals {
		out[i] = had[r.Unit][r.Step.Name].Attempts
	}
	return out
}

func who(ctx context.Context) string { return rpc.PrincipalFrom(ctx).GetSubject() }
