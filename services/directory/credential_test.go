package directory_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	"github.com/filigreehq/filigree/services/directory"
)

// relay is a secret to look for where it must not be.
const relay = "canary-password-of-the-relay"

func credentialLife(t *testing.T, r *rig) {
	r.production(t, "sealed")
	admins, services := as(t, accessv1.Role_ROLE_ADMIN, "sealed"), as(t, accessv1.Role_ROLE_SERVICE)
	open := &credentialv1.OpenCredentialRequest{Production: "sealed", Name: "smtp"}
	_, err := r.credentials.OpenCredential(services, open)
	wantFault(t, err, fault.NotFound, "CREDENTIAL_UNKNOWN", `"smtp"`)
	for _, secret := range []string{"the first", relay} {
		resp, err := r.credentials.PutCredential(admins, &credentialv1.PutCredentialRequest{Production: "sealed", Name: "smtp", Secret: secret})
		c := resp.GetCredential()
		if err != nil || c.GetName() != "smtp" || c.GetChangedBy() != "tok_test" || !c.GetChangedAt().IsValid() {
			t.Fatal(c, err)
		}
		opened, err := r.credentials.OpenCredential(services, open)
		if err != nil || opened.GetSecret() != secret {
			t.Errorf("got %v, %v", opened, err)
		}
	}
	// A studio's of the same name is another one, and so is another production's.
	_, err = r.credentials.OpenCredential(services, &credentialv1.OpenCredentialRequest{Name: "smtp"})
	wantFault(t, err, fault.NotFound, "CREDENTIAL_UNKNOWN")
	r.production(t, "sealed-not")
	_, err = r.credentials.OpenCredential(services, &credentialv1.OpenCredentialRequest{Production: "sealed-not", Name: "smtp"})
	wantFault(t, err, fault.NotFound, "CREDENTIAL_UNKNOWN")

	list, err := r.credentials.ListCredentials(as(t, accessv1.Role_ROLE_ONCALL, "*"), &credentialv1.ListCredentialsRequest{Production: "sealed"})
	if err != nil || len(list.GetCredentials()) != 1 || list.GetCredentials()[0].GetName() != "smtp" || strings.Contains(list.String(), relay) {
		t.Errorf("got %v, %v", list, err)
	}
	r.nowhere(t, relay)
	for range 2 {
		_, err = r.credentials.DeleteCredential(admins, &credentialv1.DeleteCredentialRequest{Production: "sealed", Name: "smtp"})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = r.credentials.OpenCredential(services, open)
	wantFault(t, err, fault.NotFound, "CREDENTIAL_UNKNOWN")
}

// nowhere checks that secret is neither in Redis nor in the log, not even encoded as bytes often are.
func (r *rig) nowhere(t *testing.T, secret string) {
	t.Helper()
	dump, logged := r.dump(t), r.logged.String()
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))[:16], fmt.Sprintf("%x", secret)} {
		if strings.Contains(dump, form) || strings.Contains(logged, form) {
			t.Errorf("%q is in Redis (%t) or in the log (%t)", form, strings.Contains(dump, form), strings.Contains(logged, form))
		}
	}
	if !strings.Contains(dump, "credential:") {
		t.Error("the dump has no credential: nothing was looked at")
	}
}

