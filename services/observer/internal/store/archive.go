package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var archivedScript = source("archived")

func archiveKey() string  { return key("archive") }           // string: up to when what ended has been archived, in ms
func doneKey() string     { return key("archive", "done") }   // zset: production/id → the end that has been archived, in ms
func numbersKey() string  { return key("archive", "n") }      // string: counts archives that were told of
func untoldKey() string   { return key("archive", "untold") } // hash: production/id → end, last event and digest of an archive
func archivedKey() string { return key("archived") }          // capped stream, by number: p, d of each archive written

// mostArchived is how many archives written are told of; whoever missed more looks through all.
const mostArchived = 20_000

// ArchivePosition is up to when what ended has been archived; zero when nothing has.
func (s *Store) ArchivePosition(ctx context.Context) (time.Time, error) {
	ms, err := s.c.Get(ctx, archiveKey()).Int64()
	if errors.Is(err, redis.Nil) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read how far the archive is: %w", err)
	}
	return time.UnixMilli(ms), nil
}

// SetArchivePosition keeps up to when what ended has been archived, and forgets which ones ended a day or more before.
func (s *Store) SetArchivePosition(ctx context.Context, at time.Time) error {
	pipe := s.c.TxPipeline()
	pipe.Set(ctx, archiveKey(), at.UnixMilli(), 0)
	pipe.ZRemRangeByScore(ctx, doneKey(), "-inf", "("+strconv.FormatInt(at.Add(-24*time.Hour).UnixMilli(), 10))
	_, err := pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep how far the archive is: %w", err)
	}
	return nil
}

// ArchivedEnds returns of each of names (production/id) which end of it was archived; zero when none that is still known.
func (s *Store) ArchivedEnds(ctx context.Context, names []string) ([]time.Time, error) {
	out := make([]time.Time, len(names))
	if len(names) == 0 {
		return out, nil
	}
	scores, err := s.c.ZMScore(ctx, doneKey(), names...).Result()
	if err != nil {
		return nil, fmt.Errorf("read what is archived: %w", err)
	}
	for i, ms := range scores {
		if ms != 0 {
			out[i] = time.UnixMilli(int64(ms))
		}
	}
	return out, nil
}

// Archived is a distribution of which an end is archived.
type Archived struct {
	Production, ID string
	Ended          time.Time
	LastEvent      string // that the archive has
	SHA256         string // of its last segment
}

func (a Archived) name() string { return a.Production + "/" + a.ID }

func (a Archived) text() string {
	return strconv.FormatInt(a.Ended.UnixMilli(), 10) + " " + a.LastEvent + " " + a.SHA256
}

// Archived notes that the end of a distribution has been archived, tells other observers, and keeps that the orchestrator is to
// be told, until Told.
func (s *Store) Archived(ctx context.Context, a Archived) error {
	err := archivedScript.Run(ctx, s.c, []string{doneKey(), numbersKey(), archivedKey(), untoldKey()}, a.Production, a.ID, a.Ended.UnixMilli(), mostArchived, a.text()).Err()
	if err != nil {
		return fmt.Errorf("note that %s is archived: %w", a.ID, err)
	}
	return nil
}

// Untold are archives that the orchestrator is to be told of, about n of them.
func (s *Store) Untold(ctx context.Context, n int) ([]Archived, error) {
	pairs, _, err := s.c.HScan(ctx, untoldKey(), 0, "", int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("list archives to tell of: %w", err)
	}
	var out []Archived
	for i := 0; i+1 < len(pairs); i += 2 {
		production, id, _ := strings.Cut(pairs[i], "/")
		parts := strings.Split(pairs[i+1], " ")
		ms, err := strconv.ParseInt(parts[0], 10, 64)
		if err != nil || len(parts) != 3 {
			return nil, fmt.Errorf("%q says nothing about the archive of %s", pairs[i+1], pairs[i])
		}
		out = append(out, Archived{Production: production, ID: id, Ended: time.UnixMilli(ms), LastEvent: parts[1], SHA256: parts[2]})
	}
	return out, nil
}

// Told forgets that the orchestrator is to be told of an archive.
func (s *Store) Told(ctx context.Context, a Archived) error {
	err := s.c.HDel(ctx, untoldKey(), a.name()).Err()
	if err != nil {
		return fmt.Errorf("note that the archive of %s was told of: %w", a.ID, err)
	}
	return nil
}

// ArchivesSince lists at most n archives (production, id) that were told of after number after, and the last one's number. gap
// says that some between are not told of any more: then all are to be looked through.
func (s *Store) ArchivesSince(ctx context.Context, after int64, n int) (names [][2]string, next int64, gap bool, err error) {
	pipe := s.c.TxPipeline()
	number := pipe.Get(ctx, numbersKey())
	list := pipe.XRangeN(ctx, archivedKey(), "("+strconv.FormatInt(after, 10)+"-0", "+", int64(n))
	_, err = pipe.Exec(ctx)
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, after, false, fmt.Errorf("list what is archived: %w", err)
	}
	last, _ := strconv.ParseInt(number.Val(), 10, 64) // nothing is none
	next = after
	for i, m := range list.Val() {
		text, _, _ := strings.Cut(m.ID, "-")
		is, _ := strconv.ParseInt(text, 10, 64) // written by archived.lua
		if i == 0 && is != after+1 {
			return nil, after, true, nil
		}
		p, _ := m.Values["p"].(string)
		d, _ := m.Values["d"].(string)
		names, next = append(names, [2]string{p, d}), is
	}
	return names, next, len(names) == 0 && last != after, nil
}

// LastArchive is the number of the archive that was told of last; 0 when none was.
func (s *Store) LastArchive(ctx context.Context) (int64, error) {
	n, err := s.c.Get(ctx, numbersKey()).Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("list what is archived: %w", err)
	}
	return n, nil
}
