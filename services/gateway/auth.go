package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Keys of the metadata that goes on from a client's headers.
const (
	keyIdempotency = "idempotency-key"
	keyRequest     = "request-id"
)

// maxIdempotencyKey is what DistributionService takes.
const maxIdempotencyKey = 128

// authenticate lets a request in whose token somebody has, and prepares what its calls carry.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) {
	c := callFrom(r.Context())
	token, err := bearer(r.Header)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	wait := s.cfg.CallTimeout
	if r.Method == http.MethodGet && s.tokens.knew(token) {
		wait = min(wait, briefly)
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	principal, err := s.tokens.principal(ctx, token)
	cancel()
	if err != nil && r.Method == http.MethodGet {
		// Whoever is woken must be able to look while the directory cannot tell who they are.
		principal, err = s.tokens.lastKnown(token, err)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	outgoing, err := onBehalf(principal)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if key != "" {
		outgoing.Set(keyIdempotency, key)
	}
	outgoing.Set(keyRequest, c.id)
	c.principal, c.outgoing = principal, outgoing
	s.api.ServeHTTP(w, stripped(r))
}

// stripped returns r with nothing of the client's header but what describes its body and how much of an answer it wants, and
// without addresses. Whatever the REST layer makes of headers, it cannot make it of these.
func stripped(r *http.Request) *http.Request {
	r = r.WithContext(r.Context()) // a shallow copy
	kept := http.Header{}
	for _, name := range []string{
		"Content-Type", "Content-Disposition", "Content-Encoding",
		"Range", "If-Range", "If-None-Match", http.CanonicalHeaderKey("Last-Event-ID"),
	} {
		if v := r.Header.Values(name); len(v) > 0 {
			kept[name] = v
		}
	}
	r.Header, r.Host, r.RemoteAddr = kept, "", ""
	return r
}

func onBehalf(p *accessv1.Principal) (metadata.MD, error) {
	ctx, err := rpc.As(context.Background(), p)
	if err != nil {
		return nil, err
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	return md, nil
}

func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 1 {
		scheme, token, ok := strings.Cut(values[0], " ")
		token = strings.TrimSpace(token)
		if ok && strings.EqualFold(scheme, "Bearer") && token != "" {
			return token, nil
		}
	}
	return "", fault.New(fault.Unauthenticated, codeTokenMissing, "this call needs a token: send it as header Authorization: Bearer …")
}

func idempotencyKey(h http.Header) (string, error) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	ok := len(values) == 1 && key != "" && len(key) <= maxIdempotencyKey
	for i := range len(key) {
		ok = ok && key[i] >= 0x20 && key[i] <= 0x7e // what gRPC metadata can carry
	}
	if !ok {
		return "", fault.New(fault.Invalid, "IDEMPOTENCY_KEY_INVALID", "the header Idempotency-Key must be there once, with 1 to %d printable ASCII characters", maxIdempotencyKey)
	}
	return key, nil
}

// maxKnownTokens bounds the cache; a gateway that sees more within TokenCache asks the directory more often.
const maxKnownTokens = 10_000

// tokens finds out whose a token is. Accepted ones are believed for a moment, refused ones never: a token that was
// just made works at once. Tokens are compared by SHA-256 only, so how long an answer takes says nothing about how
// much of a guess was right.
type tokens struct {
	directory directoryv1.DirectoryServiceClient
	ttl       time.Duration
	now       func() time.Time

	mu    sync.Mutex
	known map[string]knownToken
	// epoch counts revocations, so that an answer from before one is not remembered after it.
	epoch int
}

type knownToken struct {
	principal *accessv1.Principal
	until     time.Time
}

func newTokens(directory directoryv1.DirectoryServiceClient, ttl time.Duration, now func() time.Time) *tokens {
	return &tokens{directory: directory, ttl: ttl, now: now, known: map[string]knownToken{}}
}

