package store

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// Again is what of a distribution is to run again.
type Again struct {
	Revivals []plan.Revival
	// Attempts is how many attempts each revived step had when the caller looked, in the order of Revivals.
	Attempts []int
	// Phases is the phase that each item had whose steps are revived.
	Phases map[plan.Unit]plan.Phase
	// Recipient is whose it is, 0 for files; Delivery the state that their delivery had, if it is among the revived.
	Recipient int
	Delivery  plan.Delivery
	// Data replaces the recipient's, if it is not nil.
	Data *Recipient
	// Who asked, and the kind of the event that says so.
	Who, Kind string
}

type luaRevival struct {
	Unit     string     `json:"u"`
	Step     string     `json:"s"`
	From     plan.State `json:"from"`
	Attempts int        `json:"a"`
	To       plan.State `json:"to"`
	Waits    int        `json:"w"`
	OK       bool       `json:"ok,omitempty"`
	Bad      bool       `json:"bad,omitempty"`
	Hard     bool       `json:"hard,omitempty"`
	Queue    string     `json:"queue"`
}

type luaItem struct {
	Unit  string     `json:"u"`
	Phase plan.Phase `json:"p"`
	Open  int        `json:"o"`
}

// Revive makes steps run again, all of a or none of it. ErrChanged: somebody was faster; look again. ErrCancelled: a
// cancelled distribution stays cancelled.
func (s *Store) Revive(ctx context.Context, production, id string, a Again) error {
	steps := []luaRevival{}
	items := []luaItem{}
	queued := []string{}
	at := map[plan.Unit]int{} // where each item stands in items
	for i, r := range a.Revivals {
		steps = append(steps, luaRevival{Unit: r.Unit.String(), Step: r.Step.Name, From: r.From, Attempts: a.Attempts[i], To: r.To,
			Waits: r.Waits, OK: r.AnyOK, Bad: r.AnyBad, Hard: r.AnyHard, Queue: r.Step.Function})
		if r.Step.Delivers != "" {
			queued = []string{r.Unit.String(), string(a.Delivery)}
		}
		if r.Scope() != plan.ScopeItem {
			continue
		}
		n, ok := at[r.Unit]
		if !ok {
			n = len(items)
			at[r.Unit] = n
			items = append(items, luaItem{Unit: r.Unit.String(), Phase: a.Phases[r.Unit]})
		}
		items[n].Open++
	}
	stepsJSON, err1 := json.Marshal(steps)
	itemsJSON, err2 := json.Marshal(items)
	queuedJSON, err3 := json.Marshal(queued)
	number, data := "", []byte{}
	var err4 error
	if a.Data != nil {
		number = strconv.Itoa(a.Recipient)
		data, err4 = json.Marshal(a.Data)
	}
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return err
		}
	}
	sh := s.shardOf(production)
	args := []any{id, stepsJSON, itemsJSON, queuedJSON, number, data, a.Who, a.Kind}
	for _, st := range plan.DistributionStates {
		if st.Final() {
			args = append(args, string(st))
		}
	}
	code, err := reviveScript.run(ctx, s.c, []string{sh.dist(id), sh.events(id), sh.changed(), sh.open(), sh.recipients(id)}, args...)
	switch {
	case err != nil:
		return err
	case code == 0:
		return ErrChanged
	case code == 2:
		return ErrCancelled
	}
	return nil
}
