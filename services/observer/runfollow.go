package observer

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/history"
	"github.com/filigreehq/filigree/services/observer/internal/index"
)

// runsPage is how many runs are read at once.
const runsPage = 500

// runFollower takes runs that were told of to where they are kept: the index, or history.
type runFollower struct {
	s *Server
	// position is up to when, in ms, what was told has been taken; take takes more, and keeps how far that is.
	position func(context.Context) (int64, error)
	take     func(ctx context.Context, runs []*observerv1.Run, position int64) error
	// last is what was told in the last millisecond that was read: that is read again.
	last map[string]string
}

// indexRuns takes runs into the index.
func (s *Server) indexRuns() *runFollower {
	return &runFollower{s: s, position: func(ctx context.Context) (int64, error) {
		positions, err := s.index.Positions(ctx)
		if err != nil || positions["runs"] == "" {
			return 0, err
		}
		return strconv.ParseInt(positions["runs"], 10, 64)
	}, take: func(ctx context.Context, runs []*observerv1.Run, position int64) error {
		var entries []index.Run
		for _, run := range runs {
			entry, err := indexedRun(run)
			if err != nil {
				return err
			}
			entries = append(entries, entry)
		}
		return s.index.PutRuns(ctx, entries, []index.Mark{{Stream: "runs", Position: strconv.FormatInt(position, 10)}})
	}}
}

// rememberRuns takes runs that ended into history.
func (s *Server) rememberRuns() *runFollower {
	h := s.keeping.history
	return &runFollower{s: s, position: func(ctx context.Context) (int64, error) {
		at, _, err := h.Position(ctx, history.Runs)
		return at, err
	}, take: func(ctx context.Context, runs []*observerv1.Run, position int64) error {
		var lines []history.Line
		for _, run := range runs {
			if run.GetEndedAt() != nil {
				lines = append(lines, runLine(run))
			}
		}
		err := h.Take(ctx, lines)
		if err != nil {
			return err
		}
		return h.SetPosition(ctx, history.Runs, position)
	}}
}

// runLine makes what history keeps of a run. What it had to do counts as its items, what it left undone as those that failed if
// it did.
func runLine(run *observerv1.Run) history.Line {
	l := history.Line{Kind: history.Runs, Production: run.GetProduction(), ID: run.GetId(), Definition: run.GetName(), State: run.GetState(),
		Created: run.GetStartedAt().AsTime(), Ended: run.GetEndedAt().AsTime(), Items: run.GetTotal(), BytesIn: run.GetBytesIn(), BytesOut: run.GetBytesOut(),
		Body: []byte{}}
	l.Took = l.Ended.Sub(l.Created)
	l.Late = run.GetDeadline() != nil && l.Ended.After(run.GetDeadline().AsTime())
	l.BytesKnown = l.BytesIn > 0 || l.BytesOut > 0
	if l.State == "failed" {
		l.ItemsFailed = run.GetTotal() - run.GetDone()
	}
	return l
}

func (f *runFollower) follow(ctx context.Context) error {
	since, err := f.position(ctx)
	if err != nil {
		return err
	}
	for {
		got, err := f.s.store.RunsSince(ctx, time.UnixMilli(since), runsPage)
		if err != nil {
			return err
		}
		var runs []*observerv1.Run
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
				f.s.deps.Log.ErrorContext(ctx, "a run cannot be read and is in no index and no history", "run", r.ID, "production", r.Production, "err", err)
				continue
			}
			runs = append(runs, run)
		}
		if len(runs) == 0 {
			return nil
		}
		err = f.take(ctx, runs, since)
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
