package observer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer/internal/archive"
	"github.com/filigreehq/filigree/services/observer/internal/history"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

const (
	// archivedAtOnce bounds how many ended distributions are looked for in one reading.
	archivedAtOnce = 500
	// archiveOverlap is how far back it looks again for what came late, since a replica lags and nodes' clocks differ; every
	// archiveWide it looks as far back as archiveFar.
	archiveOverlap = 5 * time.Second
	archiveWide    = 5 * time.Minute
	archiveFar     = time.Hour
	// wholeTries is how often a distribution that does not read whole is read again before it is archived as it is.
	wholeTries = 10
)

// keeping is the archive, and what this observer has read of it.
type keeping struct {
	archive archive.Store
	history *history.File

	mu    sync.Mutex
	tries map[string]int // of those that did not read whole

	// Of the loop alone: when it looked far back last, and when and how far it looked for events that are still in the records.
	wide  time.Time
	swept time.Time
	sweep time.Time
	begun bool // the sweep is under way
}

func (s *Server) openKeeping() error {
	f, err := history.Open(filepath.Join(s.deps.Dir, "history.db"))
	s.keeping = &keeping{archive: archive.Store{Bucket: s.deps.Blobs}, history: f, tries: map[string]int{}}
	return err
}

// leads says whether this observer does what one of them does.
func (s *Server) leads() bool {
	s.vigil.mu.Lock()
	defer s.vigil.mu.Unlock()
	return s.vigil.leads
}

// keepArchive is the loop: it archives what has ended, if this observer is the one to do so, and reads what was archived.
func (s *Server) keepArchive(ctx context.Context) error {
	var err error
	if s.leads() {
		err = errors.Join(s.archiveEnded(itself(ctx)), s.archiveKept(itself(ctx)), s.tellArchived(itself(ctx)))
	}
	return errors.Join(err, s.readArchives(ctx))
}

// archiveEnded archives what has ended since it was called last. What cannot be archived now is looked at again the next time,
// and the others go on.
func (s *Server) archiveEnded(ctx context.Context) error {
	position, err := s.store.ArchivePosition(ctx)
	if err != nil {
		return err
	}
	from, reached := position, position
	if !from.IsZero() {
		from = from.Add(-archiveOverlap)
		if time.Since(s.keeping.wide) > archiveWide {
			from = position.Add(-archiveFar)
			s.keeping.wide = time.Now()
		}
	}
	var failed []error
	for {
		all, err := s.records.Ended(ctx, from, archivedAtOnce)
		if err != nil {
			return err
		}
		slices.SortFunc(all, func(a, b readside.Brief) int { return a.Ended.Compare(b.Ended) })
		// Of each shard the first are there: beyond so many of them together some may be missing.
		more := len(all) >= archivedAtOnce
		all = all[:min(len(all), archivedAtOnce)]
		bad, err := s.archiveThese(ctx, all)
		failed = append(failed, bad...)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		if len(all) > 0 && len(failed) == 0 {
			reached = all[len(all)-1].Ended
			if reached.After(position) {
				err = s.store.SetArchivePosition(ctx, reached)
				if err != nil {
					return err
				}
			}
		}
		if !more {
			return errors.Join(failed...)
		}
		next := all[len(all)-1].Ended.Add(-time.Millisecond) // others may have ended in the same one
		if !next.After(from) {
			next = all[len(all)-1].Ended
		}
		from = next
	}
}

func (s *Server) archiveThese(ctx context.Context, all []readside.Brief) (failed []error, err error) {
	names := make([]string, len(all))
	for i, b := range all {
		names[i] = b.Production + "/" + b.ID
	}
	ends, err := s.store.ArchivedEnds(ctx, names)
	if err != nil {
		return nil, err
	}
	for i, b := range all {
		if ends[i].Equal(b.Ended) {
			continue
		}
		err = s.archiveOne(ctx, b)
		switch {
		case err == nil:
			s.keeping.untry(names[i])
		case ctx.Err() != nil:
			return failed, ctx.Err()
		case fault.From(err).Kind == fault.NotFound:
			s.deps.Log.WarnContext(ctx, "a distribution was deleted before it was archived", "distribution", b.ID, "production", b.Production)
		case errors.Is(err, errMoved):
			failed = append(failed, err)
		default:
			failed = append(failed, err)
			if len(failed) > 10 {
				return failed, nil
			}
		}
	}
	return failed, nil
}

// errMoved: it changed while it was read, or is not read whole yet.
var errMoved = errors.New("changed while it was read; it is archived later")

