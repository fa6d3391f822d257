package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Session is the right to fetch a link's copies for a short time. Its id stands in addresses and is no secret; whoever
// uses it shows Secret, of which only the SHA-256 is stored.
type Session struct {
	ID      string
	Secret  string
	Expires time.Time
}

const sessionIDLength = 2 + 22

// ValidSessionID reports whether id can be a session's.
func ValidSessionID(id string) bool {
	if len(id) != sessionIDLength {
		return false
	}
	_, err := hex.DecodeString(id[:2])
	_, err2 := base64.RawURLEncoding.DecodeString(id[2:])
	return err == nil && err2 == nil && strings.ToLower(id[:2]) == id[:2]
}

// Open opens a session at the link under hash, which counts as a view: ErrUnknown, ErrRevoked or ErrExpired if it is not
// active.
func (s *Store) Open(ctx context.Context, hash string, length time.Duration) (Session, error) {
	raw := make([]byte, 16+32)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	session := Session{
		ID:     hash[:2] + base64.RawURLEncoding.EncodeToString(raw[:16]), // found in the link's slot
		Secret: base64.RawURLEncoding.EncodeToString(raw[16:]),
	}
	r, err := s.run(ctx, s.scripts.open, 1,
		[]string{linkKey(hash), sessionKey(session.ID), sessionsKey(hash), accessKey(hash)},
		hash, session.ID, secretHash(session.Secret), length.Milliseconds(), sessionsAtOnce, logEntries)
	if err != nil {
		return Session{}, fmt.Errorf("open a session: %w", err)
	}
	switch r.code {
	case "opened":
	case "unknown":
		return Session{}, ErrUnknown
	case "revoked":
		return Session{}, ErrRevoked
	case "expired":
		return Session{}, ErrExpired
	default:
		return Session{}, r.unexpected()
	}
	ends, err := strconv.ParseInt(r.more[0], 10, 64)
	if err != nil {
		return Session{}, fmt.Errorf("open a session: its end: %w", err)
	}
	session.Expires = time.UnixMilli(ends)
	return session, nil
}

// Enter returns the hash of the link that the session is of, and when it ends. ErrUnknown if there is no session of this
// id and secret any more.
func (s *Store) Enter(ctx context.Context, id, secret string) (hash string, ends time.Time, err error) {
	if !ValidSessionID(id) {
		return "", time.Time{}, ErrUnknown
	}
	record, err := s.redis.HGetAll(ctx, sessionKey(id)).Result()
	if err != nil {
		return "", time.Time{}, fmt.Errorf("look for a session: %w", err)
	}
	if len(record) == 0 || subtle.ConstantTimeCompare([]byte(record["secret"]), []byte(secretHash(secret))) != 1 {
		return "", time.Time{}, ErrUnknown
	}
	ms, err := strconv.ParseInt(record["expires"], 10, 64)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("look for a session: its end: %w", err)
	}
	return record["link"], time.UnixMilli(ms), nil
}

// Leave ends a session; one that has ended is no error.
func (s *Store) Leave(ctx context.Context, id string) error {
	err := s.redis.Del(ctx, sessionKey(id)).Err()
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// Downloaded counts a download by a person, if the link is active.
func (s *Store) Downloaded(ctx context.Context, hash string) error {
	return s.count(ctx, hash, "download", "human")
}

// Verdicts about what opens a link without pressing its button.
const (
	Machine = "machine"
	Unknown = "unknown"
)

// Opened counts an open that is nobody's view, if the link is active. verdict is Machine or Unknown.
func (s *Store) Opened(ctx context.Context, hash, verdict string) error {
	return s.count(ctx, hash, "open", verdict)
}

func (s *Store) count(ctx context.Context, hash, kind, verdict string) error {
	r, err := s.run(ctx, s.scripts.access, 0, []string{linkKey(hash), accessKey(hash)}, kind, verdict, logEntries, opensLogged)
	if err != nil {
		return fmt.Errorf("count a link's %s: %w", kind, err)
	}
	switch r.code {
	case "counted", "passed":
		return nil
	}
	return r.unexpected()
}

// Event is one line of a link's access log: open, view or download.
type Event struct {
	Time          time.Time
	Kind, Verdict string
}

// Log returns the newest events of the link under hash, oldest first: a few hundred at most.
func (s *Store) Log(ctx context.Context, hash string) ([]Event, error) {
	entries, err := s.redis.XRangeN(ctx, accessKey(hash), "-", "+", logEntries).Result()
	if err != nil {
		return nil, fmt.Errorf("read a link's log: %w", err)
	}
	events := make([]Event, 0, len(entries))
	for _, e := range entries {
		ms, _, _ := strings.Cut(e.ID, "-")
		n, err := strconv.ParseInt(ms, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read a link's log: %w", err)
		}
		kind, _ := e.Values["kind"].(string)
		verdict, _ := e.Values["verdict"].(string)
		events = append(events, Event{Time: time.UnixMilli(n), Kind: kind, Verdict: verdict})
	}
	return events, nil
}

func secretHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
