package observer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	told "github.com/filigreehq/filigree/pkg/audit"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/archive"
	"github.com/filigreehq/filigree/services/observer/internal/audit"
)

const (
	// auditInRedis is how long lines of the audit stay in Redis; after that they are in the archive.
	auditInRedis = 30 * 24 * time.Hour
	// auditSegment is how many lines go into one segment of the archive.
	auditSegment = 1000
	// auditFor is how long a finding about segments of the archive holds: they are files that nobody writes again.
	auditFor = time.Hour
)

// audited remembers which segments of the audit were found whole.
type audited struct {
	mu    sync.Mutex
	whole map[int64]auditPart // by the first line's number
	at    time.Time           // when the whole chain was looked at
	first int64               // what came out: 0, or the first line that is not as it was
}

type auditPart struct {
	before string // the hash that it follows
	last   int64
	hash   string
	at     time.Time
}

// RecordAccess implements observerv1.ObserverServiceServer.
func (s *Server) RecordAccess(ctx context.Context, req *observerv1.RecordAccessRequest) (*observerv1.RecordAccessResponse, error) {
	lines := make([]audit.Line, len(req.GetLines()))
	for i, l := range req.GetLines() {
		at := s.deps.Now()
		if l.GetTime() != nil {
			at = l.GetTime().AsTime()
		}
		lines[i] = audit.Line{Time: at.UTC(), Production: told.Bounded(l.GetProduction()), Subject: told.Bounded(l.GetSubject()), Action: told.Bounded(l.GetAction()),
			Object: told.Bounded(l.GetObject()), Detail: told.Bounded(l.GetDetail())}
	}
	err := s.store.Append(ctx, req.GetBatch(), lines)
	if err != nil {
		return nil, storeUnavailable(err)
	}
	return &observerv1.RecordAccessResponse{}, nil
}

// ListAudit implements observerv1.ObserverServiceServer.
func (s *Server) ListAudit(ctx context.Context, req *observerv1.ListAuditRequest) (*observerv1.ListAuditResponse, error) {
	before := int64(math.MaxInt64)
	if req.GetPageToken() != "" {
		n, err := strconv.ParseInt(req.GetPageToken(), 10, 64)
		if err != nil || n < 1 {
			return nil, badToken(req.GetPageToken())
		}
		before = n
	}
	resp := &observerv1.ListAuditResponse{}
	most := pageSize(req.GetPageSize())
	err := s.auditBackwards(ctx, before, func(l *audit.Line) bool {
		if !rpc.MayActIn(ctx, l.Production) || !asked(req, l) {
			return true
		}
		if len(resp.GetLines()) == most {
			resp.NextPageToken = strconv.FormatInt(resp.GetLines()[most-1].GetNumber(), 10)
			return false
		}
		resp.Lines = append(resp.Lines, &observerv1.AuditLine{Number: l.Number, Time: timestamppb.New(l.Time), Production: l.Production, Subject: l.Subject,
			Action: l.Action, Object: l.Object, Detail: l.Detail, Hash: l.Hash})
		return true
	})
	if err == nil {
		resp.BrokenAt, err = s.checkAudit(ctx, req.GetPageToken() == "")
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "AUDIT_UNAVAILABLE", "the audit cannot be read now; try again").Because(err)
	}
	resp.Intact = resp.GetBrokenAt() == 0
	return resp, nil
}

func asked(req *observerv1.ListAuditRequest, l *audit.Line) bool {
	d := req.GetDistribution()
	return (req.GetProduction() == "" || l.Production == req.GetProduction()) && (req.GetSubject() == "" || l.Subject == req.GetSubject()) &&
		(d == "" || l.Object == d || strings.HasPrefix(l.Object, d+"."))
}

// auditBackwards gives lines with numbers below before to each, the last first, until it answers false.
func (s *Server) auditBackwards(ctx context.Context, before int64, each func(*audit.Line) bool) error {
	for {
		lines, err := s.store.AuditLinesBefore(ctx, before, auditSegment)
		if err != nil {
			return err
		}
		for i := range lines {
			before = lines[i].Number
			if !each(&lines[i]) {
				return nil
			}
		}
		if len(lines) < auditSegment {
			break
		}
	}
	segments, err := s.keeping.archive.Audits(ctx)
	if err != nil {
		return err
	}
	for _, first := range slices.Backward(segments) {
		if first >= before {
			continue
		}
		lines, err := s.auditSegment(ctx, first)
		if err != nil {
			return err
		}
		for _, l := range slices.Backward(lines) {
			if l.Number < before && !each(&l) {
				return nil
			}
		}
		before = first
	}
	return nil
}

