package standalone_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/filigreehq/filigree/pkg/fault"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
)

func init() {
	methods["SessionService.CreateSignIn"] = method{safe: "each call makes a code of its own: that of a lost answer is nobody's, and goes after a while"}
	methods["SessionService.RedeemSignIn"] = method{do: func(s *suite) {
		code := ask(s, func(ctx context.Context) (*sessionv1.CreateSignInResponse, error) {
			return s.sessions.CreateSignIn(ctx, &sessionv1.CreateSignInRequest{Role: "coordinator", Productions: []string{"p"}})
		}).GetCode()
		redeem := func(secret string) func(context.Context) error {
			return func(ctx context.Context) error {
				_, err := s.sessions.RedeemSignIn(ctx, &sessionv1.RedeemSignInRequest{CodeSha256: hashed(code), SessionSha256: hashed(secret)})
				return err
			}
		}
		s.again(redeem("mine " + s.name()))
		s.want("whose it is", s.signedIn("mine "+s.name()), "coordinator")
		s.again(func(ctx context.Context) error { // nobody else has it, whatever got lost
			err := redeem("another " + s.name())(ctx)
			if err == nil {
				s.t.Error("a code was used twice")
			}
			if fault.From(err).Reason == "SIGN_IN_UNKNOWN" {
				return nil
			}
			return err
		})
	}}
	methods["SessionService.BeginSession"] = method{do: func(s *suite) {
		s.begin("begun " + s.name())
		s.want("whose it is", s.signedIn("begun "+s.name()), "oncall")
	}}
	methods["SessionService.GetSession"] = method{safe: "it changes nothing but when the session ends, which is put off for a call that was made"}
	methods["SessionService.EndSession"] = method{do: func(s *suite) {
		secret := "ended " + s.name()
		s.calm(func() { s.begin(secret) })
		s.again(func(ctx context.Context) error {
			_, err := s.sessions.EndSession(ctx, &sessionv1.EndSessionRequest{SessionSha256: hashed(secret)})
			return err
		})
		s.want("whose it is", s.signedIn(secret), "")
	}}
}

func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func (s *suite) begin(secret string) {
	s.t.Helper()
	s.again(func(ctx context.Context) error {
		_, err := s.sessions.BeginSession(ctx, &sessionv1.BeginSessionRequest{SessionSha256: hashed(secret), Subject: "oidc:kim", Role: "oncall", Productions: []string{"*"}})
		return err
	})
}

// signedIn is the role of a session, empty when it is over.
func (s *suite) signedIn(secret string) string {
	s.t.Helper()
	resp := ask(s, func(ctx context.Context) (*sessionv1.GetSessionResponse, error) {
		resp, err := s.sessions.GetSession(ctx, &sessionv1.GetSessionRequest{SessionSha256: hashed(secret)})
		if err != nil && fault.From(err).Reason == "SESSION_UNKNOWN" {
			return nil, nil
		}
		return resp, err
	})
	if resp == nil {
		return ""
	}
	return map[int32]string{1: "coordinator", 2: "oncall", 3: "admin"}[int32(resp.GetSession().GetPrincipal().GetRole())]
}
