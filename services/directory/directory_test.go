package directory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	"github.com/filigreehq/filigree/services/directory"
)

func createProduction(t *testing.T, r *rig) {
	first, err := r.directory.CreateProduction(admin(t), &directoryv1.CreateProductionRequest{Id: "dune", Name: "Dune"})
	if err != nil {
		t.Fatal(err)
	}
	p := first.GetProduction()
	if p.GetId() != "dune" || p.GetName() != "Dune" || !p.GetCreatedAt().IsValid() {
		t.Errorf("got %v", p)
	}
	again, err := r.directory.CreateProduction(admin(t), &directoryv1.CreateProductionRequest{Name: "Dune"})
	if err != nil || !proto.Equal(again, first) {
		t.Errorf("got %v %v, want the same answer", again, err)
	}
	_, err = r.directory.CreateProduction(admin(t), &directoryv1.CreateProductionRequest{Id: "dune", Name: "Other"})
	wantFault(t, err, fault.Conflict, "PRODUCTION_EXISTS", `"dune"`, `"Dune"`)
	got, err := r.directory.GetProduction(admin(t), &directoryv1.GetProductionRequest{Production: "dune"})
	if err != nil || !proto.Equal(got.GetProduction(), p) {
		t.Errorf("got %v %v", got, err)
	}
	some := as(t, accessv1.Role_ROLE_ADMIN, "dune")
	_, err = r.directory.CreateProduction(some, &directoryv1.CreateProductionRequest{Id: "elsewhere", Name: "x"})
	wantFault(t, err, fault.Denied, "PRODUCTION_NOT_YOURS", `"elsewhere"`)
}