// archiveOne writes the next segment of a distribution that ended, unless all of it is there.
func (s *Server) archiveOne(ctx context.Context, b readside.Brief) error {
	k := s.keeping
	segments, err := k.archive.Segments(ctx, b.Production, b.ID)
	if err != nil {
		return err
	}
	next, last := 1, ""
	if len(segments) > 0 {
		next = segments[len(segments)-1] + 1
		d, err := k.distribution(ctx, b.Production, b.ID, segments)
		if err != nil {
			return err
		}
		last, err = k.lastEvent(ctx, b.Production, b.ID, segments)
		if err != nil {
			return err
		}
		now, err := s.records.LastEvent(ctx, b.Production, b.ID)
		if err != nil {
			return err
		}
		if d.GetEndedAt().AsTime().Equal(b.Ended) && !laterEvent(now.Event, last) {
			return s.noteArchived(ctx, b, next-1) // written before; a stop came between
		}
	}
	wrote, err := k.archive.Write(ctx, b.Production, b.ID, next, func(put func(byte, []byte) error) error {
		return s.fillSegment(ctx, b, last, put)
	})
	if err != nil {
		return err
	}
	if !wrote {
		return fmt.Errorf("%s: another observer archives it: %w", b.ID, errMoved)
	}
	err = s.noteArchived(ctx, b, next)
	if errors.Is(err, archive.ErrDamaged) || errors.Is(err, archive.ErrNotFound) {
		// The records have all of it still: it is written anew.
		return errors.Join(err, k.archive.DeleteSegment(ctx, b.Production, b.ID, next))
	}
	return err
}

