// Package store keeps link's records in Redis: links, what they show, sessions, and what happened at them.
//
// A link is known by the hash of its token alone. Its id leads there, as does its distribution; both ways are entered
// before the record is written, so that whoever revokes finds every link that could ever be opened. Every write is one
// script in one slot, and repeating it changes nothing; what takes several is in an order in which a crash between two
// is mended by repeating the call.
//
// Records go away by themselves, a while after the link's end.
package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrUnknown: there is no such link, or no such session.
	ErrUnknown = errors.New("link unknown")
	// ErrRevoked: the link was revoked, by itself or with its distribution.
	ErrRevoked = errors.New("link revoked")
	// ErrExpired: the link's time is over.
	ErrExpired = errors.New("link expired")
	// ErrOther: the id is that of a link for somebody else, or of another kind or distribution.
	ErrOther = errors.New("link is another one")
)

const (
	// retention is how long a link is remembered after its end, so that its page can say what became of it.
	retention = 90 * 24 * time.Hour
	// tombstone is how long a revocation of what does not exist is remembered: longer than anything waits to be made.
	tombstone = 400 * 24 * time.Hour
	// logEntries is how many events of a link are kept, opensLogged how many of them are automated opens.
	logEntries, opensLogged = 500, 20
	// sessionsAtOnce is how many sessions a link has; a new one ends the oldest.
	sessionsAtOnce = 20
	// page is how many records are read or written in one go.
	page = 100
)

// Store is the records of one installation. It is safe for concurrent use.
type Store struct {
	redis   redis.UniversalClient
	scripts scripts
}

// New returns the store in client, which stays the caller's to close.
func New(client redis.UniversalClient) *Store {
	return &Store{redis: client, scripts: newScripts()}
}

// Ping reports whether Redis answers.
func (s *Store) Ping(ctx context.Context) error { return s.redis.Ping(ctx).Err() }

// ModeDrive is the mode of links whose copies lie in Google Drive.
const ModeDrive = "drive"

// Link is a link's record.
type Link struct {
	Hash, ID, Production, Distribution, Mode string
	Documents                                int
	Expires                                  time.Time
	FirstViewed, FirstDownloaded             time.Time // zero if it never was
	Views, Downloads                         int
	OpensMachine, OpensUnknown               int // opens by what pressed no button

	revoked bool
	now     time.Time // Redis's, when the record was read
}

// Err is nil while the link is active, else ErrRevoked or ErrExpired.
func (l Link) Err() error {
	switch {
	case l.revoked:
		return ErrRevoked
	case !l.now.Before(l.Expires):
		return ErrExpired
	}
	return nil
}

// Find returns the records under hashes, in their order; the zero Link stands for one that is not there. One whose
// distribution was revoked is revoked.
func (s *Store) Find(ctx context.Context, hashes ...string) ([]Link, error) {
	links := make([]Link, len(hashes))
	for start := 0; start < len(hashes); start += page {
		end := min(start+page, len(hashes))
		err := s.find(ctx, hashes[start:end], links[start:end])
		if err != nil {
			return nil, fmt.Errorf("look for links: %w", err)
		}
	}
	return links, nil
}

// FindOne returns the record under hash, or ErrUnknown.
func (s *Store) FindOne(ctx context.Context, hash string) (Link, error) {
	links, err := s.Find(ctx, hash)
	if err != nil {
		return Link{}, err
	}
	if links[0].ID == "" {
		return Link{}, ErrUnknown
	}
	return links[0], nil
}

func (s *Store) find(ctx context.Context, hashes []string, links []Link) error {
	var clock *redis.TimeCmd
	records := make([]*redis.MapStringStringCmd, len(hashes))
	_, err := s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		clock = p.Time(ctx)
		for i, hash := range hashes {
			if hash != "" {
				records[i] = p.HGetAll(ctx, linkKey(hash))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	markers := map[string]*redis.IntCmd{}
	for i, cmd := range records {
		if cmd == nil || cmd.Val()["id"] == "" {
			continue // also one that was revoked before it was made
		}
		links[i], err = decode(cmd.Val())
		if err != nil {
			return err
		}
		links[i].Hash, links[i].now = hashes[i], clock.Val()
		markers[markerKey(links[i].Production, links[i].Distribution)] = nil
	}
	if len(markers) == 0 {
		return nil
	}
	_, err = s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for key := range markers {
			markers[key] = p.Exists(ctx, key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, l := range links {
		if l.ID != "" && markers[markerKey(l.Production, l.Distribution)].Val() > 0 {
			links[i].revoked = true
		}
	}
	return nil
}

func decode(record map[string]string) (Link, error) {
	l := Link{ID: record["id"], Production: record["production"], Distribution: record["distribution"], Mode: record["mode"]}
	_, l.revoked = record["revoked"]
	var errs []error
	number := func(field string) int64 {
		if record[field] == "" {
			return 0
		}
		n, err := strconv.ParseInt(record[field], 10, 64)
		if err != nil {
			errs = append(errs, fmt.Errorf("field %s of a link: %w", field, err))
		}
		return n
	}
	moment := func(field string) time.Time {
		n := number(field)
		if n == 0 {
			return time.Time{}
		}
		return time.UnixMilli(n)
	}
	l.Documents = int(number("documents"))
	l.Expires = moment("expires")
	l.FirstViewed, l.FirstDownloaded = moment("first_viewed"), moment("first_downloaded")
	l.Views, l.Downloads = int(number("views")), int(number("downloads"))
	l.OpensMachine, l.OpensUnknown = int(number("opens_machine")), int(number("opens_unknown"))
	return l, errors.Join(errs...)
}
