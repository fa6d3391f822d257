package directory_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
)

func sumOf(s string) string { return sum([]byte(s)) }

func (r *rig) redeem(t *testing.T, code, secret string) (*sessionv1.Session, error) {
	t.Helper()
	resp, err := r.sessions.RedeemSignIn(t.Context(), &sessionv1.RedeemSignInRequest{CodeSha256: sumOf(code), SessionSha256: sumOf(secret)})
	return resp.GetSession(), err
}

func (r *rig) session(t *testing.T, secret string) (*sessionv1.Session, error) {
	t.Helper()
	resp, err := r.sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{SessionSha256: sumOf(secret)})
	return resp.GetSession(), err
}

func (r *rig) code(t *testing.T, role string, productions ...string) string {
	t.Helper()
	made, err := r.sessions.CreateSignIn(admin(t), &sessionv1.CreateSignInRequest{Role: role, Productions: productions, Note: "Kim"})
	if err != nil {
		t.Fatal(err)
	}
	return made.GetCode()
}

func TestSignIns(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig())
	r.production(t, "red")
	t.Run("a code begins a session with what it is for, and Redis holds neither", func(t *testing.T) { signInLife(t, r) })
	t.Run("of many browsers that use a code at once, one is signed in", func(t *testing.T) { oneOfMany(t, r) })
	t.Run("a call that was not answered can be made again by the same session only", func(t *testing.T) { redeemedAgain(t, r) })
	t.Run("a code goes after its time", func(t *testing.T) { lateCode(t, r) })
	t.Run("nobody makes a sign-in that may more than they", func(t *testing.T) { narrowSignIns(t, r) })
	t.Run("a session is put off when it is used, and not when it is looked at, and never past its last moment", func(t *testing.T) { sliding(t, r) })
	t.Run("a session that ended or was revoked is over at once", func(t *testing.T) { overAtOnce(t, r) })
	t.Run("a token is no session, nor a session a token", func(t *testing.T) { apart(t, r) })
	t.Run("a person of an identity provider", func(t *testing.T) { vouchedFor(t, r) })
}

func signInLife(t *testing.T, r *rig) {
	before := time.Now()
	made, err := r.sessions.CreateSignIn(admin(t), &sessionv1.CreateSignInRequest{Role: "coordinator", Productions: []string{"red", "red"}, Note: "Kim"})
	if err != nil {
		t.Fatal(err)
	}
	left := made.GetExpiresAt().AsTime().Sub(before)
	if left < 14*time.Minute || left > 17*time.Minute || len(made.GetCode()) < 40 || !slices.Equal(made.GetProductions(), []string{"red"}) {
		t.Errorf("got %v, which works for %s", made, left)
	}
	m, err := r.redeem(t, made.GetCode(), "browser")
	if err != nil {
		t.Fatal(err)
	}
	p := m.GetPrincipal()
	if p.GetRole() != accessv1.Role_ROLE_COORDINATOR || p.GetSubject() != m.GetId() || !slices.Equal(p.GetProductions(), []string{"red"}) || m.GetWay() != "code" {
		t.Errorf("got %v", m)
	}
	got, err := r.session(t, "browser")
	if err != nil || !proto.Equal(got, m) {
		t.Errorf("got %v %v, want %v", got, err, m)
	}
	idle := m.GetExpiresAt().AsTime().Sub(m.GetCreatedAt().AsTime())
	if idle != 12*time.Hour {
		t.Errorf("it lasts %s, want 12h", idle)
	}
	for _, secret := range []string{made.GetCode(), "browser"} {
		if strings.Contains(r.dump(t), secret) || strings.Contains(r.logged.String(), made.GetCode()) {
			t.Errorf("%q is in Redis, or a code in the log", secret)
		}
	}
}

func oneOfMany(t *testing.T, r *rig) {
	code := r.code(t, "oncall", "*")
	var mu sync.Mutex
	won, refused := 0, 0
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			_, err := r.sessions.RedeemSignIn(context.Background(), &sessionv1.RedeemSignInRequest{CodeSha256: sumOf(code), SessionSha256: sumOf("racer " + strconv.Itoa(i))})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case fault.From(err).Reason == "SIGN_IN_UNKNOWN":
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won != 1 || refused != 19 {
		t.Errorf("%d were signed in and %d refused, want 1 and 19", won, refused)
	}
}

