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
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
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
	who, err := s.caller(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	principal := who.principal
	c.over = who.over
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

// caller finds out who makes a call: by its token or, where there is none, by the session of a browser.
func (s *Server) caller(r *http.Request) (knownToken, error) {
	if len(r.Header.Values("Authorization")) == 0 {
		secret, ok := s.site.session(r)
		if ok {
			err := s.site.admit(r, secret)
			if err != nil {
				return knownToken{}, err
			}
			return s.know(r, s.sessions, secret)
		}
	}
	token, err := bearer(r.Header)
	if err != nil {
		return knownToken{}, err
	}
	return s.know(r, s.tokens, token)
}

// know finds out whose a secret is.
func (s *Server) know(r *http.Request, secrets *tokens, secret string) (knownToken, error) {
	looks := r.Method == http.MethodGet
	wait := s.cfg.CallTimeout
	if looks && secrets.knew(secret) {
		wait = min(wait, briefly)
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	who, err := secrets.whose(ctx, secret)
	cancel()
	if err != nil && looks {
		// Whoever is woken must be able to look while the directory cannot tell who they are.
		who, err = secrets.lastKnown(secret, err)
	}
	who.over = func(ctx context.Context) bool { return secrets.over(ctx, secret) }
	return who, err
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

// tokens finds out whose a token is, or whose a session. Accepted ones are believed for a moment, refused ones never: a
// token that was just made works at once. Tokens are compared by SHA-256 only, so how long an answer takes says nothing
// about how much of a guess was right.
type tokens struct {
	// ask asks the directory. With peek a session is not used by it.
	ask     func(ctx context.Context, sha256 string, peek bool) (knownToken, error)
	unknown *fault.Error // what to say of one that nobody knows
	ttl     time.Duration
	now     func() time.Time

	mu    sync.Mutex
	known map[string]knownToken
	// epoch counts revocations, so that an answer from before one is not remembered after it.
	epoch int
}

type knownToken struct {
	principal *accessv1.Principal
	session   *sessionv1.Session // nil of a token
	until     time.Time
	// over asks whether it was revoked since, for what goes on for long.
	over func(ctx context.Context) bool
}

func newTokens(directory directoryv1.DirectoryServiceClient, ttl time.Duration, now func() time.Time) *tokens {
	return &tokens{
		ask: func(ctx context.Context, hash string, _ bool) (knownToken, error) {
			resp, err := directory.Authenticate(ctx, &directoryv1.AuthenticateRequest{TokenSha256: hash})
			return knownToken{principal: resp.GetPrincipal()}, err
		},
		unknown: fault.New(fault.Unauthenticated, codeTokenUnknown, "nobody knows this token; it may have been revoked: ask an admin for a new one"),
		ttl:     ttl, now: now, known: map[string]knownToken{},
	}
}

func newSessions(sessions sessionv1.SessionServiceClient, ttl time.Duration, now func() time.Time) *tokens {
	return &tokens{
		ask: func(ctx context.Context, hash string, peek bool) (knownToken, error) {
			resp, err := sessions.GetSession(ctx, &sessionv1.GetSessionRequest{SessionSha256: hash, Peek: peek})
			return knownToken{principal: resp.GetSession().GetPrincipal(), session: resp.GetSession()}, err
		},
		unknown: fault.New(fault.Unauthenticated, codeSessionUnknown, "you are signed out; sign in again"),
		ttl:     ttl, now: now, known: map[string]knownToken{},
	}
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// fresh is what is known of a secret, if it may still be believed without asking.
func (t *tokens) fresh(hash string) (known knownToken, epoch int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, ok = t.known[hash]
	return known, t.epoch, ok && t.now().Before(known.until)
}

func (t *tokens) whose(ctx context.Context, secret string) (knownToken, error) {
	hash := hashOf(secret)
	known, epoch, ok := t.fresh(hash)
	if ok {
		return known, nil
	}
	asked := t.now()
	found, err := t.ask(ctx, hash, false)
	if err != nil {
		f := fault.From(err)
		if f.Reason == t.unknown.Reason || f.Kind == fault.NotFound {
			t.drop(hash)
			return knownToken{}, t.unknown
		}
		if f.Kind == fault.Unauthenticated || f.Kind == fault.Denied {
			// It is the gateway that was refused, not its client.
			return knownToken{}, fault.New(fault.Internal, "INTERNAL", "something went wrong on our side; it was logged").Because(err)
		}
		return knownToken{}, err
	}
	switch found.principal.GetRole() {
	case accessv1.Role_ROLE_COORDINATOR, accessv1.Role_ROLE_ONCALL, accessv1.Role_ROLE_ADMIN:
	default:
		// Only processes are services; a token that says so is a mistake, or worse.
		return knownToken{}, errors.New("the directory gave a token a role that tokens cannot have")
	}
	found.until = asked.Add(t.ttl)
	t.remember(hash, found, epoch)
	return found, nil
}

// over reports whether the directory says that nobody knows a secret any more.
func (t *tokens) over(ctx context.Context, secret string) bool {
	hash := hashOf(secret)
	_, _, ok := t.fresh(hash)
	if ok {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, briefly)
	defer cancel()
	_, err := t.ask(ctx, hash, true)
	return err != nil && fault.From(err).Reason == t.unknown.Reason
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
func (t *tokens) lastKnown(token string, err error) (knownToken, error) {
	switch fault.From(err).Kind {
	case fault.Unavailable, fault.Internal:
	default:
		return knownToken{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	known, ok := t.known[hashOf(token)]
	if !ok || t.ttl <= 0 || t.now().After(known.until.Add(outage)) {
		return knownToken{}, err
	}
	if known.session != nil && t.now().After(known.session.GetExpiresAt().AsTime()) {
		return knownToken{}, err
	}
	return known, nil
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

// end forgets one that is over, and what is being asked about it.
func (t *tokens) end(secret string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch++
	delete(t.known, hashOf(secret))
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
	tokens, sessions *tokens
}

func (r revoking) RevokeToken(ctx context.Context, req *directoryv1.RevokeTokenRequest, opts ...grpc.CallOption) (*directoryv1.RevokeTokenResponse, error) {
	resp, err := r.DirectoryServiceClient.RevokeToken(ctx, req, opts...)
	// Also after an error: the revocation may have happened.
	r.tokens.forget()
	r.sessions.forget()
	return resp, err
}
