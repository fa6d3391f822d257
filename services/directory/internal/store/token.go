package store

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Token is an API token's record. The secret itself is nowhere in it.
type Token struct {
	// ID names the token: the first half of its secret's SHA-256, so that one record serves finding it by both.
	ID     string
	SHA256 string // of the secret, lower-case hexadecimal
	Role   string
	Grant  Grant
	Note   string
}

const everywhere = "*"

// TokenID is the id of the token whose secret has this SHA-256 (lower-case hexadecimal).
func TokenID(sha256 string) string { return "tok_" + sha256[:hex.EncodedLen(16)] }

// CreateToken records t, whose ID it makes from SHA256; one that was recorded before stays as it is. ErrRevoked if that
// one was revoked.
func (s *Store) CreateToken(ctx context.Context, t Token) (id string, err error) {
	if len(t.SHA256) != hex.EncodedLen(32) {
		return "", fmt.Errorf("create token: no SHA-256 in %d letters", len(t.SHA256))
	}
	productions := t.Grant.Productions
	if t.Grant.All {
		productions = []string{everywhere}
	}
	list, err := json.Marshal(productions)
	if err != nil {
		return "", fmt.Errorf("create token: %w", err)
	}
	id = TokenID(t.SHA256)
	r, err := s.run(ctx, s.scripts.tokenCreate, 0, []string{tokenKey(id)}, t.SHA256, t.Role, list, t.Note)
	if err != nil {
		return "", fmt.Errorf("create token %s: %w", id, err)
	}
	switch r.code {
	case "created", "exists":
		return id, nil
	case "revoked":
		return "", fmt.Errorf("create token %s: %w", id, ErrRevoked)
	}
	return "", r.unexpected()
}

// Token returns the token whose secret has this SHA-256 (lower-case hexadecimal); ErrNoToken if there is none.
func (s *Store) Token(ctx context.Context, sha256 string) (Token, error) {
	if len(sha256) != hex.EncodedLen(32) {
		return Token{}, ErrNoToken
	}
	t, err := s.TokenByID(ctx, TokenID(sha256))
	if err != nil {
		return Token{}, err
	}
	if subtle.ConstantTimeCompare([]byte(t.SHA256), []byte(sha256)) != 1 {
		return Token{}, ErrNoToken
	}
	return t, nil
}

// TokenByID returns a token that was not revoked; ErrNoToken if there is none.
func (s *Store) TokenByID(ctx context.Context, id string) (Token, error) {
	record, err := s.redis.HGetAll(ctx, tokenKey(id)).Result()
	if err != nil {
		return Token{}, fmt.Errorf("look for a token: %w", err)
	}
	_, revoked := record["revoked"]
	if len(record) == 0 || revoked {
		return Token{}, ErrNoToken
	}
	t := Token{ID: id, SHA256: record["sha256"], Role: record["role"], Note: record["note"]}
	err = json.Unmarshal([]byte(record["productions"]), &t.Grant.Productions)
	if err != nil {
		return Token{}, fmt.Errorf("read token %s: %w", id, err)
	}
	if t.Grant.Allows(everywhere) {
		t.Grant = Everywhere()
	}
	return t, nil
}

// RevokeToken ends a token at once; ErrNoToken if there was never one of that id. Revoking it again is no error.
func (s *Store) RevokeToken(ctx context.Context, id string) error {
	r, err := s.run(ctx, s.scripts.tokenRevoke, 0, []string{tokenKey(id)})
	if err != nil {
		return fmt.Errorf("revoke token %s: %w", id, err)
	}
	switch r.code {
	case "revoked":
		return nil
	case "unknown":
		return ErrNoToken
	}
	return r.unexpected()
}