// fillSegment puts everything of a distribution, and its events after last.
func (s *Server) fillSegment(ctx context.Context, b readside.Brief, last string, put func(byte, []byte) error) error {
	change, err := s.records.Change(ctx, b.Production, b.ID)
	if err != nil {
		return err
	}
	get := &distributionv1.GetDistributionRequest{Production: b.Production, Distribution: b.ID}
	got, err := s.records.GetDistribution(ctx, get)
	if err != nil {
		return err
	}
	d := got.GetDistribution()
	if !d.GetEndedAt().AsTime().Equal(b.Ended) {
		return fmt.Errorf("%s: %w", b.ID, errMoved)
	}
	puts := func(kind byte, m proto.Message) error {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return err
		}
		return put(kind, raw)
	}
	err = puts(archive.Distribution, d)
	if err == nil {
		err = put(archive.Cursor, strconv.AppendInt(nil, int64(change), 10))
	}
	if err != nil {
		return err
	}
	for _, format := range []string{"", "dot"} {
		graph, err := s.records.GetDistributionGraph(ctx, &distributionv1.GetDistributionGraphRequest{Production: b.Production, Distribution: b.ID, Format: format})
		if err == nil {
			err = puts(archive.Graph, graph)
		}
		if err != nil {
			return err
		}
	}
	units := []string{"d"}
	for n := range len(d.GetFiles()) {
		units = append(units, "f"+strconv.Itoa(n+1))
	}
	recipients, items := int32(0), &distributionv1.ItemCounts{}
	err = paged(func(token string) (string, error) {
		resp, err := s.records.ListRecipients(ctx, &distributionv1.ListRecipientsRequest{Production: b.Production, Distribution: b.ID, PageSize: 1000, PageToken: token})
		for _, r := range resp.GetRecipients() {
			recipients++
			units = append(units, "r"+strconv.Itoa(int(recipients)))
			err = cmp.Or(err, puts(archive.Recipient, r))
		}
		return resp.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	err = paged(func(token string) (string, error) {
		resp, err := s.records.ListItems(ctx, &distributionv1.ListItemsRequest{Production: b.Production, Distribution: b.ID, PageSize: 1000, PageToken: token})
		for _, i := range resp.GetItems() {
			countItem(items, i.GetState())
			units = append(units, "i"+strings.TrimPrefix(i.GetId(), b.ID+"."))
			err = cmp.Or(err, puts(archive.Item, i))
		}
		return resp.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	err = s.fillMade(ctx, b.Production, b.ID, units, func(raw []byte) error { return put(archive.Made, raw) })
	if err != nil {
		return err
	}
	over, err := s.fillEvents(ctx, b, last, func(e *distributionv1.Event) error { return puts(archive.Event, e) })
	if err != nil {
		return err
	}
	again, err := s.records.GetDistribution(ctx, get)
	if err != nil {
		return err
	}
	changed, err := s.records.Change(ctx, b.Production, b.ID)
	if err != nil {
		return err
	}
	whole := recipients == d.GetRecipients().GetTotal() && proto.Equal(items, d.GetItems()) && over
	if changed != change || !proto.Equal(again.GetDistribution(), d) || !whole && s.keeping.try(b.Production+"/"+b.ID) < wholeTries {
		return fmt.Errorf("%s: %w", b.ID, errMoved)
	}
	if !whole {
		s.deps.Log.WarnContext(ctx, "a distribution is archived although its parts do not add up", "distribution", b.ID, "production", b.Production,
			"recipients", recipients, "items", items, "ended", over)
	}
	return nil
}

// fillEvents puts a distribution's events after last, and says whether it has ended by what they tell.
func (s *Server) fillEvents(ctx context.Context, b readside.Brief, last string, put func(*distributionv1.Event) error) (over bool, err error) {
	at, err := s.records.LastEvent(ctx, b.Production, b.ID)
	if err != nil {
		return false, err
	}
	if at.Archived != "" && (last == "" || laterEvent(at.Archived, last)) {
		s.deps.Log.WarnContext(ctx, "an archive is gone; what came after it is archived", "distribution", b.ID, "production", b.Production, "after", at.Archived)
		last = at.Archived
	}
	over = last != "" // what was archived before had ended
	first := true
	err = paged(func(token string) (string, error) {
		if first {
			token, first = last, false
		}
		resp, err := s.records.ListEvents(ctx, &distributionv1.ListEventsRequest{Production: b.Production, Distribution: b.ID, PageSize: 1000, PageToken: token})
		for _, e := range resp.GetEvents() {
			switch e.GetKind() {
			case "ended":
				over = true
			case "retry_requested", "retry", "resend":
				over = false
			}
			err = cmp.Or(err, put(e))
		}
		return resp.GetNextPageToken(), err
	})
	return over, err
}

func (k *keeping) try(name string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tries[name]++
	return k.tries[name]
}

func (k *keeping) untry(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tries, name)
}

// paged calls turn with one page's token after another.
func paged(turn func(token string) (next string, err error)) error {
	token := ""
	for {
		next, err := turn(token)
		if err != nil || next == "" {
			return err
		}
		token = next
	}
}

func countItem(c *distributionv1.ItemCounts, state string) {
	c.Total++
	switch state {
	case "pending":
		c.Pending++
	case "running":
		c.Running++
	case "done":
		c.Done++
	case "failed":
		c.Failed++
	case "skipped":
		c.Skipped++
	case "cancelled":
		c.Cancelled++
	}
}

// readArchives takes archives that were written into this observer's history.
func (s *Server) readArchives(ctx context.Context) error {
	k := s.keeping
	position, known, err := k.history.Position(ctx, history.Distributions)
	if err != nil {
		return err
	}
	if !known {
		return s.readAllArchives(ctx)
	}
	for {
		names, next, gap, err := s.store.ArchivesSince(ctx, position, 200)
		if err != nil {
			return err
		}
		if gap {
			s.deps.Log.WarnContext(ctx, "more was archived than is told of; all archives are read again")
			return s.readAllArchives(ctx)
		}
		if len(names) == 0 {
			return nil
		}
		err = s.takeArchives(ctx, names)
		if err == nil {
			err = k.history.SetPosition(ctx, history.Distributions, next)
		}
		if err != nil {
			return err
		}
		position = next
	}
}

// readAllArchives fills history from all archives.
func (s *Server) readAllArchives(ctx context.Context) error {
	position, err := s.store.LastArchive(ctx)
	if err != nil {
		return err
	}
	productions, err := s.keeping.archive.Productions(ctx)
	if err != nil {
		return err
	}
	for _, p := range productions {
		ids, err := s.keeping.archive.Distributions(ctx, p)
		if err != nil {
			return err
		}
		for part := range slices.Chunk(ids, 200) {
			names := make([][2]string, len(part))
			for i, id := range part {
				names[i] = [2]string{p, id}
			}
			err = s.takeArchives(ctx, names)
			if err != nil {
				return err
			}
		}
	}
	return s.keeping.history.SetPosition(ctx, history.Distributions, position)
}

func (s *Server) takeArchives(ctx context.Context, names [][2]string) error {
	var lines []history.Line
	for _, n := range names {
		l, err := s.keeping.line(ctx, n[0], n[1])
		if errors.Is(err, archive.ErrNotFound) {
			continue // deleted since
		}
		if errors.Is(err, archive.ErrDamaged) {
			s.deps.Log.ErrorContext(ctx, "an archive cannot be read", "distribution", n[1], "production", n[0], "err", err)
			continue
		}
		if err != nil {
			return err
		}
		lines = append(lines, l)
	}
	return s.keeping.history.Take(ctx, lines)
}

// line makes what history keeps of a distribution.
func (k *keeping) line(ctx context.Context, production, id string) (history.Line, error) {
	segments, err := k.archive.Segments(ctx, production, id)
	if err != nil {
		return history.Line{}, err
	}
	d, err := k.distribution(ctx, production, id, segments)
	if err != nil {
		return history.Line{}, err
	}
	l := history.Line{Kind: history.Distributions, Production: production, ID: id, Definition: d.GetDefinition().GetName(), State: d.GetState(),
		Created: d.GetCreatedAt().AsTime(), Ended: d.GetEndedAt().AsTime(), Late: d.GetLateBy() != nil,
		Items: int64(d.GetItems().GetTotal()), ItemsFailed: int64(d.GetItems().GetFailed()), Recipients: int64(d.GetRecipients().GetTotal())}
	from := l.Created
	if held := d.GetHeldUntil(); held != nil && held.AsTime().After(from) && held.AsTime().Before(l.Ended) {
		from = held.AsTime()
	}
	l.Took = l.Ended.Sub(from)
	d.Children = nil // a list does not show them
	l.Body, err = proto.Marshal(d)
	if err != nil {
		return l, err
	}
	return l, k.events(ctx, production, id, segments, "", func(e *distributionv1.Event) (bool, error) {
		l.BytesIn += e.GetBytesIn()
		l.BytesOut += e.GetBytesOut()
		l.BytesKnown = l.BytesKnown || e.GetBytesIn() > 0 || e.GetBytesOut() > 0
		return true, nil
	})
}
