package store

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrNoSignIn: there is no such code, its time has passed, or it was used.
	ErrNoSignIn = errors.New("sign-in code unknown")
	// ErrNoSession: there is no such session, or it is over.
	ErrNoSession = errors.New("session unknown")
)

// Lasting is how long a session lasts.
type Lasting struct {
	Idle time.Duration // unused
	Life time.Duration // at most
}

// Session is somebody signed in. The secret that their browser has is nowhere in it.
type Session struct {
	// ID names the session: the first half of its secret's SHA-256.
	ID      string
	Subject string
	Role    string
	Grant   Grant
	Way     string // code, oidc
	Created time.Time
	Seen    time.Time // when its end was put off last
	Expires time.Time
}

const sessionPrefix = "ses_"

// IsSessionID reports whether id looks like a session's.
func IsSessionID(id string) bool { return strings.HasPrefix(id, sessionPrefix) }

// SessionID is the id of the session whose secret has this SHA-256 (lower-case hexadecimal).
func SessionID(sha256 string) string { return sessionPrefix + sha256[:hex.EncodedLen(16)] }

// SignInID is the id of the code that has this SHA-256 (lower-case hexadecimal).
func SignInID(sha256 string) string { return "sgn_" + sha256[:hex.EncodedLen(16)] }

func isSHA256(s string) bool { return len(s) == hex.EncodedLen(32) }

func (g Grant) list() ([]byte, error) {
	productions := g.Productions
	if g.All {
		productions = []string{everywhere}
	}
	return json.Marshal(productions)
}

// CreateSignIn records that a code of this SHA-256 signs somebody in, once, for valid from now. It returns until when.
func (s *Store) CreateSignIn(ctx context.Context, sha256, role string, grant Grant, note string, valid time.Duration) (id string, expires time.Time, err error) {
	if !isSHA256(sha256) {
		return "", time.Time{}, fmt.Errorf("create sign-in: no SHA-256 in %d letters", len(sha256))
	}
	list, err := grant.list()
	if err != nil {
		return "", time.Time{}, fmt.Errorf("create sign-in: %w", err)
	}
	id = SignInID(sha256)
	r, err := s.run(ctx, s.scripts.signInCreate, 1, []string{signInKey(id)}, sha256, role, list, note, valid.Milliseconds())
	if err != nil {
		return "", time.Time{}, fmt.Errorf("create sign-in %s: %w", id, err)
	}
	switch r.code {
	case "created", "exists":
		expires, err = millis(r.more[0])
		return id, expires, err
	}
	return "", time.Time{}, r.unexpected()
}

// RedeemSignIn uses a code up and begins the session, both named by SHA-256; of two sessions that try, one has it. The
// same one may try again. ErrNoSignIn if the code cannot be used, or not any more.
func (s *Store) RedeemSignIn(ctx context.Context, code, session string, l Lasting) (Session, error) {
	if !isSHA256(code) || !isSHA256(session) {
		return Session{}, ErrNoSignIn
	}
	id := SessionID(session)
	r, err := s.run(ctx, s.scripts.signInRedeem, 0, []string{signInKey(SignInID(code)), sessionKey(id)},
		code, session, id, l.Idle.Milliseconds(), l.Life.Milliseconds())
	if err != nil {
		return Session{}, fmt.Errorf("redeem sign-in: %w", err)
	}
	switch r.code {
	case "begun":
		return s.Session(ctx, session)
	case "unknown":
		return Session{}, ErrNoSignIn
	}
	return Session{}, r.unexpected()
}

// BeginSession begins the session whose secret has this SHA-256, of who is in m. One that is there stays as it is.
func (s *Store) BeginSession(ctx context.Context, sha256 string, m Session, l Lasting) (Session, error) {
	if !isSHA256(sha256) {
		return Session{}, fmt.Errorf("begin session: no SHA-256 in %d letters", len(sha256))
	}
	list, err := m.Grant.list()
	if err != nil {
		return Session{}, fmt.Errorf("begin session: %w", err)
	}
	r, err := s.run(ctx, s.scripts.sessionBegin, 0, []string{sessionKey(SessionID(sha256))},
		sha256, m.Subject, m.Role, list, m.Way, l.Idle.Milliseconds(), l.Life.Milliseconds())
	if err != nil {
		return Session{}, fmt.Errorf("begin session: %w", err)
	}
	if r.code != "begun" {
		return Session{}, r.unexpected()
	}
	return s.Session(ctx, sha256)
}

// Session returns the session whose secret has this SHA-256 (lower-case hexadecimal); ErrNoSession if it is over. It
// only reads, so it answers while Redis takes no writes.
func (s *Store) Session(ctx context.Context, sha256 string) (Session, error) {
	if !isSHA256(sha256) {
		return Session{}, ErrNoSession
	}
	m, have, err := s.session(ctx, SessionID(sha256))
	if err != nil {
		return Session{}, err
	}
	if subtle.ConstantTimeCompare([]byte(have), []byte(sha256)) != 1 {
		return Session{}, ErrNoSession
	}
	return m, nil
}

// SessionByID returns a session; ErrNoSession if it is over.
func (s *Store) SessionByID(ctx context.Context, id string) (Session, error) {
	m, _, err := s.session(ctx, id)
	return m, err
}

func (s *Store) session(ctx context.Context, id string) (m Session, sha256 string, err error) {
	record, err := s.redis.HGetAll(ctx, sessionKey(id)).Result()
	if err != nil {
		return m, "", fmt.Errorf("look for a session: %w", err)
	}
	if len(record) == 0 {
		return m, "", ErrNoSession
	}
	m = Session{ID: id, Subject: record["subject"], Role: record["role"], Way: record["way"]}
	var errs [4]error
	m.Created, errs[0] = millis(record["created"])
	m.Seen, errs[1] = millis(record["seen"])
	m.Expires, errs[2] = millis(record["expires"])
	errs[3] = json.Unmarshal([]byte(record["productions"]), &m.Grant.Productions)
	err = errors.Join(errs[:]...)
	if err != nil {
		return m, "", fmt.Errorf("read session %s: %w", id, err)
	}
	if m.Grant.Allows(everywhere) {
		m.Grant = Everywhere()
	}
	return m, record["sha256"], nil
}

// UseSession puts off a session's end, and returns when that is then; ErrNoSession if it is over.
func (s *Store) UseSession(ctx context.Context, id string, idle time.Duration) (time.Time, error) {
	r, err := s.run(ctx, s.scripts.sessionUse, 1, []string{sessionKey(id)}, idle.Milliseconds())
	if err != nil {
		return time.Time{}, fmt.Errorf("use session %s: %w", id, err)
	}
	switch r.code {
	case "used":
		return millis(r.more[0])
	case "unknown":
		return time.Time{}, ErrNoSession
	}
	return time.Time{}, r.unexpected()
}

// EndSession ends a session at once; ErrNoSession if there was none.
func (s *Store) EndSession(ctx context.Context, id string) error {
	n, err := s.redis.Del(ctx, sessionKey(id)).Result()
	if err != nil {
		return fmt.Errorf("end session %s: %w", id, err)
	}
	if n == 0 {
		return ErrNoSession
	}
	return nil
}
