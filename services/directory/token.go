package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

// ErrRevoked: the secret belonged to a token that was revoked, and will not be one again.
var ErrRevoked = store.ErrRevoked

// secretPrefix makes a token recognisable where it should not be: in a repository, in a log.
const secretPrefix = "fg_"

const everywhere = "*"

// roles are those a token may have, as people write them.
var roles = map[string]accessv1.Role{
	"coordinator": accessv1.Role_ROLE_COORDINATOR,
	"oncall":      accessv1.Role_ROLE_ONCALL,
	"admin":       accessv1.Role_ROLE_ADMIN,
}

// NewSecret makes a token's secret: 256 random bits.
func NewSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return secretPrefix + base64.RawURLEncoding.EncodeToString(b)
}

func secretSHA256(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// CreateToken makes an API token. Nobody makes one that may more than their own.
func (s *Server) CreateToken(ctx context.Context, req *directoryv1.CreateTokenRequest) (*directoryv1.CreateTokenResponse, error) {
	productions := normal(req.GetProductions())
	err := s.within(ctx, productions, "a token")
	if err != nil {
		return nil, err
	}
	secret := NewSecret()
	id, err := s.createToken(ctx, secret, req.GetRole(), productions, strings.TrimSpace(visible(req.GetNote())))
	if err != nil {
		return nil, err
	}
	return &directoryv1.CreateTokenResponse{Id: id, Token: secret, Role: req.GetRole(), Productions: productions}, nil
}

// within refuses to make what for productions that the caller of ctx may not act in.
func (s *Server) within(ctx context.Context, productions []string, what string) error {
	for _, p := range productions {
		if p == everywhere && !rpc.MayActIn(ctx, everywhere) {
			return fault.New(fault.Denied, "TOKEN_TOO_WIDE", "%s for all productions (*) can be made with a token for all productions only", what)
		}
		if p == everywhere {
			continue
		}
		_, _, err := s.tenant(ctx, p)
		if err != nil {
			return err
		}
	}
	return nil
}

// grantFor is what somebody with role may in productions.
func grantFor(role string, productions []string) (store.Grant, error) {
	_, ok := roles[role]
	if !ok {
		return store.Grant{}, fault.New(fault.Invalid, "ROLE_UNKNOWN", "there is no role %q; there are coordinator, oncall and admin", role)
	}
	return store.Grant{All: slices.Contains(productions, everywhere), Productions: productions}, nil
}

// EnsureToken makes secret a token, unless it is one, which then stays as it is. If it was revoked the error is
// ErrRevoked. It is for starting up: secrets that were handed out stay valid though Redis was wiped.
func (s *Server) EnsureToken(ctx context.Context, secret, role string, productions []string, note string) error {
	if len(secret) < len(secretPrefix)+base64.RawURLEncoding.EncodedLen(32) || !strings.HasPrefix(secret, secretPrefix) {
		return fmt.Errorf("a token of %d letters is not one of Filigree's (%s and 43 letters)", len(secret), secretPrefix)
	}
	_, err := s.createToken(ctx, secret, role, normal(productions), note)
	return err
}

func (s *Server) createToken(ctx context.Context, secret, role string, productions []string, note string) (string, error) {
	grant, err := grantFor(role, productions)
	if err != nil {
		return "", err
	}
	return s.store.CreateToken(ctx, store.Token{SHA256: secretSHA256(secret), Role: role, Grant: grant, Note: note})
}

// normal sorts productions and drops what says nothing more.
func normal(productions []string) []string {
	if slices.Contains(productions, everywhere) {
		return []string{everywhere}
	}
	sorted := slices.Sorted(slices.Values(productions))
	return slices.Compact(sorted)
}

// RevokeToken ends a token, or a session, at once. One that may more than the caller's is unknown to the caller.
func (s *Server) RevokeToken(ctx context.Context, req *directoryv1.RevokeTokenRequest) (*directoryv1.RevokeTokenResponse, error) {
	if store.IsSessionID(req.GetToken()) {
		return &directoryv1.RevokeTokenResponse{}, s.revokeSession(ctx, req.GetToken())
	}
	unknown := fault.New(fault.NotFound, "TOKEN_UNKNOWN", "there is no token with the id %q", shown(req.GetToken()))
	grant := grantOf(rpc.PrincipalFrom(ctx))
	if !grant.All {
		t, err := s.store.TokenByID(ctx, req.GetToken())
		if errors.Is(err, store.ErrNoToken) {
			return nil, unknown
		}
		if err != nil {
			return nil, err
		}
		if !grant.Covers(t.Grant) {
			return nil, unknown
		}
	}
	err := s.store.RevokeToken(ctx, req.GetToken())
	if errors.Is(err, store.ErrNoToken) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	return &directoryv1.RevokeTokenResponse{}, nil
}

// shown keeps a secret that was given in place of an id out of the answer and of what quotes it.
func shown(id string) string {
	if strings.HasPrefix(id, secretPrefix) {
		return secretPrefix + "…"
	}
	return id
}

// Authenticate tells whom a secret belongs to.
func (s *Server) Authenticate(ctx context.Context, req *directoryv1.AuthenticateRequest) (*directoryv1.AuthenticateResponse, error) {
	t, err := s.store.Token(ctx, req.GetTokenSha256())
	if errors.Is(err, store.ErrNoToken) {
		return nil, fault.New(fault.Unauthenticated, "TOKEN_UNKNOWN", "this token is unknown or was revoked; ask an admin for another")
	}
	if err != nil {
		return nil, err
	}
	productions := t.Grant.Productions
	if t.Grant.All {
		productions = []string{everywhere}
	}
	return &directoryv1.AuthenticateResponse{Principal: &accessv1.Principal{
		Subject: t.ID, Role: roles[t.Role], Productions: productions,
	}}, nil
}
