package directory

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

// codePrefix makes a sign-in code recognisable where it should not be.
const codePrefix = "fgc_"

// putOffAfter is the shortest time after which the end of a session that is used is put off again: each is a write.
const putOffAfter = time.Minute

// SignIns is what can be set about signing in.
type SignIns struct {
	SignInValid time.Duration `name:"sign-in-valid" default:"15m" help:"How long a sign-in address can be used; it works once."`
	SessionIdle time.Duration `name:"session-idle" default:"12h" help:"A browser is signed out when it made no call for this long."`
	SessionLife time.Duration `name:"session-life" default:"168h" help:"A browser is signed out after this long at most, however much it is used."`
}

// DefaultSignIns is what holds if nothing is set.
func DefaultSignIns() SignIns {
	return SignIns{SignInValid: 15 * time.Minute, SessionIdle: 12 * time.Hour, SessionLife: 7 * 24 * time.Hour}
}

// Validate returns all that is wrong with c.
func (c SignIns) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"sign-in-valid", c.SignInValid}, {"session-idle", c.SessionIdle}, {"session-life", c.SessionLife}} {
		if d.value < time.Second {
			errs = append(errs, fmt.Errorf("%s is %s; it must be at least 1s", d.name, d.value))
		}
	}
	return errors.Join(errs...)
}

func (c SignIns) lasting() store.Lasting {
	return store.Lasting{Idle: c.SessionIdle, Life: c.SessionLife}
}

// CreateSignIn makes a code that signs one browser in. Nobody makes one that may more than they.
func (s *Server) CreateSignIn(ctx context.Context, req *sessionv1.CreateSignInRequest) (*sessionv1.CreateSignInResponse, error) {
	productions := normal(req.GetProductions())
	err := s.within(ctx, productions, "a sign-in")
	if err != nil {
		return nil, err
	}
	id, code, expires, err := s.createSignIn(ctx, req.GetRole(), productions, strings.TrimSpace(visible(req.GetNote())))
	if err != nil {
		return nil, err
	}
	return &sessionv1.CreateSignInResponse{Id: id, Code: code, Role: req.GetRole(), Productions: productions, ExpiresAt: timestamppb.New(expires)}, nil
}

// NewSignIn makes a code that signs one browser in with a role in productions ("*" is all). It is for starting up.
func (s *Server) NewSignIn(ctx context.Context, role string, productions []string, note string) (code string, err error) {
	_, code, _, err = s.createSignIn(ctx, role, normal(productions), note)
	return code, err
}

func (s *Server) createSignIn(ctx context.Context, role string, productions []string, note string) (id, code string, expires time.Time, err error) {
	grant, err := grantFor(role, productions)
	if err != nil {
		return "", "", time.Time{}, err
	}
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	code = codePrefix + base64.RawURLEncoding.EncodeToString(b)
	id, expires, err = s.store.CreateSignIn(ctx, secretSHA256(code), role, grant, note, s.cfg.SignInValid)
	return id, code, expires, err
}

// RedeemSignIn uses a code up and begins a session.
func (s *Server) RedeemSignIn(ctx context.Context, req *sessionv1.RedeemSignInRequest) (*sessionv1.RedeemSignInResponse, error) {
	m, err := s.store.RedeemSignIn(ctx, req.GetCodeSha256(), req.GetSessionSha256(), s.cfg.lasting())
	if errors.Is(err, store.ErrNoSignIn) {
		return nil, fault.New(fault.Unauthenticated, "SIGN_IN_UNKNOWN", "this sign-in address was used already, or its time has passed; ask an admin for another: filigree sign-in")
	}
	if err != nil {
		return nil, err
	}
	return &sessionv1.RedeemSignInResponse{Session: sessionMessage(m)}, nil
}

// BeginSession begins a session of somebody whom an identity provider vouches for.
func (s *Server) BeginSession(ctx context.Context, req *sessionv1.BeginSessionRequest) (*sessionv1.BeginSessionResponse, error) {
	grant, err := grantFor(req.GetRole(), normal(req.GetProductions()))
	if err != nil {
		return nil, err
	}
	m, err := s.store.BeginSession(ctx, req.GetSessionSha256(), store.Session{
		Subject: visible(req.GetSubject()), Role: req.GetRole(), Grant: grant, Way: "oidc",
	}, s.cfg.lasting())
	if err != nil {
		return nil, err
	}
	return &sessionv1.BeginSessionResponse{Session: sessionMessage(m)}, nil
}

// GetSession tells whose a session is, and puts its end off unless the caller only looks.
func (s *Server) GetSession(ctx context.Context, req *sessionv1.GetSessionRequest) (*sessionv1.GetSessionResponse, error) {
	m, err := s.store.Session(ctx, req.GetSessionSha256())
	if err == nil && !req.GetPeek() && s.now().Sub(m.Seen) >= min(putOffAfter, s.cfg.SessionIdle/16) {
		var expires time.Time
		expires, err = s.store.UseSession(ctx, m.ID, s.cfg.SessionIdle)
		switch {
		case err == nil:
			m.Expires = expires
		case !errors.Is(err, store.ErrNoSession):
			// It is there; that its end could not be put off is no reason to turn somebody away.
			s.log.WarnContext(ctx, "the end of a session was not put off", "err", err)
			err = nil
		}
	}
	if errors.Is(err, store.ErrNoSession) {
		return nil, fault.New(fault.Unauthenticated, "SESSION_UNKNOWN", "you are signed out; sign in again")
	}
	if err != nil {
		return nil, err
	}
	return &sessionv1.GetSessionResponse{Session: sessionMessage(m)}, nil
}

// EndSession ends a session at once.
func (s *Server) EndSession(ctx context.Context, req *sessionv1.EndSessionRequest) (*sessionv1.EndSessionResponse, error) {
	m, err := s.store.Session(ctx, req.GetSessionSha256())
	if err == nil {
		err = s.store.EndSession(ctx, m.ID)
	}
	if err != nil && !errors.Is(err, store.ErrNoSession) {
		return nil, err
	}
	return &sessionv1.EndSessionResponse{}, nil
}

// revokeSession ends somebody's session, by its id. One that may more than the caller is unknown to the caller.
func (s *Server) revokeSession(ctx context.Context, id string) error {
	m, err := s.store.SessionByID(ctx, id)
	if err == nil && grantOf(rpc.PrincipalFrom(ctx)).Covers(m.Grant) {
		err = s.store.EndSession(ctx, id)
	} else if err == nil {
		err = store.ErrNoSession
	}
	if errors.Is(err, store.ErrNoSession) {
		return fault.New(fault.NotFound, "SESSION_UNKNOWN", "there is no session with the id %q, or it is over", id)
	}
	return err
}

func sessionMessage(m store.Session) *sessionv1.Session {
	productions := m.Grant.Productions
	if m.Grant.All {
		productions = []string{everywhere}
	}
	return &sessionv1.Session{
		Id: m.ID, Way: m.Way, CreatedAt: timestamppb.New(m.Created), ExpiresAt: timestamppb.New(m.Expires),
		Principal: &accessv1.Principal{Subject: m.Subject, Role: roles[m.Role], Productions: productions},
	}
}