func (t *tokens) principal(ctx context.Context, token string) (*accessv1.Principal, error) {
	sum := sha256.Sum256([]byte(token))
	hash := hex.EncodeToString(sum[:])
	t.mu.Lock()
	known, ok := t.known[hash]
	epoch := t.epoch
	t.mu.Unlock()
	if ok && t.now().Before(known.until) {
		return known.principal, nil
	}
	asked := t.now()
	resp, err := t.directory.Authenticate(ctx, &directoryv1.AuthenticateRequest{TokenSha256: hash})
	if err != nil {
		f := fault.From(err)
		if f.Reason == codeTokenUnknown || f.Kind == fault.NotFound {
			t.drop(hash)
			return nil, fault.New(fault.Unauthenticated, codeTokenUnknown, "nobody knows this token; it may have been revoked: ask an admin for a new one")
		}
		if f.Kind == fault.Unauthenticated || f.Kind == fault.Denied {
			// It is the gateway that was refused, not its client.
			return nil, fault.New(fault.Internal, "INTERNAL", "something went wrong on our side; it was logged").Because(err)
		}
		return nil, err
	}
	p := resp.GetPrincipal()
	switch p.GetRole() {
	case accessv1.Role_ROLE_COORDINATOR, accessv1.Role_ROLE_ONCALL, accessv1.Role_ROLE_ADMIN:
	default:
		// Only processes are services; a token that says so is a mistake, or worse.
		return nil, errors.New("the directory gave a token a role that tokens cannot have")
	}
	t.remember(hash, knownToken{principal: p, until: asked.Add(t.ttl)}, epoch)
	return p, nil
}

// outage is how long a token that was good is believed on for looking, while the directory does not answer whose it is.
const outage = 30 * time.Minute

// briefly is how long the directory may take to say whose a token is before one that was good is believed for looking.
const briefly = 2 * time.Second

// knew says whether a token was good not long ago.
func (t *tokens) knew(token string) bool {
	_, err := t.lastKnown(token, fault.New(fault.Unavailable, "UNAVAILABLE", "the directory was not asked"))
	return err == nil
}

// lastKnown is whose a token was when the directory answered last, if err is that it does not answer now, and that is not
// long ago; else it returns err.
func (t *tokens) lastKnown(token string, err error) (*accessv1.Principal, error) {
	switch fault.From(err).Kind {
	case fault.Unavailable, fault.Internal:
	default:
		return nil, err
	}
	sum := sha256.Sum256([]byte(token))
	t.mu.Lock()
	defer t.mu.Unlock()
	known, ok := t.known[hex.EncodeToString(sum[:])]
	if !ok || t.ttl <= 0 || t.now().After(known.until.Add(outage)) {
		return nil, err
	}
	return known.principal, nil
}

func (t *tokens) remember(hash string, known knownToken, epoch int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ttl <= 0 || t.epoch != epoch {
		return
	}
	if len(t.known) >= maxKnownTokens {
		now := t.now()
		for h, k := range t.known {
			if !now.Before(k.until) {
				delete(t.known, h)
			}
		}
		if len(t.known) >= maxKnownTokens {
			clear(t.known)
		}
	}
	t.known[hash] = known
}

// drop forgets a token.
func (t *tokens) drop(hash string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, hash)
}

// forget drops all that is known.
func (t *tokens) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch++
	clear(t.known)
}

// revoking is the directory as clients reach it: a revocation takes effect here before it is answered.
type revoking struct {
	directoryv1.DirectoryServiceClient
	tokens *tokens
}

func (r revoking) RevokeToken(ctx context.Context, req *directoryv1.RevokeTokenRequest, opts ...grpc.CallOption) (*directoryv1.RevokeTokenResponse, error) {
	resp, err := r.DirectoryServiceClient.RevokeToken(ctx, req, opts...)
	r.tokens.forget() // also after an error: the revocation may have happened
	return resp, err
}
