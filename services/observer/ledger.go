package observer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/ledger"
)

// mostStanding is how many units of an open distribution are looked at for steps that are open.
const mostStanding = 1000

// GetLedger implements observerv1.ObserverServiceServer.
func (s *Server) GetLedger(ctx context.Context, req *observerv1.GetLedgerRequest) (*observerv1.GetLedgerResponse, error) {
	l := s.seen(ctx)
	sc, err := s.scene(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	events, until := sc.events, sc.d.Ended
	if until.IsZero() {
		until = l.now()
		open, err := s.openSteps(ctx, sc)
		if err != nil {
			return nil, err
		}
		events = slices.Concat(events, open)
	}
	return &observerv1.GetLedgerResponse{Ledger: ledgerView(ledger.Of(sc.d, events, s.pausesOf(sc.d.Production), until)), Freshness: s.freshness(l)}, nil
}

// openSteps are the steps of an open distribution that are with a worker or ready, as attempts that have not ended: those of
// the distribution, of its files, and of as many recipients, with their items, as fit.
func (s *Server) openSteps(ctx context.Context, sc *scene) ([]event.Event, error) {
	units := []string{"d"}
	for f := range sc.d.Files {
		units = append(units, "f"+strconv.Itoa(f+1))
	}
	for r := 1; r <= sc.d.Recipients && len(units)+1+len(sc.d.Files) <= mostStanding; r++ {
		units = append(units, "r"+strconv.Itoa(r))
		for f := range sc.d.Files {
			units = append(units, fmt.Sprintf("i%d.%d", f+1, r))
		}
	}
	standing, err := s.records.Standing(ctx, sc.d.Production, sc.d.ID, units[:min(len(units), mostStanding)])
	if err != nil && fault.From(err).Kind == fault.NotFound {
		return nil, nil // it has ended and was forgotten meanwhile
	}
	if err != nil {
		return nil, err
	}
	var out []event.Event
	for _, st := range standing {
		e := event.Event{Kind: "attempt", Step: st.Step, Unit: st.Unit, Worker: st.Worker, State: st.State}
		switch st.State {
		case "running":
			e.Started = st.Started
		case "ready":
			if e.Limit = st.Limit; e.Limit != "" {
				e.LimitWait = 365 * 24 * time.Hour // since whenever it was ready: the ledger takes what there is
			}
		default:
			continue
		}
		out = append(out, e)
	}
	return out, nil
}

func ledgerView(l ledger.Ledger) *observerv1.Ledger {
	v := &observerv1.Ledger{From: timestamppb.New(l.From), Until: timestamppb.New(l.Until), Sentence: ledgerSentence(l)}
	for _, p := range l.Parts {
		v.Parts = append(v.Parts, &observerv1.LedgerPart{From: timestamppb.New(p.From), Until: timestamppb.New(p.Until), Kind: string(p.Kind),
			Step: p.Step, Unit: p.Unit, Subject: p.Subject})
	}
	for _, x := range l.Sums {
		v.Sums = append(v.Sums, &observerv1.LedgerSum{Step: x.Step, Kind: string(x.Kind), Time: durationpb.New(x.Time), Share: x.Share})
	}
	return v
}

// ledgerSentence names what most of the time went to.
func ledgerSentence(l ledger.Ledger) string {
	if len(l.Sums) == 0 {
		return ""
	}
	whole, most := l.Until.Sub(l.From), l.Sums[0]
	subject := ""
	for _, p := range l.Parts {
		if p.Step == most.Step && p.Kind == most.Kind && p.Subject != "" {
			subject = p.Subject
		}
	}
	what := ""
	switch most.Kind {
	case ledger.Waiting:
		what = "waiting for " + subject
		if subject == "" {
			what = "waiting"
		}
	case ledger.Slot:
		what = "with " + most.Step + " ready and no worker free"
		if most.Step == "" {
			what = "with nothing running"
		}
	case ledger.Limit:
		what = fmt.Sprintf("with %s waiting at limit %s", most.Step, subject)
	case ledger.Backoff:
		what = "between tries of " + most.Step
	case ledger.Service:
		what = "in " + most.Step + " itself"
	}
	return fmt.Sprintf("Of %s %s (%.0f %%) went by %s.", short(whole), short(most.Time), 100*most.Share, what)
}

// short is a time as people say it.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