func openRestricted(t *testing.T, r *rig) {
	_, err := r.directory.CreateProduction(admin(t), &directoryv1.CreateProductionRequest{Name: "Closed"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.directory.CreateProduction(admin(t), &directoryv1.CreateProductionRequest{Name: "Closed", OpenRestricted: true})
	wantFault(t, err, fault.Conflict, "PRODUCTION_EXISTS", `"closed"`, "settings")
	made, err := r.directory.CreateProduction(admin(t), &directoryv1.CreateProductionRequest{Name: "Open", OpenRestricted: true})
	if err != nil || !made.GetProduction().GetOpenRestricted() {
		t.Fatalf("got %v %v", made, err)
	}
	again, err := r.directory.CreateProduction(admin(t), &directoryv1.CreateProductionRequest{Name: "Open"}) // as yesterday
	if err != nil || !proto.Equal(again, made) {
		t.Errorf("got %v %v, want the same answer", again, err)
	}
	for _, set := range []*bool{nil, new(false), nil, new(true)} {
		was, err := r.directory.GetProduction(admin(t), &directoryv1.GetProductionRequest{Production: "open"})
		if err != nil {
			t.Fatal(err)
		}
		want := was.GetProduction().GetOpenRestricted()
		if set != nil {
			want = *set
		}
		told, err := r.directory.UpdateProduction(admin(t), &directoryv1.UpdateProductionRequest{Production: "open", OpenRestricted: set})
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.directory.GetProduction(admin(t), &directoryv1.GetProductionRequest{Production: "open"})
		if err != nil || got.GetProduction().GetOpenRestricted() != want || !proto.Equal(got.GetProduction(), told.GetProduction()) {
			t.Errorf("got %v %v, told %v, want %v", got, err, told, want)
		}
	}
}

func productionIDs(t *testing.T, r *rig) {
	for name, want := range map[string]string{
		"The Große  Show, 2!":     "the-grosse-show-2",
		"  Ångström & Söhne — ":   "angstrom-sohne",
		strings.Repeat("ab ", 60): strings.Repeat("ab-", 20) + "ab",
		"İstanbul":                "istanbul",
	} {
		resp, err := r.directory.CreateProduction(admin(t), &directoryv1.CreateProductionRequest{Name: name})
		if err != nil || resp.GetProduction().GetId() != want {
			t.Errorf("%q: got %q %v, want %q", name, resp.GetProduction().GetId(), err, want)
		}
	}
	_, err := r.directory.CreateProduction(admin(t), &directoryv1.CreateProductionRequest{Name: "東京"})
	wantFault(t, err, fault.Invalid, "PRODUCTION_ID_MISSING", "東京")
	_, err = r.directory.CreateProduction(admin(t), &directoryv1.CreateProductionRequest{Name: " \u202e\n"})
	wantFault(t, err, fault.Invalid, "PRODUCTION_NAME_EMPTY")
	_, err = r.directory.CreateProduction(admin(t), &directoryv1.CreateProductionRequest{Id: "a}b", Name: "x"})
	wantFault(t, err, fault.Invalid, "INVALID", "id")
}

func listProductions(t *testing.T, r *rig) {
	var own []string
	for i := range 7 {
		id := fmt.Sprintf("list-%d", i)
		r.production(t, id)
		own = append(own, id)
	}
	listed := func(ctx context.Context) (ids []string) {
		req := &directoryv1.ListProductionsRequest{PageSize: 3}
		for {
			resp, err := r.directory.ListProductions(ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range resp.GetProductions() {
				ids = append(ids, p.GetId())
			}
			req.PageToken = resp.GetNextPageToken()
			if req.PageToken == "" {
				return ids
			}
		}
	}
	if got := listed(as(t, accessv1.Role_ROLE_COORDINATOR, own...)); !slices.Equal(got, own) {
		t.Errorf("got %q, want %q", got, own)
	}
	if got := listed(as(t, accessv1.Role_ROLE_COORDINATOR, "list-3", "no-such")); !slices.Equal(got, []string{"list-3"}) {
		t.Errorf("got %q, want list-3 alone", got)
	}
	all := listed(as(t, accessv1.Role_ROLE_ONCALL, "*"))
	for _, id := range own {
		if !slices.Contains(all, id) {
			t.Errorf("%q lacks %s", all, id)
		}
	}
}

func authenticate(t *testing.T, r *rig, secret string) (*accessv1.Principal, error) {
	t.Helper()
	resp, err := r.directory.Authenticate(t.Context(), &directoryv1.AuthenticateRequest{TokenSha256: sum([]byte(secret))})
	return resp.GetPrincipal(), err
}

func tokenLife(t *testing.T, r *rig) {
	r.production(t, "tokens")
	for role, want := range map[string]accessv1.Role{
		"coordinator": accessv1.Role_ROLE_COORDINATOR, "oncall": accessv1.Role_ROLE_ONCALL, "admin": accessv1.Role_ROLE_ADMIN,
	} {
		made, err := r.directory.CreateToken(admin(t), &directoryv1.CreateTokenRequest{Role: role, Productions: []string{"tokens", "tokens"}, Note: "Kim"})
		if err != nil {
			t.Fatal(err)
		}
		if secret := made.GetToken(); !strings.HasPrefix(secret, "fg_") || len(secret) != 46 {
			t.Errorf("a secret of %d letters", len(secret))
		}
		p, err := authenticate(t, r, made.GetToken())
		if err != nil || p.GetRole() != want || p.GetSubject() != made.GetId() || !slices.Equal(p.GetProductions(), []string{"tokens"}) {
			t.Errorf("got %v %v", p, err)
		}
		for range 2 {
			_, err = r.directory.RevokeToken(admin(t), &directoryv1.RevokeTokenRequest{Token: made.GetId()})
			if err != nil {
				t.Fatal(err)
			}
			_, err = authenticate(t, r, made.GetToken())
			wantFault(t, err, fault.Unauthenticated, "TOKEN_UNKNOWN", "unknown or was revoked")
		}
		dump := r.dump(t)
		if strings.Contains(dump, made.GetToken()) || strings.Contains(dump, made.GetToken()[3:]) || strings.Contains(r.logged.String(), made.GetToken()[3:]) {
			t.Error("the secret is in Redis or in the log")
		}
	}
	_, err := authenticate(t, r, "fg_guess")
	wantFault(t, err, fault.Unauthenticated, "TOKEN_UNKNOWN")
	_, err = r.directory.RevokeToken(admin(t), &directoryv1.RevokeTokenRequest{Token: "tok_none"})
	wantFault(t, err, fault.NotFound, "TOKEN_UNKNOWN", `"tok_none"`)
	_, err = r.directory.CreateToken(admin(t), &directoryv1.CreateTokenRequest{Role: "coordinator", Productions: []string{"typo"}})
	wantFault(t, err, fault.NotFound, "PRODUCTION_UNKNOWN", `"typo"`)
	_, err = r.directory.CreateToken(admin(t), &directoryv1.CreateTokenRequest{Role: "service", Productions: []string{"*"}})
	wantFault(t, err, fault.Invalid, "INVALID")
	all, err := r.directory.CreateToken(admin(t), &directoryv1.CreateTokenRequest{Role: "oncall", Productions: []string{"tokens", "*"}})
	if err != nil || !slices.Equal(all.GetProductions(), []string{"*"}) {
		t.Errorf("got %v %v, want productions * alone", all.GetProductions(), err)
	}
}

// dump is all that is in Redis' hashes and streams.
func (r *rig) dump(t *testing.T) string {
	t.Helper()
	keys, err := r.redis.Client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, key := range keys {
		raw, err := r.redis.Client.Do(t.Context(), "TYPE", key).Text()
		if err != nil {
			t.Fatal(err)
		}
		switch raw {
		case "hash":
			fmt.Fprintln(&b, key, r.redis.Client.HGetAll(t.Context(), key).Val())
		case "stream":
			fmt.Fprintln(&b, key, r.redis.Client.XRange(t.Context(), key, "-", "+").Val())
		default:
			fmt.Fprintln(&b, key)
		}
	}
	return b.String()
}

func narrowTokens(t *testing.T, r *rig) {
	r.production(t, "narrow")
	r.production(t, "beyond")
	narrow := as(t, accessv1.Role_ROLE_ADMIN, "narrow")
	_, err := r.directory.CreateToken(narrow, &directoryv1.CreateTokenRequest{Role: "admin", Productions: []string{"*"}})
	wantFault(t, err, fault.Denied, "TOKEN_TOO_WIDE")
	_, err = r.directory.CreateToken(narrow, &directoryv1.CreateTokenRequest{Role: "admin", Productions: []string{"narrow", "beyond"}})
	wantFault(t, err, fault.NotFound, "PRODUCTION_UNKNOWN", `"beyond"`)
	for _, productions := range [][]string{{"*"}, {"beyond"}, {"beyond", "narrow"}} {
		wide, err := r.directory.CreateToken(admin(t), &directoryv1.CreateTokenRequest{Role: "coordinator", Productions: productions})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.directory.RevokeToken(narrow, &directoryv1.RevokeTokenRequest{Token: wide.GetId()})
		wantFault(t, err, fault.NotFound, "TOKEN_UNKNOWN")
		_, err = authenticate(t, r, wide.GetToken())
		if err != nil {
			t.Errorf("the token for %q was revoked all the same", productions)
		}
	}
	own, err := r.directory.CreateToken(narrow, &directoryv1.CreateTokenRequest{Role: "coordinator", Productions: []string{"narrow"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.directory.RevokeToken(narrow, &directoryv1.RevokeTokenRequest{Token: own.GetId()})
	if err != nil {
		t.Error(err)
	}
}

func ensureToken(t *testing.T, r *rig) {
	secret := directory.NewSecret()
	for range 2 { // as on every start
		err := r.server.EnsureToken(t.Context(), secret, "coordinator", []string{"default"}, "made by up")
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := authenticate(t, r, secret)
	if err != nil || p.GetRole() != accessv1.Role_ROLE_COORDINATOR {
		t.Errorf("got %v %v", p, err)
	}
	_, err = r.directory.RevokeToken(admin(t), &directoryv1.RevokeTokenRequest{Token: p.GetSubject()})
	if err != nil {
		t.Fatal(err)
	}
	err = r.server.EnsureToken(t.Context(), secret, "coordinator", []string{"default"}, "")
	if !errors.Is(err, directory.ErrRevoked) {
		t.Errorf("got %v, want ErrRevoked: a start must not undo a revocation", err)
	}
	for _, bad := range []string{"", "fg_short", strings.Repeat("x", 46)} {
		err = r.server.EnsureToken(t.Context(), bad, "admin", []string{"*"}, "")
		if err == nil {
			t.Errorf("%q was taken for a token", bad)
		}
	}
	err = r.server.EnsureToken(t.Context(), directory.NewSecret(), "king", []string{"*"}, "")
	if err == nil {
		t.Error("a role that there is not was taken")
	}
}

func revealPassword(t *testing.T, r *rig) {
	ctx := r.production(t, "secrets")
	req := &directoryv1.RevealPasswordRequest{Production: "secrets", Recipient: "01JD4.r7"}
	first, err := r.directory.RevealPassword(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.directory.RevealPassword(ctx, req)
	if err != nil || again.GetPassword() != first.GetPassword() || len(first.GetPassword()) != 19 {
		t.Errorf("got two different passwords, or %v", err)
	}
	lines, err := r.redis.Client.XRange(t.Context(), "{p:secrets}:audit", "-", "+").Result()
	if err != nil || len(lines) != 2 {
		t.Fatalf("got %d lines %v, want one for each call", len(lines), err)
	}
	for _, line := range lines {
		if line.Values["who"] != "tok_test" || line.Values["what"] != "reveal_password" || line.Values["about"] != "01JD4.r7" {
			t.Errorf("got %v", line.Values)
		}
	}
	if strings.Contains(r.logged.String(), first.GetPassword()) || strings.Contains(r.dump(t), first.GetPassword()) {
		t.Error("the password is in the log or in Redis")
	}
}

func revealNobody(t *testing.T, r *rig) {
	ctx := r.production(t, "nobody")
	for _, recipient := range []string{"r7", "d.", "d.7", "d.r", ".r7", "d.r7.f1", "a b.r7", "d.r7\n"} {
		_, err := r.directory.RevealPassword(ctx, &directoryv1.RevealPasswordRequest{Production: "nobody", Recipient: recipient})
		wantFault(t, err, fault.NotFound, "RECIPIENT_UNKNOWN")
	}
}

func listFiles(t *testing.T, r *rig) {
	ctx := r.production(t, "shelf")
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("%d.pdf", i)
		_, err := r.upload(ctx, "shelf", name, []byte(name))
		if err != nil {
			t.Fatal(err)
		}
		want = slices.Insert(want, 0, name)
	}
	var got []string
	req := &filev1.ListFilesRequest{Production: "shelf", PageSize: 3}
	for {
		resp, err := r.files.ListFiles(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range resp.GetFiles() {
			got = append(got, f.GetName())
		}
		req.PageToken = resp.GetNextPageToken()
		if req.PageToken == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err := r.files.GetFile(ctx, &filev1.GetFileRequest{Production: "shelf", File: sum([]byte("no such"))})
	wantFault(t, err, fault.NotFound, "FILE_UNKNOWN", "shelf")
}

func foreignPageTokens(t *testing.T, r *rig) {
	ctx := r.production(t, "paged")
	for _, token := range []string{"?", "AAAA", "AAAAAAAAAAA", "__________8", "KGluZg"} {
		_, err := r.files.ListFiles(ctx, &filev1.ListFilesRequest{Production: "paged", PageToken: token})
		wantFault(t, err, fault.Invalid, "PAGE_TOKEN_INVALID")
	}
	for _, token := range []string{"?", "LQ", "AAAA"} {
		_, err := r.directory.ListProductions(ctx, &directoryv1.ListProductionsRequest{PageToken: token})
		wantFault(t, err, fault.Invalid, "PAGE_TOKEN_INVALID")
	}
}