func redeemedAgain(t *testing.T, r *rig) {
	code := r.code(t, "oncall", "*")
	first, err := r.redeem(t, code, "same")
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.redeem(t, code, "same")
	if err != nil || !proto.Equal(again, first) {
		t.Errorf("got %v %v, want the same session", again, err)
	}
	_, err = r.redeem(t, code, "other")
	wantFault(t, err, fault.Unauthenticated, "SIGN_IN_UNKNOWN")
	_, err = r.sessions.EndSession(t.Context(), &sessionv1.EndSessionRequest{SessionSha256: sumOf("same")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.redeem(t, code, "same") // it was signed out of: a late repeat does not bring it back
	wantFault(t, err, fault.Unauthenticated, "SIGN_IN_UNKNOWN")
}

func lateCode(t *testing.T, r *rig) {
	code := r.code(t, "oncall", "*")
	key := "{dir}:signin:sgn_" + sumOf(code)[:32]
	ttl, err := r.redis.Client.PTTL(t.Context(), key).Result()
	if err != nil || ttl <= 0 || ttl > 15*time.Minute {
		t.Errorf("Redis forgets it in %s %v, want within 15m", ttl, err)
	}
	// Also while Redis has not forgotten it yet.
	err = r.redis.Client.HSet(t.Context(), key, "expires", time.Now().Add(-time.Second).UnixMilli()).Err()
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.redeem(t, code, "late")
	wantFault(t, err, fault.Unauthenticated, "SIGN_IN_UNKNOWN")
}

func narrowSignIns(t *testing.T, r *rig) {
	r.production(t, "blue")
	narrow := as(t, accessv1.Role_ROLE_ADMIN, "red")
	_, err := r.sessions.CreateSignIn(narrow, &sessionv1.CreateSignInRequest{Role: "oncall", Productions: []string{"*"}})
	wantFault(t, err, fault.Denied, "TOKEN_TOO_WIDE")
	_, err = r.sessions.CreateSignIn(narrow, &sessionv1.CreateSignInRequest{Role: "oncall", Productions: []string{"blue"}})
	wantFault(t, err, fault.NotFound, "PRODUCTION_UNKNOWN")
	_, err = r.sessions.CreateSignIn(admin(t), &sessionv1.CreateSignInRequest{Role: "service", Productions: []string{"*"}})
	wantFault(t, err, fault.Invalid, "INVALID")
}

func sliding(t *testing.T, r *rig) {
	_, err := r.redeem(t, r.code(t, "oncall", "*"), "slides")
	if err != nil {
		t.Fatal(err)
	}
	key := "{dir}:session:ses_" + sumOf("slides")[:32]
	set := func(values ...any) {
		t.Helper()
		err := r.redis.Client.HSet(t.Context(), key, values...).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	soon := time.Now().Add(time.Minute)
	ago := time.Now().Add(-time.Hour)
	set("seen", ago.UnixMilli(), "expires", soon.UnixMilli())
	peeked, err := r.sessions.GetSession(t.Context(), &sessionv1.GetSessionRequest{SessionSha256: sumOf("slides"), Peek: true})
	if err != nil || peeked.GetSession().GetExpiresAt().AsTime().UnixMilli() != soon.UnixMilli() {
		t.Errorf("looking at it made it %v %v", peeked, err)
	}
	used, err := r.session(t, "slides")
	if left := time.Until(used.GetExpiresAt().AsTime()); err != nil || left < 11*time.Hour || left > 12*time.Hour {
		t.Errorf("used, it lasts another %s %v, want 12h", left, err)
	}
	ttl, err := r.redis.Client.PTTL(t.Context(), key).Result()
	if err != nil || ttl < 11*time.Hour || ttl > 12*time.Hour {
		t.Errorf("Redis forgets it in %s %v, want 12h", ttl, err)
	}
	set("seen", ago.UnixMilli(), "until", soon.UnixMilli())
	last, err := r.session(t, "slides")
	if err != nil || last.GetExpiresAt().AsTime().UnixMilli() != soon.UnixMilli() {
		t.Errorf("it lasts until %v %v, want until %s and no longer", last.GetExpiresAt(), err, soon)
	}
}

func overAtOnce(t *testing.T, r *rig) {
	begin := func(secret string, productions ...string) string {
		m, err := r.redeem(t, r.code(t, "coordinator", productions...), secret)
		if err != nil {
			t.Fatal(err)
		}
		return m.GetId()
	}
	begin("ended", "red")
	for range 2 {
		_, err := r.sessions.EndSession(t.Context(), &sessionv1.EndSessionRequest{SessionSha256: sumOf("ended")})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.session(t, "ended")
		wantFault(t, err, fault.Unauthenticated, "SESSION_UNKNOWN")
	}
	revoke := func(ctx context.Context, id string) error {
		_, err := r.directory.RevokeToken(ctx, &directoryv1.RevokeTokenRequest{Token: id})
		return err
	}
	wide, own := begin("wide", "*"), begin("own", "red")
	narrow := as(t, accessv1.Role_ROLE_ADMIN, "red")
	wantFault(t, revoke(narrow, wide), fault.NotFound, "SESSION_UNKNOWN")
	err := revoke(narrow, own)
	if err != nil {
		t.Error(err)
	}
	_, err = r.session(t, "own")
	wantFault(t, err, fault.Unauthenticated, "SESSION_UNKNOWN")
	_, err = r.session(t, "wide")
	if err != nil {
		t.Error(err)
	}
	wantFault(t, revoke(admin(t), "ses_none"), fault.NotFound, "SESSION_UNKNOWN", "ses_none")
}

func apart(t *testing.T, r *rig) {
	_, err := r.redeem(t, r.code(t, "admin", "*"), "apart")
	if err != nil {
		t.Fatal(err)
	}
	_, err = authenticate(t, r, "apart")
	wantFault(t, err, fault.Unauthenticated, "TOKEN_UNKNOWN")
	token, err := r.directory.CreateToken(admin(t), &directoryv1.CreateTokenRequest{Role: "admin", Productions: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.session(t, token.GetToken())
	wantFault(t, err, fault.Unauthenticated, "SESSION_UNKNOWN")
	_, err = r.redeem(t, token.GetToken(), "by token")
	wantFault(t, err, fault.Unauthenticated, "SIGN_IN_UNKNOWN")
}

func vouchedFor(t *testing.T, r *rig) {
	req := &sessionv1.BeginSessionRequest{SessionSha256: sumOf("oidc"), Subject: "oidc:kim@example.com", Role: "admin", Productions: []string{"red", "*"}}
	first, err := r.sessions.BeginSession(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	p := first.GetSession().GetPrincipal()
	if p.GetSubject() != "oidc:kim@example.com" || p.GetRole() != accessv1.Role_ROLE_ADMIN || !slices.Equal(p.GetProductions(), []string{"*"}) || first.GetSession().GetWay() != "oidc" {
		t.Errorf("got %v", first)
	}
	again, err := r.sessions.BeginSession(t.Context(), req)
	if err != nil || !proto.Equal(again, first) {
		t.Errorf("got %v %v, want the same", again, err)
	}
}
