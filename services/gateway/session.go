package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
)

const (
	// sessionPath is who is signed in, of a browser. It sets and reads cookies, so it is no call of the REST layer.
	sessionPath = "/v1/session"
	waysPath    = sessionPath + "/ways"
	// maxSignInBody is the largest body of a sign-in.
	maxSignInBody = 4 << 10
	maxCode       = 200
	// redeemTries is how often a code is redeemed when the directory does not answer: it may be used up already. redeemPause is
	// the first pause between them.
	redeemTries = 3
	redeemPause = 50 * time.Millisecond
)

// session serves what is under sessionPath.
func (s *Server) session(w http.ResponseWriter, r *http.Request) {
	c := callFrom(r.Context())
	type handler = func(http.ResponseWriter, *http.Request) error
	methods := map[string]handler{}
	switch r.URL.Path {
	case sessionPath:
		methods = map[string]handler{http.MethodPost: s.signIn, http.MethodGet: s.whoIs, http.MethodDelete: s.signOut}
	case oidcPath:
		methods = map[string]handler{http.MethodGet: s.oidcStart}
	case callbackPath:
		methods = map[string]handler{http.MethodGet: s.oidcCallback}
	case waysPath:
		methods = map[string]handler{http.MethodGet: s.ways}
	default:
		s.fail(w, r, pathUnknown())
		return
	}
	c.route = r.URL.Path
	serve, ok := methods[r.Method]
	if !ok {
		var allowed []string
		for m := range methods {
			allowed = append(allowed, m)
		}
		slices.Sort(allowed)
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.fail(w, r, methodUnknown(r.Method))
		return
	}
	err := serve(w, r)
	if err != nil {
		s.fail(w, r, err)
	}
}

// signedIn is what a page is told of its session.
type signedIn struct {
	ID          string    `json:"id"`
	Subject     string    `json:"subject"`
	Role        string    `json:"role"`
	Productions []string  `json:"productions"`
	Way         string    `json:"way"`
	CSRFToken   string    `json:"csrf_token"`
	CreatedAt   time.Time `json:"created_at"`
	ExpiresAt   time.Time `json:"expires_at"`
}

func writeSession(w http.ResponseWriter, m *sessionv1.Session, secret string) {
	p := m.GetPrincipal()
	writeJSON(w, http.StatusOK, signedIn{
		ID: m.GetId(), Subject: p.GetSubject(), Role: roleWord(p.GetRole()), Productions: p.GetProductions(), Way: m.GetWay(),
		CSRFToken: csrfOf(secret), CreatedAt: m.GetCreatedAt().AsTime(), ExpiresAt: m.GetExpiresAt().AsTime(),
	})
}

func roleWord(r accessv1.Role) string {
	return strings.ToLower(strings.TrimPrefix(r.String(), "ROLE_"))
}

// newSecret makes a session's secret.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// asGateway is for calls of the gateway's own: there is no caller yet to make them on behalf of.
func (s *Server) asGateway(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(metadata.NewOutgoingContext(r.Context(), metadata.Pairs(keyRequest, callFrom(r.Context()).id)), s.cfg.CallTimeout)
}

// signIn uses a code up and makes the browser that sent it signed in.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	from := s.proxies.Client(r)
	wait := s.guesses.Wait(from)
	if wait > 0 {
		w.Header().Set("Connection", "close") // the rest of the body is not waited for
		return tooManyGuesses(wait)
	}
	code, err := s.readCode(w, r)
	if err != nil {
		w.Header().Set("Connection", "close")
		return err
	}
	secret := newSecret()
	m, err := s.redeem(r, code, secret)
	if err != nil {
		if fault.From(err).Reason == codeSignInUnknown {
			s.guesses.Miss(from)
		}
		return err
	}
	s.begun(w, r, m, secret)
	writeSession(w, m, secret)
	return nil
}

func tooManyGuesses(wait time.Duration) error {
	f := fault.New(fault.Exhausted, "SIGN_IN_MISSES", "too many sign-ins failed from this network address within a minute; try again later")
	f.RetryAfter = wait
	return f
}

