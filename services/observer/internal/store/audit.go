package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/observer/internal/audit"
)

var auditScript = source("audit")

func auditHead() string    { return key("audit", "head") }    // hash: n, h of the last line; from, before: see TrimAudit
func auditKey() string     { return key("audit") }            // stream, by number: l is a line as JSON
func auditBatches() string { return key("audit", "batches") } // zset: names of batches → when they were appended

// batchFor is how long the name of a batch is known.
const batchFor = 24 * time.Hour

// AuditHead says where the audit ends, and which line before those in Redis is in the archive, with its hash.
type AuditHead struct {
	Number   int64
	Hash     string
	Archived int64
	Before   string
}

// Append chains lines to the audit, in order, once for each batch. It never loses a race: whoever else appends makes it
// chain anew.
func (s *Store) Append(ctx context.Context, batch string, lines []audit.Line) error {
	for {
		head, err := s.AuditHead(ctx)
		if err != nil {
			return err
		}
		was, hash := "0", ""
		if head.Number > 0 {
			was, hash = strconv.FormatInt(head.Number, 10), head.Hash
		}
		chained := slices.Clone(lines)
		audit.Chain(head.Number, head.Hash, chained)
		last := chained[len(chained)-1]
		args := []any{was, hash, last.Number, last.Hash, batch, batchFor.Milliseconds()}
		for _, l := range chained {
			raw, err := json.Marshal(l)
			if err != nil {
				return fmt.Errorf("append to the audit: %w", err)
			}
			args = append(args, raw)
		}
		code, _, err := s.run(ctx, auditScript, []string{auditHead(), auditKey(), auditBatches()}, args...)
		if err != nil {
			return fmt.Errorf("append to the audit: %w", err)
		}
		if code != 0 {
			return nil
		}
	}
}

// AuditHead returns where the audit ends; of one without a line number 0 and audit.Start.
func (s *Store) AuditHead(ctx context.Context) (AuditHead, error) {
	h, err := s.c.HGetAll(ctx, auditHead()).Result()
	if err != nil {
		return AuditHead{}, fmt.Errorf("read the audit: %w", err)
	}
	n, _ := strconv.ParseInt(h["n"], 10, 64)           // what is no number is found by whoever checks
	archived, _ := strconv.ParseInt(h["from"], 10, 64) // likewise
	head := AuditHead{Number: n, Hash: h["h"], Archived: archived, Before: h["before"]}
	if n == 0 {
		head.Hash = audit.Start
	}
	if archived == 0 {
		head.Before = audit.Start
	}
	return head, nil
}

// AuditLines returns at most n lines from number first on, in order.
func (s *Store) AuditLines(ctx context.Context, first int64, n int) ([]audit.Line, error) {
	msgs, err := s.c.XRangeN(ctx, auditKey(), strconv.FormatInt(max(first, 0), 10), "+", int64(n)).Result()
	return auditLines(msgs, err)
}

// AuditLinesBefore returns at most n lines with numbers below before, the last first.
func (s *Store) AuditLinesBefore(ctx context.Context, before int64, n int) ([]audit.Line, error) {
	if before <= 1 {
		return nil, nil
	}
	msgs, err := s.c.XRevRangeN(ctx, auditKey(), strconv.FormatInt(before-1, 10), "-", int64(n)).Result()
	return auditLines(msgs, err)
}

// auditLines reads lines. One that cannot be read stands there with its number alone, so that it is found where it is.
func auditLines(msgs []redis.XMessage, err error) ([]audit.Line, error) {
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	out := make([]audit.Line, len(msgs))
	for i, m := range msgs {
		raw, _ := m.Values["l"].(string)
		err = json.Unmarshal([]byte(raw), &out[i])
		if err != nil {
			text, _, _ := strings.Cut(m.ID, "-")
			n, _ := strconv.ParseInt(text, 10, 64) // Redis's own
			out[i] = audit.Line{Number: n, Detail: "this line cannot be read"}
		}
	}
	return out, nil
}

// TrimAudit removes lines up to last, which are in the archive; hash is that line's.
func (s *Store) TrimAudit(ctx context.Context, last int64, hash string) error {
	pipe := s.c.TxPipeline()
	pipe.HSet(ctx, auditHead(), "from", last, "before", hash)
	pipe.XTrimMinID(ctx, auditKey(), strconv.FormatInt(last+1, 10))
	_, err := pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("trim the audit: %w", err)
	}
	return nil
}
