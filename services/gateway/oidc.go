package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/conf"
	"github.com/filigreehq/filigree/pkg/egress"
	"github.com/filigreehq/filigree/pkg/fault"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
	"github.com/filigreehq/filigree/services/gateway/internal/oidc"
)

const (
	oidcPath     = sessionPath + "/oidc"
	callbackPath = oidcPath + "/callback"
	// oidcCookie holds the secret of a sign-in while the browser is at the provider. It comes back with a navigation from
	// there, so it is SameSite=Lax.
	oidcCookie = "filigree_oidc"
	oidcWithin = 10 * time.Minute
	// signInPage is where the console says what went wrong.
	signInPage = "/sign-in"
)

// OIDC is what can be set about signing in by an identity provider.
type OIDC struct {
	Issuer           string      `name:"oidc-issuer" placeholder:"URL" help:"OpenID Connect provider by which people sign in to the console, as it calls itself. Without it they have sign-in addresses only."`
	Name             string      `name:"oidc-name" placeholder:"NAME" help:"What the console calls the provider. Default: its host."`
	ClientID         string      `name:"oidc-client-id" placeholder:"ID" help:"As whom the provider knows Filigree. It sends browsers back to PUBLIC-URL/v1/session/oidc/callback."`
	ClientSecret     conf.Secret `name:"oidc-client-secret" placeholder:"SECRET" help:"The client's secret, if it has one."`
	ClientSecretFile string      `name:"oidc-client-secret-file" type:"existingfile" placeholder:"FILE" help:"File that holds the client's secret."`
	Scopes           []string    `name:"oidc-scopes" default:"openid,profile,email" help:"What the provider is asked to say."`
	GroupsClaim      string      `name:"oidc-groups-claim" default:"groups" placeholder:"NAME" help:"Where an ID token says somebody's groups; realm_access.roles is one within another."`
	Grants           []string    `name:"oidc-grant" sep:"none" placeholder:"GROUP=ROLE@PRODUCTION,…" help:"What a group may do (repeatable): crew=coordinator@red,blue; '*' is all productions. The first that fits says the role; whom none fits is not let in."`
	GrantsFile       string      `name:"oidc-grants-file" type:"existingfile" placeholder:"FILE" help:"File with more of them, one a line."`
	EgressOpen       []string    `name:"egress-open" placeholder:"CIDR" help:"Networks that the provider may be in although they are not of the public Internet, such as 10.1.0.0/16. With any, it may be reached by http."`
}

// DefaultOIDC returns the defaults, the same that the flags have.
func DefaultOIDC() OIDC {
	return OIDC{Scopes: []string{"openid", "profile", "email"}, GroupsClaim: "groups"}
}

// Validate returns everything that is wrong with c.
func (c OIDC) Validate() error {
	if c.Issuer == "" {
		return nil
	}
	_, err := c.provider(site{origin: "https://unused.example"}, time.Now)
	return err
}

// provider makes the provider; nil when there is none.
func (c OIDC) provider(at site, now func() time.Time) (*oidc.Provider, error) {
	if c.Issuer == "" {
		return nil, nil
	}
	open, err := egress.ParseOpen(c.EgressOpen)
	errs := []error{err}
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || len(open) == 0) {
		errs = append(errs, fmt.Errorf("oidc-issuer %q is not of the form https://host", c.Issuer))
	}
	if c.ClientID == "" {
		errs = append(errs, errors.New("oidc-issuer is given without oidc-client-id"))
	}
	if !slices.Contains(c.Scopes, "openid") {
		errs = append(errs, errors.New("oidc-scopes has no openid: no provider says then who somebody is"))
	}
	secret, err := c.secret()
	errs = append(errs, err)
	lines := slices.Clone(c.Grants)
	if c.GrantsFile != "" {
		more, err := oidc.ReadGrants(c.GrantsFile)
		errs = append(errs, err)
		lines = append(lines, more...)
	}
	var grants []oidc.Grant
	for _, line := range lines {
		g, err := oidc.ParseGrant(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("oidc-grant: %w", err))
		}
		grants = append(grants, g)
	}
	if len(grants) == 0 {
		errs = append(errs, errors.New("oidc-issuer is given without any oidc-grant: nobody could do anything"))
	}
	err = errors.Join(errs...)
	if err != nil {
		return nil, err
	}
	return oidc.New(oidc.Config{
		Issuer: c.Issuer, ClientID: c.ClientID, ClientSecret: secret, Redirect: at.origin + callbackPath, Scopes: c.Scopes,
		GroupsClaim: c.GroupsClaim, Grants: grants, Plain: len(open) > 0,
	}, egress.New(open).Transport(), now), nil
}

