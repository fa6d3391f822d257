package observer

import (
	"context"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/follow"
	"github.com/filigreehq/filigree/services/observer/internal/index"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// source is where the index reads: the records. What it reads of lately happened events rules look at, too.
type source struct {
	records *readside.Records
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
	got, err := s.records.GetDistribution(itself(ctx), &distributionv1.GetDistributionRequest{Production: r.Production, Distribution: r.Distribution})
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
	got, err := s.records.ListRecipients(itself(ctx), &distributionv1.ListRecipientsRequest{
		Production: r.Production, Distribution: r.Distribution, PageSize: int32(n), PageToken: strconv.Itoa(from - 1)})
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
	got, err := s.records.ListEvents(itself(ctx), &distributionv1.ListEventsRequest{
		Production: r.Production, Distribution: r.Distribution, PageSize: int32(n), PageToken: after})
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

// runsPage is how many runs are read at once.
const runsPage = 500

// runFollower takes runs that were told of into the index.
type runFollower struct {
	s *Server
	// last is what was told in the last millisecond that was read: that is read again.
	last map[string]string
}

func (f *runFollower) follow(ctx context.Context) error {
	positions, err := f.s.index.Positions(ctx)
	if err != nil {
		return err
	}
	since := int64(0)
	if positions["runs"] != "" {
		since, err = strconv.ParseInt(positions["runs"], 10, 64)
		if err != nil {
			return err
		}
	}
	for {
		got, err := f.s.store.RunsSince(ctx, time.UnixMilli(since), runsPage)
		if err != nil {
			return err
		}
		var runs []index.Run
		last := map[string]string{}
		for _, r := range got {
			if at := r.At.UnixMilli(); at > since {
				since = at
				clear(last)
			}
			name := r.Production + "/" + r.ID
			last[name] = string(r.Told)
			if f.last[name] == string(r.Told) {
				continue
			}
			run, err := runOf(r)
			if err != nil {
				f.s.deps.Log.ErrorContext(ctx, "a run cannot be read and is not in the index", "run", r.ID, "production", r.Production, "err", err)
				continue
			}
			entry, err := indexedRun(run)
			if err != nil {
				return err
			}
			runs = append(runs, entry)
		}
		if len(runs) == 0 {
			return nil
		}
		err = f.s.index.PutRuns(ctx, runs, []index.Mark{{Stream: "runs", Position: strconv.FormatInt(since, 10)}})
		if err != nil {
			return err
		}
		f.last = last
		if len(got) < runsPage {
			return nil
		}
	}
}

func indexedRun(run *observerv1.Run) (index.Run, error) {
	body, err := proto.Marshal(run)
	return index.Run{
		Production: run.GetProduction(), ID: run.GetId(), Name: run.GetName(), State: run.GetState(), Started: moment(run.GetStartedAt()),
		Ended: moment(run.GetEndedAt()), Deadline: moment(run.GetDeadline()), Code: run.GetError().GetCode(), Message: run.GetError().GetMessage(),
		Total: int(run.GetTotal()), Done: int(run.GetDone()), Body: body,
	}, err
}