func studioCredentials(t *testing.T, r *rig) {
	for _, narrow := range []error{
		func() error {
			_, err := r.credentials.PutStudioCredential(as(t, accessv1.Role_ROLE_ADMIN, "red"), &credentialv1.PutStudioCredentialRequest{Name: "drive", Secret: relay})
			return err
		}(),
		func() error {
			_, err := r.credentials.ListStudioCredentials(as(t, accessv1.Role_ROLE_ONCALL, "red"), &credentialv1.ListStudioCredentialsRequest{})
			return err
		}(),
		func() error {
			_, err := r.credentials.DeleteStudioCredential(as(t, accessv1.Role_ROLE_ADMIN, "red"), &credentialv1.DeleteStudioCredentialRequest{Name: "drive"})
			return err
		}(),
	} {
		wantFault(t, narrow, fault.Denied, "STUDIO_NOT_YOURS", "*")
	}
	_, err := r.credentials.PutStudioCredential(admin(t), &credentialv1.PutStudioCredentialRequest{Name: "drive", Secret: relay})
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.credentials.ListStudioCredentials(as(t, accessv1.Role_ROLE_ONCALL, "*"), &credentialv1.ListStudioCredentialsRequest{})
	if err != nil || len(list.GetCredentials()) != 1 || list.GetCredentials()[0].GetName() != "drive" {
		t.Errorf("got %v, %v", list, err)
	}
	services := as(t, accessv1.Role_ROLE_SERVICE)
	opened, err := r.credentials.OpenCredential(services, &credentialv1.OpenCredentialRequest{Name: "drive"})
	if err != nil || opened.GetSecret() != relay {
		t.Errorf("got %v, %v", opened, err)
	}
	r.nowhere(t, relay)
	_, err = r.credentials.DeleteStudioCredential(admin(t), &credentialv1.DeleteStudioCredentialRequest{Name: "drive"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.credentials.OpenCredential(services, &credentialv1.OpenCredentialRequest{Name: "drive"})
	wantFault(t, err, fault.NotFound, "CREDENTIAL_UNKNOWN", `"drive"`)
}

// Whoever is not a service gets no secret, whatever else they may.
func secretsForServices(t *testing.T, r *rig) {
	r.production(t, "closed-safe")
	_, err := r.credentials.PutCredential(admin(t), &credentialv1.PutCredentialRequest{Production: "closed-safe", Name: "smtp", Secret: relay})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []accessv1.Role{accessv1.Role_ROLE_COORDINATOR, accessv1.Role_ROLE_ONCALL, accessv1.Role_ROLE_ADMIN} {
		for _, production := range []string{"closed-safe", ""} {
			got, err := r.credentials.OpenCredential(as(t, role, "*"), &credentialv1.OpenCredentialRequest{Production: production, Name: "smtp"})
			wantFault(t, err, fault.Denied, "ROLE_MISSING")
			if got.GetSecret() != "" {
				t.Errorf("%s was told the secret", role)
			}
		}
	}
	for i := range 5 {
		services, err := rpc.As(t.Context(), &accessv1.Principal{Subject: fmt.Sprint("service:s", i%2), Role: accessv1.Role_ROLE_SERVICE})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.credentials.OpenCredential(services, &credentialv1.OpenCredentialRequest{Production: "closed-safe", Name: "smtp"})
		if err != nil {
			t.Fatal(err)
		}
	}
	lines, err := r.redis.Client.XRange(t.Context(), "{p:closed-safe}:audit", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	var opened []string
	for _, l := range lines {
		if l.Values["what"] == "open_credential" {
			opened = append(opened, fmt.Sprint(l.Values["who"], " ", l.Values["about"]))
		}
	}
	// Once a minute each, and the test may cross into the next one.
	if len(opened) < 2 || len(opened) > 4 || !slices.Contains(opened, "service:s0 smtp") || !slices.Contains(opened, "service:s1 smtp") {
		t.Errorf("the audit has %q, want a line for each service", opened)
	}
}

func badCredentials(t *testing.T, r *rig) {
	r.production(t, "bad-safe")
	for _, c := range []struct{ name, secret string }{
		{"", "s"}, {"UPPER", "s"}, {"a b", "s"}, {"-a", "s"}, {"a}b", "s"}, {strings.Repeat("a", 64), "s"},
		{"a", ""}, {"a", strings.Repeat("s", 16<<10+1)},
	} {
		_, err := r.credentials.PutCredential(admin(t), &credentialv1.PutCredentialRequest{Production: "bad-safe", Name: c.name, Secret: c.secret})
		wantFault(t, err, fault.Invalid, "INVALID")
		if c.secret != "" && len(c.secret) > 1 && strings.Contains(err.Error(), c.secret) {
			t.Error("the refusal says the secret back")
		}
	}
}

// ring is a key ring of the keys 1 to n, the last one active.
func ring(t *testing.T, n int) *keyring.Ring {
	t.Helper()
	var keys []string
	for i := 1; i <= n; i++ {
		secret := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune('a'+i)), 32)))
		keys = append(keys, fmt.Sprintf(`"%d":%q`, i, secret))
	}
	r, err := keyring.Parse(fmt.Appendf(nil, `{"active":%d,"keys":{%s}}`, n, strings.Join(keys, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// replica is another directory on the same Redis, with keys of its own.
func (r *rig) replica(t *testing.T, keys *keyring.Ring) credentialv1.CredentialServiceClient {
	t.Helper()
	bucket, err := blob.Open(t.Context(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	log := slog.New(slog.NewTextHandler(r.logged, nil))
	server, err := directory.New(testConfig(), directory.Deps{
		Redis: r.redis.Client, Blobs: bucket, Keys: keys, Watermark: r.watermark, Log: log, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := rpc.NewServer(log)
	server.Register(srv)
	connect, stop := rpc.InProcess(srv)
	t.Cleanup(stop)
	conn, err := connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return credentialv1.NewCredentialServiceClient(conn)
}

// While the ring is replaced replica by replica, and after it, what was sealed before opens; and a replica that lacks the
// key says so, and of which credential.
func rotatedRing(t *testing.T, r *rig) {
	r.production(t, "rotated")
	old, fresh := r.replica(t, ring(t, 1)), r.replica(t, ring(t, 2))
	services := as(t, accessv1.Role_ROLE_SERVICE)
	put := func(c credentialv1.CredentialServiceClient, secret string) {
		t.Helper()
		_, err := c.PutCredential(admin(t), &credentialv1.PutCredentialRequest{Production: "rotated", Name: "smtp", Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
	}
	open := &credentialv1.OpenCredentialRequest{Production: "rotated", Name: "smtp"}
	put(old, "before")
	for _, c := range []credentialv1.CredentialServiceClient{old, fresh} {
		got, err := c.OpenCredential(services, open)
		if err != nil || got.GetSecret() != "before" {
			t.Errorf("got %v, %v", got, err)
		}
	}
	put(fresh, "after")
	got, err := fresh.OpenCredential(services, open)
	if err != nil || got.GetSecret() != "after" {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = old.OpenCredential(services, open)
	wantFault(t, err, fault.Internal, "CREDENTIAL_UNREADABLE", `"smtp"`, "key ring")
	// A secret that somebody moved to another name in Redis does not open there.
	sealed, err := r.redis.Client.HGetAll(t.Context(), "{p:rotated}:credential:smtp").Result()
	if err != nil || len(sealed) == 0 {
		t.Fatal(sealed, err)
	}
	err = r.redis.Client.HSet(t.Context(), "{p:rotated}:credential:moved", sealed).Err()
	if err != nil {
		t.Fatal(err)
	}
	_, err = fresh.OpenCredential(services, &credentialv1.OpenCredentialRequest{Production: "rotated", Name: "moved"})
	wantFault(t, err, fault.Internal, "CREDENTIAL_UNREADABLE")
}
