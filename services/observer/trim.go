package observer

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer/internal/archive"
	"github.com/filigreehq/filigree/services/observer/internal/store"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// Events that are archived are deleted from the records: the orchestrator does it, when it is told what the archive has. Only
// what was read back is told of. Events that came after are archived, too, as another segment: the answer says that there are
// any, and every sweepLooks looks it goes through all that ended and has events in the records.

const (
	sweepLooks = 300
	// sweptAtOnce bounds how much a sweep does at a time, so that what ends meanwhile is archived.
	sweptAtOnce = 100
	// toldAtOnce bounds how many are told of at a time.
	toldAtOnce = 500
)

// noteArchived reads a distribution's last segment back, and notes that it is archived and that the orchestrator is to be told.
func (s *Server) noteArchived(ctx context.Context, b readside.Brief, segment int) error {
	last := ""
	digest, err := s.keeping.archive.ReadBack(ctx, b.Production, b.ID, segment, func(kind byte, record []byte) error {
		if kind != archive.Event {
			return nil
		}
		e := &distributionv1.Event{}
		err := unmarshal(record, e)
		last = e.GetId()
		return err
	})
	if err != nil {
		return err
	}
	return s.store.Archived(ctx, store.Archived{Production: b.Production, ID: b.ID, Ended: b.Ended, LastEvent: last, SHA256: digest})
}

// tellArchived tells the orchestrator what is archived. While none answers it is kept.
func (s *Server) tellArchived(ctx context.Context) error {
	all, err := s.store.Untold(ctx, toldAtOnce)
	if err != nil {
		return err
	}
	for _, a := range all {
		more := false
		if a.LastEvent != "" { // a segment without events is of an end that none tells of
			resp, err := s.deps.Distributions.ArchivedDistribution(ctx, &distributionv1.ArchivedDistributionRequest{
				Production: a.Production, Distribution: a.ID, EndedAt: timestamppb.New(a.Ended), LastEvent: a.LastEvent, Sha256: a.SHA256})
			switch {
			case err == nil:
				more = resp.GetMore()
			case fault.From(err).Kind == fault.Conflict, fault.From(err).Kind == fault.NotFound:
				// It runs again, ended again, or is forgotten: nothing is to be deleted.
				s.deps.Log.DebugContext(ctx, "events that are archived stay", "distribution", a.ID, "production", a.Production, "err", err)
			default:
				return err
			}
		}
		err = s.store.Told(ctx, a)
		if err == nil && more {
			err = s.archiveOne(ctx, readside.Brief{Production: a.Production, ID: a.ID, Ended: a.Ended})
		}
		if err != nil && !errors.Is(err, errMoved) && fault.From(err).Kind != fault.NotFound {
			return err
		}
	}
	return nil
}

// archiveKept archives what is in the records of distributions that ended, and not in the archive. Each call does a part.
func (s *Server) archiveKept(ctx context.Context) error {
	k := s.keeping
	if !k.begun {
		if time.Since(k.swept) < sweepLooks*s.cfg.Look {
			return nil
		}
		k.begun, k.sweep = true, time.Time{}
	}
	kept, next, err := s.records.Kept(ctx, k.sweep, sweptAtOnce)
	if err != nil {
		return err
	}
	var failed []error
	for _, b := range kept {
		err = s.archiveOne(ctx, b)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, errMoved) && fault.From(err).Kind != fault.NotFound {
			failed = append(failed, err)
		}
	}
	k.sweep = next
	if next.IsZero() {
		k.begun, k.swept = false, time.Now()
	}
	return errors.Join(failed...)
}
