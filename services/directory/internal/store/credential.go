package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrNoCredential: there is none of that name.
	ErrNoCredential = errors.New("credential unknown")
	// ErrTooManyCredentials: there are MaxCredentials already.
	ErrTooManyCredentials = errors.New("too many credentials")
)

// MaxCredentials is how many credentials a production has at most, and the studio besides.
const MaxCredentials = 500

// Credential is what is known of a credential without its secret.
type Credential struct {
	Name      string
	Changed   time.Time
	ChangedBy string
}

// Safe is where credentials are kept: a production's, or the studio's. What comes in and goes out is sealed. Every
// change, and every secret that is given out, has a line in the audit beside it.
type Safe struct {
	s *Store
	// production is empty for the studio's.
	production string
}

// Safe returns the production's safe.
func (t Tenant) Safe() Safe { return Safe{t.s, t.production} }

// StudioSafe returns the studio's safe.
func (s *Store) StudioSafe() Safe { return Safe{s: s} }

// Put keeps sealed under name, in place of what there was, and returns since when. call tells calls apart.
func (v Safe) Put(ctx context.Context, name, sealed, who, call string) (time.Time, error) {
	keys := []string{
		safeTag(v.production) + ":production", // there is none for the studio, and it is not looked at
		credentialKey(v.production, name), credentialsKey(v.production), safeAuditKey(v.production),
	}
	r, err := v.s.run(ctx, v.s.scripts.credentialPut, 1, keys, flag(v.production != ""), name, sealed, who, call, MaxCredentials, auditKept)
	if err != nil {
		return time.Time{}, fmt.Errorf("keep credential %s: %w", name, err)
	}
	switch r.code {
	case "put":
		return millis(r.more[0])
	case "too_many":
		return time.Time{}, ErrTooManyCredentials
	case "no_production":
		return time.Time{}, ErrNoProduction
	}
	return time.Time{}, r.unexpected()
}

// Open gives the sealed secret of name to who. Calls of the same call id are one line in the audit.
func (v Safe) Open(ctx context.Context, name, who, call string) (string, error) {
	r, err := v.s.run(ctx, v.s.scripts.credentialOpen, 1, []string{credentialKey(v.production, name), safeAuditKey(v.production)},
		name, who, call, auditKept, auditCompared)
	if err != nil {
		return "", fmt.Errorf("open credential %s: %w", name, err)
	}
	switch r.code {
	case "open":
		return r.more[0], nil
	case "absent":
		return "", ErrNoCredential
	}
	return "", r.unexpected()
}

// Delete removes a credential; removing what is not there is no error.
func (v Safe) Delete(ctx context.Context, name, who, call string) error {
	keys := []string{credentialKey(v.production, name), credentialsKey(v.production), safeAuditKey(v.production)}
	r, err := v.s.run(ctx, v.s.scripts.credentialDelete, 0, keys, name, who, call, auditKept)
	if err != nil {
		return fmt.Errorf("delete credential %s: %w", name, err)
	}
	switch r.code {
	case "deleted", "absent":
		return nil
	}
	return r.unexpected()
}

// List returns all credentials in the order of their names.
func (v Safe) List(ctx context.Context) ([]Credential, error) {
	names, err := v.s.redis.ZRange(ctx, credentialsKey(v.production), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list credentials: %w", err)
	}
	read := make([]*redis.SliceCmd, len(names))
	_, err = v.s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range names {
			read[i] = p.HMGet(ctx, credentialKey(v.production, name), "changed", "by")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list credentials: %w", err)
	}
	var found []Credential
	for i, name := range names {
		changed, ok := read[i].Val()[0].(string)
		if !ok {
			continue // deleted since
		}
		at, err := millis(changed)
		if err != nil {
			return nil, fmt.Errorf("credential %s: %w", name, err)
		}
		by, _ := read[i].Val()[1].(string)
		found = append(found, Credential{Name: name, Changed: at, ChangedBy: by})
	}
	return found, nil
}
