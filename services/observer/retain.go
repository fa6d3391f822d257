package observer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/former"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer/internal/archive"
	"github.com/filigreehq/filigree/services/observer/internal/history"
	"github.com/filigreehq/filigree/services/observer/internal/story"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// How long what has ended is kept is said by production. What is due is taken out of archives, the store and the index; the
// figures of history stay. Doing it twice changes nothing, so a stop in between costs nothing.

const (
	// retainLooks is how many looks lie between two rounds, retainedAtOnce how much of each kind one round does.
	retainLooks    = 30
	retainedAtOnce = 100
)

// What is kept for a time of its own.
const (
	keptLogs     = "logs"
	keptCopies   = "copies"
	keptArchives = "archives"
)

// keptOf is how long a production's are kept; zero: for ever.
func keptOf(all map[string]time.Duration, production string) time.Duration {
	d, named := all[production]
	if !named {
		return all["*"]
	}
	return d
}

// validKeep reports what is wrong with how long things are kept.
func (c Config) validKeep() error {
	var errs []error
	for flag, all := range map[string]map[string]time.Duration{"logs": c.KeepLogs, "copies": c.KeepCopies, "archives": c.KeepArchives} {
		for p, d := range all {
			if d < 0 || d > 0 && d < time.Hour {
				errs = append(errs, fmt.Errorf("--keep-%s %s=%s: want at least 1h, or 0 for ever", flag, p, d))
			}
		}
	}
	return errors.Join(errs...)
}

// retain does what is due.
func (s *Server) retain(ctx context.Context) error {
	productions, err := s.keeping.history.Productions(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range productions {
		for _, k := range []struct {
			what string
			keep time.Duration
			do   func(ctx context.Context, due []history.Line) error
		}{
			{keptLogs, keptOf(s.cfg.KeepLogs, p), s.dropLogs},
			{keptCopies, keptOf(s.cfg.KeepCopies, p), s.dropCopies},
			{keptArchives, keptOf(s.cfg.KeepArchives, p), s.dropArchives},
		} {
			if k.keep == 0 || k.what != keptArchives && !s.leads() {
				continue
			}
			due, err := s.keeping.history.Due(ctx, k.what, p, s.deps.Now().Add(-k.keep), retainedAtOnce)
			if err == nil && len(due) > 0 {
				err = k.do(itself(ctx), due)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s of %s: %w", k.what, p, err))
			}
		}
	}
	return errors.Join(errs...)
}

// goesOn says whether a distribution runs again, or ended again, since l: it is due anew when that is archived.
func (s *Server) goesOn(ctx context.Context, l history.Line) (bool, error) {
	got, err := s.records.GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: l.Production, Distribution: l.ID})
	if forgotten(err) {
		return false, nil
	}
	ended := got.GetDistribution().GetEndedAt()
	return err == nil && (ended == nil || ended.AsTime().UnixMilli() != l.Ended.UnixMilli()), err
}

// eachDue does one after another, but for what goes on; what cannot be done now is due the next time, too, and the others go on.
func (s *Server) eachDue(ctx context.Context, what string, due []history.Line, do func(l history.Line) error) error {
	var errs []error
	for _, l := range due {
		again, err := s.goesOn(ctx, l)
		if again {
			continue
		}
		if err == nil {
			err = do(l)
		}
		if err == nil {
			err = s.keeping.history.Done(ctx, what, l)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.ID, err))
		}
	}
	return errors.Join(errs...)
}

// dropLogs takes the lines that functions wrote out of archives.
func (s *Server) dropLogs(ctx context.Context, due []history.Line) error {
	return s.eachDue(ctx, keptLogs, due, func(l history.Line) error {
		segments, err := s.keeping.archive.Segments(ctx, l.Production, l.ID)
		if err != nil {
			return err
		}
		for _, n := range segments {
			lines := 0
			err = s.keeping.archive.Read(ctx, l.Production, l.ID, n, func(kind byte, record []byte) (bool, error) {
				had, _, err := withoutLog(kind, record)
				lines += had
				return true, err
			})
			if err == nil && lines > 0 {
				err = s.keeping.archive.TakeOut(ctx, l.Production, l.ID, n, func(kind byte, record []byte) ([]byte, error) {
					_, bare, err := withoutLog(kind, record)
					return bare, err
				})
			}
			if err != nil {
				return err
			}
			if lines > 0 {
				s.deps.Log.InfoContext(ctx, "log lines are kept no longer", "distribution", l.ID, "production", l.Production, "lines", lines)
			}
		}
		s.remembered.drop(l.Production, l.ID)
		return nil
	})
}

