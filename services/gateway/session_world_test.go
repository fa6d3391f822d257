package gateway_test

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
)

// goodCode signs a coordinator of red in, once.
const goodCode = "fgc_a-good-code"

// sessions are a directory's, in memory; the real ones are tried with the real directory.
type sessions struct {
	sessionv1.UnimplementedSessionServiceServer

	mu    sync.Mutex
	codes map[string]*accessv1.Principal // by hash
	used  map[string]string              // by hash of the code: that of the session
	begun map[string]*sessionv1.Session  // by hash
	peeks int
	lose  int // so many answers to RedeemSignIn get lost
	last  *sessionv1.BeginSessionRequest
	fail  error
}

func newSessions() *sessions {
	return &sessions{
		codes: map[string]*accessv1.Principal{hashOf(goodCode): {Role: accessv1.Role_ROLE_COORDINATOR, Productions: []string{"red"}}},
		used:  map[string]string{}, begun: map[string]*sessionv1.Session{},
	}
}

func (s *sessions) RedeemSignIn(_ context.Context, req *sessionv1.RedeemSignInRequest) (*sessionv1.RedeemSignInResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.codes[req.GetCodeSha256()]
	by, used := s.used[req.GetCodeSha256()]
	if p == nil || used && by != req.GetSessionSha256() {
		return nil, fault.New(fault.Unauthenticated, "SIGN_IN_UNKNOWN", "used")
	}
	s.used[req.GetCodeSha256()] = req.GetSessionSha256()
	m := s.begin(req.GetSessionSha256(), "ses_1", "code", p)
	if s.lose > 0 {
		s.lose--
		return nil, fault.New(fault.Unavailable, "LOST", "the answer got lost")
	}
	return &sessionv1.RedeemSignInResponse{Session: m}, nil
}

func (s *sessions) begin(hash, subject, way string, p *accessv1.Principal) *sessionv1.Session {
	now := time.Now()
	s.begun[hash] = &sessionv1.Session{Id: "ses_1", Way: way, CreatedAt: timestamppb.New(now), ExpiresAt: timestamppb.New(now.Add(12 * time.Hour)),
		Principal: &accessv1.Principal{Subject: subject, Role: p.GetRole(), Productions: p.GetProductions()}}
	return s.begun[hash]
}

func (s *sessions) BeginSession(_ context.Context, req *sessionv1.BeginSessionRequest) (*sessionv1.BeginSessionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = req
	role := map[string]accessv1.Role{"coordinator": 1, "oncall": 2, "admin": 3}[req.GetRole()]
	return &sessionv1.BeginSessionResponse{Session: s.begin(req.GetSessionSha256(), req.GetSubject(), "oidc", &accessv1.Principal{Role: role, Productions: req.GetProductions()})}, nil
}

func (s *sessions) GetSession(_ context.Context, req *sessionv1.GetSessionRequest) (*sessionv1.GetSessionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.GetPeek() {
		s.peeks++
	}
	if s.fail != nil {
		return nil, s.fail
	}
	m := s.begun[req.GetSessionSha256()]
	if m == nil {
		return nil, fault.New(fault.Unauthenticated, "SESSION_UNKNOWN", "it is over")
	}
	return &sessionv1.GetSessionResponse{Session: m}, nil
}

func (s *sessions) EndSession(_ context.Context, req *sessionv1.EndSessionRequest) (*sessionv1.EndSessionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.begun, req.GetSessionSha256())
	return &sessionv1.EndSessionResponse{}, nil
}

// revokeAll ends all sessions, as another gateway would.
func (s *sessions) revokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.begun)
}