// readCode reads the body of a sign-in. A page of another origin must not sign a browser in as somebody else.
func (s *Server) readCode(w http.ResponseWriter, r *http.Request) (string, error) {
	err := s.site.ours(r)
	if err != nil {
		return "", err
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return "", fault.New(fault.Invalid, codeMediaType, "a sign-in is sent as application/json: {\"code\":…}")
	}
	raw, err := io.ReadAll(newBody(w, r, maxSignInBody, s.cfg.StallTimeout))
	if err != nil {
		return "", readFault(err, fault.New(fault.Invalid, codeTooLarge, "a sign-in is no longer than %d bytes", maxSignInBody))
	}
	var body struct {
		Code string `json:"code"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err = dec.Decode(&body)
	if err != nil || dec.More() || body.Code == "" || len(body.Code) > maxCode {
		return "", fault.New(fault.Invalid, codeInvalid, "a sign-in is {\"code\":…}, with what stands behind the # of the sign-in address")
	}
	return body.Code, nil
}

// redeem uses a code up for the session with this secret. Whether a call that was not answered did so is found out by
// making it again.
func (s *Server) redeem(r *http.Request, code, secret string) (*sessionv1.Session, error) {
	ctx, cancel := s.asGateway(r)
	defer cancel()
	var resp *sessionv1.RedeemSignInResponse
	err := again(ctx, func() (err error) {
		resp, err = s.deps.Sessions.RedeemSignIn(ctx, &sessionv1.RedeemSignInRequest{CodeSha256: hashOf(code), SessionSha256: hashOf(secret)})
		return err
	})
	return resp.GetSession(), err
}

// again makes a call a few times until it is answered, with pauses that grow.
func again(ctx context.Context, call func() error) error {
	for try := range redeemTries - 1 {
		err := call()
		if err == nil || !fault.Transient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(redeemPause << try):
		}
	}
	return call()
}

// begun gives the browser its cookie, ends the session that it had, and tells the audit who came.
func (s *Server) begun(w http.ResponseWriter, r *http.Request, m *sessionv1.Session, secret string) {
	c := callFrom(r.Context())
	c.principal, c.action, c.made = m.GetPrincipal(), "session.create", m.GetId()
	former, ok := s.site.session(r)
	if ok {
		// If it cannot be ended now it ends by itself; nobody has it any more.
		_ = s.end(r, former)
	}
	http.SetCookie(w, s.site.cookie(sessionCookie, secret, http.SameSiteStrictMode))
}

func (s *Server) end(r *http.Request, secret string) error {
	ctx, cancel := s.asGateway(r)
	defer cancel()
	_, err := s.deps.Sessions.EndSession(ctx, &sessionv1.EndSessionRequest{SessionSha256: hashOf(secret)})
	s.sessions.end(secret)
	return err
}

// mine is the session that the browser has, and may use for this call.
func (s *Server) mine(w http.ResponseWriter, r *http.Request) (secret string, m *sessionv1.Session, err error) {
	secret, ok := s.site.session(r)
	if !ok {
		return "", nil, fault.New(fault.Unauthenticated, codeSessionMissing, "nobody is signed in here; GET %s says how to", waysPath)
	}
	err = s.site.admit(r, secret)
	if err != nil {
		return "", nil, err
	}
	who, err := s.know(r, s.sessions, secret)
	if err != nil {
		if fault.From(err).Reason == codeSessionUnknown {
			http.SetCookie(w, s.site.cookie(sessionCookie, "", http.SameSiteStrictMode))
		}
		return "", nil, err
	}
	return secret, who.session, nil
}

func (s *Server) whoIs(w http.ResponseWriter, r *http.Request) error {
	secret, m, err := s.mine(w, r)
	if err != nil {
		return err
	}
	writeSession(w, m, secret)
	return nil
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	secret, m, err := s.mine(w, r)
	if err != nil {
		return err
	}
	err = s.end(r, secret)
	if err != nil {
		return err
	}
	c := callFrom(r.Context())
	c.principal, c.action, c.made = m.GetPrincipal(), "session.delete", m.GetId()
	http.SetCookie(w, s.site.cookie(sessionCookie, "", http.SameSiteStrictMode))
	writeBody(w, http.StatusOK, []byte("{}"))
	return nil
}

// way is a way to sign in.
type way struct {
	Way  string `json:"way"`  // code, oidc
	Name string `json:"name"` // for people
	URL  string `json:"url"`  // where it begins; empty of codes, whose address is a secret
}

func (s *Server) ways(w http.ResponseWriter, _ *http.Request) error {
	ways := []way{{Way: "code", Name: "Sign-in address"}}
	if s.oidc != nil {
		ways = append(ways, way{Way: "oidc", Name: s.cfg.OIDC.name(), URL: oidcPath})
	}
	writeJSON(w, http.StatusOK, map[string][]way{"ways": ways})
	return nil
}