// withoutLog is a record without its log lines, and how many it had.
func withoutLog(kind byte, record []byte) (lines int, bare []byte, err error) {
	if kind != archive.Event {
		return 0, record, nil
	}
	e := &distributionv1.Event{}
	err = unmarshal(record, e)
	if err != nil || len(e.GetLog()) == 0 {
		return 0, record, err
	}
	lines, e.Log = len(e.GetLog()), nil
	bare, err = proto.MarshalOptions{Deterministic: true}.Marshal(e)
	return lines, bare, err
}

// made is what a step made, as the archive keeps it.
type made struct {
	Unit     string `json:"unit"`
	Step     string `json:"step"`
	Optional bool   `json:"optional,omitempty"`
	readside.Artifact
}

// fillMade puts what units' steps made.
func (s *Server) fillMade(ctx context.Context, production, id string, units []string, put func([]byte) error) error {
	plan, err := s.records.Plan(ctx, production, id)
	if err != nil {
		return err
	}
	optional := map[string]bool{}
	for _, p := range plan {
		optional[p.Name] = p.Optional
	}
	for part := range slices.Chunk(units, 1000) {
		standing, err := s.records.Standing(ctx, production, id, part)
		if err != nil {
			return err
		}
		for _, st := range standing {
			a := readside.ArtifactOf(st.Output)
			if a.Key == "" {
				continue
			}
			raw, err := json.Marshal(made{st.Unit, st.Step, optional[st.Step], a})
			if err == nil {
				err = put(raw)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// madeOf gives what was made in an archived distribution, of all the times it ended.
func (k *keeping) madeOf(ctx context.Context, production, id string, segments []int, each func(made) (more bool, err error)) error {
	for _, n := range segments {
		err := k.each(ctx, production, id, n, archive.Made, func(record []byte) (bool, error) {
			m := made{}
			err := json.Unmarshal(record, &m)
			if err != nil {
				return false, fmt.Errorf("%w: %w", archive.ErrDamaged, err)
			}
			return each(m)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dropCopies deletes copies and pictures from the store.
func (s *Server) dropCopies(ctx context.Context, due []history.Line) error {
	return s.eachDue(ctx, keptCopies, due, func(l history.Line) error { return s.dropMade(ctx, l) })
}

// dropMade deletes what was made in a distribution. Of copies it is kept whose they were: what turns up is traced by that.
func (s *Server) dropMade(ctx context.Context, l history.Line) error {
	segments, err := s.keeping.archive.Segments(ctx, l.Production, l.ID)
	if err != nil || len(segments) == 0 {
		return err
	}
	var people []*distributionv1.Recipient
	err = s.keeping.each(ctx, l.Production, l.ID, segments[len(segments)-1], archive.Recipient, func(record []byte) (bool, error) {
		r := &distributionv1.Recipient{}
		people = append(people, r)
		return true, unmarshal(record, r)
	})
	if err != nil {
		return err
	}
	n := 0
	err = s.keeping.madeOf(ctx, l.Production, l.ID, segments, func(m made) (bool, error) {
		if !strings.HasPrefix(m.Key, "art/"+l.Production+"/") {
			return true, nil // whatever a function of somebody's calls so is theirs to keep
		}
		n++
		file, whose := story.Numbers(m.Unit)
		if !m.Optional && file > 0 && whose > 0 && whose <= len(people) {
			err := former.Keep(ctx, s.deps.Blobs, m.Key, former.Copy{Production: l.Production, Distribution: l.ID, Item: l.ID + "." + m.Unit[1:],
				Name: people[whose-1].GetName(), Email: people[whose-1].GetEmail()})
			if err != nil {
				return false, err
			}
		}
		return true, s.deps.Blobs.Delete(ctx, m.Key)
	})
	if err == nil && n > 0 {
		s.deps.Log.InfoContext(ctx, "copies are kept no longer", "distribution", l.ID, "production", l.Production, "copies", n)
	}
	return err
}

// dropArchives forgets distributions: their copies and archives, if this observer is the one to do so, and what it knows of them
// itself. What the records have still is forgotten when they have forgotten it.
func (s *Server) dropArchives(ctx context.Context, due []history.Line) error {
	var errs []error
	var gone []history.Line
	for _, l := range due {
		ok, err := s.dropArchive(ctx, l)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.ID, err))
		}
		if ok && err == nil {
			gone = append(gone, l)
		}
	}
	if len(gone) == 0 {
		return errors.Join(errs...)
	}
	ids := make([]string, len(gone))
	for i, l := range gone {
		ids[i] = l.ID
		s.remembered.drop(l.Production, l.ID)
	}
	err := s.index.Forget(ctx, gone[0].Production, ids)
	for _, l := range gone {
		if err == nil {
			err = s.keeping.history.Forget(ctx, l)
		}
	}
	return errors.Join(append(errs, err)...)
}

func (s *Server) dropArchive(ctx context.Context, l history.Line) (gone bool, err error) {
	segments, err := s.keeping.archive.Segments(ctx, l.Production, l.ID)
	if err != nil || len(segments) == 0 {
		return err == nil, err
	}
	if !s.leads() {
		return false, nil
	}
	_, err = s.records.GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: l.Production, Distribution: l.ID})
	if !forgotten(err) {
		return false, err
	}
	err = s.dropMade(ctx, l)
	if err == nil {
		err = s.keeping.archive.Delete(ctx, l.Production, l.ID)
	}
	if err != nil {
		return false, err
	}
	s.deps.Log.InfoContext(ctx, "a distribution is kept no longer", "distribution", l.ID, "production", l.Production, "ended", l.Ended)
	return true, nil
}

// getArtifact finds what an item's step made, of distributions that are archived; of all others the orchestrator answers.
func (s *Server) getArtifact(ctx context.Context, req *distributionv1.GetArtifactRequest) (*distributionv1.GetArtifactResponse, error) {
	production, id := req.GetProduction(), req.GetDistribution()
	segments, err := s.keeping.archive.Segments(ctx, production, id)
	if err != nil {
		return nil, archiveUnavailable(err)
	}
	text, ok := strings.CutPrefix(req.GetItem(), id+".")
	if !ok || len(segments) == 0 {
		return nil, fault.New(fault.NotFound, "ITEM_UNKNOWN", "there is no item %q in distribution %s", req.GetItem(), id)
	}
	slices.Reverse(segments) // how it stands is told by the last
	resp := &distributionv1.GetArtifactResponse{}
	err = s.keeping.madeOf(ctx, production, id, segments, func(m made) (bool, error) {
		if m.Unit != "i"+text || m.Optional != req.GetThumbnail() || resp.GetKey() != "" {
			return true, nil
		}
		resp.Key, resp.Sha256, resp.Size, resp.MediaType = m.Key, m.SHA256, m.Size, m.MediaType
		return false, nil
	})
	if errors.Is(err, archive.ErrDamaged) {
		return nil, s.archiveDamaged(ctx, production, id, err)
	}
	if err != nil {
		return nil, archiveUnavailable(err)
	}
	if resp.GetKey() == "" {
		return nil, fault.New(fault.NotFound, "ARTIFACT_MISSING", "this was not made for item %s", req.GetItem())
	}
	d, err := s.keeping.distribution(ctx, production, id, segments[:1])
	if err != nil {
		return nil, archiveUnavailable(err)
	}
	file, _, _ := strings.Cut(text, ".")
	n, err := strconv.Atoi(file)
	if err == nil && n >= 1 && n <= len(d.GetFiles()) {
		resp.Name = d.GetFiles()[n-1].GetName()
	}
	return resp, nil
}
