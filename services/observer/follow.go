package observer

import (
	"context"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/follow"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// source is where the index reads: the records, and the archive where these have forgotten. What it reads of lately happened
// events rules look at, too.
type source struct {
	records *readside.Records
	server  *Server // nil: there is no archive
	named   func(distribution, title string)
	saw     func([]event.Event)
}

var _ follow.Source = source{}

const (
	mostWords   = 10_000
	mostUnended = 1_000_000
	endedPage   = 1000
)

// sourceError says to a follower what err means for it.
func sourceError(err error) error {
	switch fault.From(err).Kind {
	case fault.NotFound:
		return follow.ErrGone
	case fault.Unavailable:
		return &unavailable{err}
	}
	if fault.From(err).Reason == "RECORDS_VERSION" {
		return &unavailable{err} // until this is another release
	}
	return err
}

// unavailable is a follow.ErrUnavailable with its reason.
type unavailable struct{ error }

func (e *unavailable) Is(target error) bool { return target == follow.ErrUnavailable }
func (e *unavailable) Unwrap() error        { return e.error }

// Changes implements follow.Source.
func (s source) Changes(ctx context.Context, after string, wait time.Duration) ([]follow.Change, string, bool, error) {
	got, next, gap, err := s.records.Changes(itself(ctx), after, mostWords, wait)
	if err != nil {
		return nil, after, false, sourceError(err)
	}
	out := make([]follow.Change, len(got))
	for i, c := range got {
		out[i] = follow.Change{Ref: follow.Ref{Production: c.Production, Distribution: c.Distribution}, Time: c.Time}
	}
	return out, next, gap, nil
}

// Since implements follow.Source.
func (s source) Since(ctx context.Context, after time.Time, each func(follow.Ref)) error {
	ctx = itself(ctx)
	open, err := s.records.Unended(ctx, mostUnended)
	if err != nil {
		return sourceError(err)
	}
	for _, b := range open {
		each(follow.Ref{Production: b.Production, Distribution: b.ID})
	}
	if after.IsZero() && s.server != nil {
		err = s.server.keeping.archived(ctx, each)
		if err != nil {
			return &unavailable{archiveUnavailable(err)}
		}
	}
	for {
		ended, err := s.records.Ended(ctx, after, endedPage)
		if err != nil {
			return sourceError(err)
		}
		last := after
		for _, b := range ended {
			each(follow.Ref{Production: b.Production, Distribution: b.ID})
			if b.Ended.After(last) {
				last = b.Ended
			}
		}
		// Others may have ended in the same millisecond as the last of a page.
		last = last.Add(-time.Millisecond)
		if len(ended) < endedPage || !last.After(after) {
			return nil
		}
		after = last
	}
}

// Distribution implements follow.Source.
func (s source) Distribution(ctx context.Context, r follow.Ref) (event.Distribution, []byte, error) {
	req := &distributionv1.GetDistributionRequest{Production: r.Production, Distribution: r.Distribution}
	got, err := s.records.GetDistribution(itself(ctx), req)
	if forgotten(err) && s.server != nil {
		got, err = s.server.getDistribution(itself(ctx), req)
	}
	if err != nil {
		return event.Distribution{}, nil, sourceError(err)
	}
	d := got.GetDistribution()
	if strings.HasPrefix(d.GetDefinition().GetName(), "~") {
		return event.Distribution{}, nil, follow.ErrGone // what resources do for themselves is nobody's distribution
	}
	s.named(d.GetId(), d.GetTitle())
	// How late it is depends on when that is asked.
	d.LateBy = nil
	body, err := proto.Marshal(d)
	if err != nil {
		return event.Distribution{}, nil, err
	}
	return distributionOf(d, nil), body, nil
}

// Recipients implements follow.Source.
func (s source) Recipients(ctx context.Context, r follow.Ref, from, n int) ([]event.Recipient, error) {
	req := &distributionv1.ListRecipientsRequest{
		Production: r.Production, Distribution: r.Distribution, PageSize: int32(n), PageToken: strconv.Itoa(from - 1)}
	got, err := s.records.ListRecipients(itself(ctx), req)
	if (forgotten(err) || err == nil && len(got.GetRecipients()) == 0) && s.server != nil {
		got, err = s.server.listRecipients(itself(ctx), req)
	}
	if err != nil {
		return nil, sourceError(err)
	}
	out := make([]event.Recipient, len(got.GetRecipients()))
	for i, v := range got.GetRecipients() {
		out[i] = recipientOf(v)
	}
	return out, nil
}

// Events implements follow.Source.
func (s source) Events(ctx context.Context, r follow.Ref, after string, n int) ([]event.Event, error) {
	req := &distributionv1.ListEventsRequest{Production: r.Production, Distribution: r.Distribution, PageSize: int32(n), PageToken: after}
	list := s.records.ListEvents
	if s.server != nil {
		list = func(ctx context.Context, req *distributionv1.ListEventsRequest) (*distributionv1.ListEventsResponse, error) {
			return s.server.eventsFrom(ctx, s.records, req)
		}
	}
	got, err := list(itself(ctx), req)
	if err != nil {
		return nil, sourceError(err)
	}
	out := make([]event.Event, len(got.GetEvents()))
	for i, e := range got.GetEvents() {
		out[i] = eventOf(r.Production, r.Distribution, e)
	}
	s.saw(out)
	return out, nil
}

// archived gives everything that has an archive to each.
func (k *keeping) archived(ctx context.Context, each func(follow.Ref)) error {
	productions, err := k.archive.Productions(ctx)
	if err != nil {
		return err
	}
	for _, p := range productions {
		ids, err := k.archive.Distributions(ctx, p)
		if err != nil {
			return err
		}
		for _, id := range ids {
			each(follow.Ref{Production: p, Distribution: id})
		}
	}
	return nil
}