// auditSegment reads a segment of the archive; what cannot be read of it is left out, and so found to be missing.
func (s *Server) auditSegment(ctx context.Context, first int64) ([]audit.Line, error) {
	var lines []audit.Line
	err := s.keeping.archive.ReadAudit(ctx, first, func(_ byte, record []byte) (bool, error) {
		var l audit.Line
		err := json.Unmarshal(record, &l)
		if err != nil {
			return false, fmt.Errorf("%w: %w", archive.ErrDamaged, err)
		}
		lines = append(lines, l)
		return true, nil
	})
	if errors.Is(err, archive.ErrDamaged) || errors.Is(err, archive.ErrNotFound) {
		s.deps.Log.ErrorContext(ctx, "a segment of the audit cannot be read", "first", first, "err", err)
		return lines, nil
	}
	return lines, err
}

// checkAudit returns the number of the first line that is not as it was written, 0 if all are. What was found within the
// last minute is good enough unless it is to be found anew.
func (s *Server) checkAudit(ctx context.Context, anew bool) (int64, error) {
	a := &s.audited
	a.mu.Lock()
	defer a.mu.Unlock()
	if !anew && !a.at.IsZero() && time.Since(a.at) < time.Minute {
		return a.first, nil
	}
	broken, err := s.lookThroughAudit(ctx)
	if err == nil && broken > 0 {
		// It is read in several steps, and lines may have gone into the archive between two of them.
		broken, err = s.lookThroughAudit(ctx)
	}
	if err != nil {
		return 0, err
	}
	if broken > 0 {
		s.deps.Log.ErrorContext(ctx, "the audit was altered", "line", broken)
	}
	a.at, a.first = time.Now(), broken
	return broken, nil
}

func (s *Server) lookThroughAudit(ctx context.Context) (broken int64, err error) {
	head, err := s.store.AuditHead(ctx) // what is appended meanwhile is not looked at
	if err != nil {
		return 0, err
	}
	segments, err := s.keeping.archive.Audits(ctx)
	if err != nil {
		return 0, err
	}
	number, hash := int64(0), audit.Start
	for _, first := range segments {
		if first > head.Archived {
			break // it is still in Redis, too
		}
		part, known := s.audited.whole[first]
		if !known || part.before != hash || time.Since(part.at) > auditFor {
			lines, err := s.auditSegment(ctx, first)
			if err != nil {
				return 0, err
			}
			broken = audit.Check(number, hash, lines)
			if broken > 0 || len(lines) == 0 {
				return max(broken, first), nil
			}
			last := lines[len(lines)-1]
			part = auditPart{before: hash, last: last.Number, hash: last.Hash, at: time.Now()}
			if s.audited.whole == nil {
				s.audited.whole = map[int64]auditPart{}
			}
			s.audited.whole[first] = part
		}
		if first != number+1 {
			return number + 1, nil
		}
		number, hash = part.last, part.hash
	}
	if number != head.Archived || hash != head.Before {
		return number + 1, nil // segments are missing
	}
	for number < head.Number {
		lines, err := s.store.AuditLines(ctx, number+1, auditSegment)
		if err != nil {
			return 0, err
		}
		broken = audit.Check(number, hash, lines)
		if broken > 0 || len(lines) == 0 {
			return max(broken, number+1), nil
		}
		number, hash = lines[len(lines)-1].Number, lines[len(lines)-1].Hash
		if number == head.Number && hash != head.Hash {
			return number, nil
		}
	}
	return 0, nil
}

// archiveAudit moves lines that are old enough from Redis into the archive, if this observer leads. A segment is removed from
// Redis only when it reads back from the archive as the chain says.
func (s *Server) archiveAudit(ctx context.Context) error {
	for s.leads() {
		head, err := s.store.AuditHead(ctx)
		if err != nil {
			return err
		}
		young := func(l audit.Line) bool { return s.deps.Now().Sub(l.Time) < auditInRedis }
		lines, err := s.store.AuditLines(ctx, head.Archived+1, 1)
		if err == nil && len(lines) > 0 && !young(lines[0]) {
			lines, err = s.store.AuditLines(ctx, head.Archived+1, auditSegment)
		}
		if err != nil {
			return err
		}
		n := slices.IndexFunc(lines, young)
		if n >= 0 || len(lines) < auditSegment {
			return nil // segments are full ones
		}
		if broken := audit.Check(head.Archived, head.Before, lines); broken > 0 {
			return fmt.Errorf("line %d of the audit was altered; it is not archived so that it can be looked at", broken)
		}
		_, err = s.keeping.archive.WriteAudit(ctx, lines[0].Number, func(put func(byte, []byte) error) error {
			for i := range lines {
				raw, err := json.Marshal(lines[i])
				if err == nil {
					err = put(archive.Line, raw)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		back, err := s.auditSegment(ctx, lines[0].Number)
		if err != nil {
			return err
		}
		last := lines[len(lines)-1]
		if audit.Check(head.Archived, head.Before, back) > 0 || len(back) == 0 || back[len(back)-1].Hash != last.Hash {
			return fmt.Errorf("the audit's segment %d is not in the archive as it was written; Redis keeps its lines", lines[0].Number)
		}
		err = s.store.TrimAudit(ctx, last.Number, last.Hash)
		if err != nil {
			return err
		}
	}
	return nil
}