func (c OIDC) secret() (string, error) {
	if c.ClientSecretFile == "" {
		return c.ClientSecret.Reveal(), nil
	}
	if c.ClientSecret != "" {
		return "", errors.New("oidc-client-secret and oidc-client-secret-file are one too many")
	}
	text, err := os.ReadFile(c.ClientSecretFile)
	if err != nil {
		return "", fmt.Errorf("oidc-client-secret-file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func (c OIDC) name() string {
	u, err := url.Parse(c.Issuer)
	if err != nil {
		return c.Name
	}
	return cmp.Or(c.Name, u.Hostname())
}

// oidcStart sends the browser to the provider.
func (s *Server) oidcStart(w http.ResponseWriter, r *http.Request) error {
	if s.oidc == nil {
		return fault.New(fault.NotFound, "OIDC_OFF", "nobody signs in by an identity provider here; GET %s says how to", waysPath)
	}
	secret := newSecret()
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.CallTimeout)
	defer cancel()
	to, err := s.oidc.Start(ctx, secret)
	if err != nil {
		s.toSignIn(w, r, err)
		return nil
	}
	c := s.site.cookie(oidcCookie, secret, http.SameSiteLaxMode)
	c.MaxAge = int(oidcWithin.Seconds())
	http.SetCookie(w, c)
	seeOther(w, to)
	return nil
}

// oidcCallback signs in whom the provider sent back.
func (s *Server) oidcCallback(w http.ResponseWriter, r *http.Request) error {
	if s.oidc == nil {
		return fault.New(fault.NotFound, "OIDC_OFF", "nobody signs in by an identity provider here; GET %s says how to", waysPath)
	}
	secret, began := s.site.read(r, oidcCookie)
	http.SetCookie(w, s.site.cookie(oidcCookie, "", http.SameSiteLaxMode)) // it is for one try
	from := s.proxies.Client(r)
	wait := s.guesses.Wait(from)
	if wait > 0 {
		s.toSignIn(w, r, tooManyGuesses(wait))
		return nil
	}
	if !began { // any page can send a browser here, so it is no guess
		s.toSignIn(w, r, fault.New(fault.Invalid, oidc.CodeState, "this sign-in was not begun in this browser, or too long ago; begin again"))
		return nil
	}
	session := newSecret()
	m, err := s.vouched(r, secret, session)
	if err != nil {
		if !fault.Transient(err) && fault.From(err).Reason != oidc.CodeState {
			s.guesses.Miss(from)
		}
		s.toSignIn(w, r, err)
		return nil
	}
	s.begun(w, r, m, session)
	seeOther(w, "/")
	return nil
}

// vouched begins the session of whom the provider vouches for.
func (s *Server) vouched(r *http.Request, secret, session string) (*sessionv1.Session, error) {
	ctx, cancel := s.asGateway(r)
	defer cancel()
	who, err := s.oidc.Finish(ctx, secret, r.URL.Query())
	if err != nil {
		return nil, err
	}
	var resp *sessionv1.BeginSessionResponse
	err = again(ctx, func() (err error) {
		resp, err = s.deps.Sessions.BeginSession(ctx, &sessionv1.BeginSessionRequest{
			SessionSha256: hashOf(session), Subject: who.Subject, Role: who.Role, Productions: who.Productions,
		})
		return err
	})
	return resp.GetSession(), err
}

// toSignIn sends a browser to where the console says what went wrong. A page of ours is what somebody expects who clicked.
func (s *Server) toSignIn(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	callFrom(r.Context()).code = f.Reason
	s.deps.Log.WarnContext(r.Context(), "somebody was not signed in by the identity provider", "code", f.Reason, "request", callFrom(r.Context()).id, "err", err)
	seeOther(w, signInPage+"?problem="+url.QueryEscape(f.Reason))
}

func seeOther(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
