package orchestrator_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/webhook"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
)

// credentials is a directory's safe, in memory.
type credentials struct {
	credentialv1.UnimplementedCredentialServiceServer

	mu      sync.Mutex
	secrets map[string]string // by production and name
	fail    error
}

func (c *credentials) PutCredential(_ context.Context, r *credentialv1.PutCredentialRequest) (*credentialv1.PutCredentialResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secrets[r.GetProduction()+"/"+r.GetName()] = r.GetSecret()
	return &credentialv1.PutCredentialResponse{Credential: &credentialv1.Credential{Name: r.GetName()}}, c.fail
}

func (c *credentials) DeleteCredential(_ context.Context, r *credentialv1.DeleteCredentialRequest) (*credentialv1.DeleteCredentialResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.secrets, r.GetProduction()+"/"+r.GetName())
	return &credentialv1.DeleteCredentialResponse{}, c.fail
}

func (c *credentials) OpenCredential(_ context.Context, r *credentialv1.OpenCredentialRequest) (*credentialv1.OpenCredentialResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	secret, ok := c.secrets[r.GetProduction()+"/"+r.GetName()]
	if !ok {
		return nil, fault.New(fault.NotFound, "CREDENTIAL_UNKNOWN", "there is none")
	}
	return &credentialv1.OpenCredentialResponse{Secret: secret}, c.fail
}

func (c *credentials) change(name string, to func(string) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secrets[name] = to(c.secrets[name])
}

// template asks for one file to one person.
func template() *distributionv1.CreateDistributionRequest {
	req := request(1, 1)
	req.Production, req.IdempotencyKey, req.Title = "", "", "Call sheet"
	req.Message = &distributionv1.Message{Subject: "For you", Text: "As every day."}
	return req
}

func (b *testBundle) putHook(req *schedulev1.PutHookRequest) *schedulev1.PutHookResponse {
	b.t.Helper()
	resp, err := b.schedules.PutHook(b.t.Context(), req)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

// fire is a call as a sender makes it, signed at a moment with secret.
func fire(name, secret, id, body string, at time.Time) *schedulev1.FireHookRequest {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signature, err := webhook.Sign(secret, id, timestamp, []byte(body))
	if err != nil {
		panic(err)
	}
	return &schedulev1.FireHookRequest{Production: "default", Name: name, Id: id, Timestamp: timestamp, Signature: signature, Body: []byte(body)}
}

func wantFault(t *testing.T, err error, kind fault.Kind, reason string, mentions ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("it succeeded, want %s", reason)
	}
	f := fault.From(err)
	if f.Kind != kind || f.Reason != reason {
		t.Fatalf("got %v, want %s", f, reason)
	}
	for _, m := range mentions {
		if !strings.Contains(f.Message, m) {
			t.Errorf("%q does not mention %q", f.Message, m)
		}
	}
}

func TestAHookStartsWhatItsCallsAskFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.putHook(&schedulev1.PutHookRequest{Production: "default", Name: "dailies", Hook: &schedulev1.Hook{Start: template()}})
	if h := made.GetHook(); h.GetName() != "dailies" || h.GetPath() != "/v1/hooks/default/dailies" || h.GetLastAt() != nil || h.GetStart().GetTitle() != "Call sheet" {
		t.Errorf("got %v", h)
	}
	again := b.putHook(&schedulev1.PutHookRequest{Production: "default", Name: "dailies", Hook: &schedulev1.Hook{Name: "dailies", Start: template()}})
	if !strings.HasPrefix(made.GetSecret(), "whsec_") || again.GetSecret() != "" {
		t.Errorf("a secret comes with a new hook: %t, and with a changed one: %t", made.GetSecret() != "", again.GetSecret() != "")
	}
	for name, c := range map[string]struct {
		body             string
		title, file, who string
		subject          string
	}{
		"nothing":    {"", "Call sheet", "1", "p1@example.com", "For you"},
		"an object":  {"{}", "Call sheet", "1", "p1@example.com", "For you"},
		"null":       {`{"title":null,"files":null}`, "Call sheet", "1", "p1@example.com", "For you"},
		"a title":    {`{"title":"Day 3"}`, "Day 3", "1", "p1@example.com", "For you"},
		"a subject":  {`{"message":{"subject":"Day 4"}}`, "Call sheet", "1", "p1@example.com", "Day 4"},
		"other file": {`{"files":[{"sha256":"` + strings.Repeat("7", 64) + `"}]}`, "Call sheet", "7", "p1@example.com", "For you"},
		"another":    {`{"recipients":[{"name":"Bo","email":"bo@example.com"}]}`, "Call sheet", "1", "bo@example.com", "For you"},
	} {
		req := fire("dailies", made.GetSecret(), name, c.body, time.Now())
		resp, err := b.schedules.FireHook(b.t.Context(), req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := b.until(resp.GetDistribution().GetId(), ended)
		if d.GetState() != "completed" || d.GetTitle() != c.title || !strings.HasSuffix(d.GetFiles()[0].GetSha256(), c.file) {
			t.Errorf("%s: got %v", name, d)
		}
		if to := b.recipients(d.GetId()); len(to) != 1 || to[0].GetEmail() != c.who {
			t.Errorf("%s: it went to %v", name, to)
		}
		b.mu.Lock()
		mails := b.sent[c.who]
		if m := mails[len(mails)-1]; m.GetSubject() != c.subject || m.GetText() != "As every day." {
			t.Errorf("%s: got the mail %v", name, m)
		}
		b.mu.Unlock()
		list, err := b.schedules.ListHooks(b.t.Context(), &schedulev1.ListHooksRequest{Production: "default"})
		if err != nil || len(list.GetHooks()) != 1 || list.GetHooks()[0].GetLastDistribution() != d.GetId() || !list.GetHooks()[0].GetLastAt().IsValid() {
			t.Errorf("%s: got %v, %v", name, list, err)
		}
		// The hook is changed, and the sender, who heard no answer, calls again, signed anew.
		changed := template()
		changed.Title = "Call sheet"
		changed.Password = "generate"
		b.putHook(&schedulev1.PutHookRequest{Production: "default", Name: "dailies", Hook: &schedulev1.Hook{Start: changed}})
		retried, err := b.schedules.FireHook(b.t.Context(), fire("dailies", made.GetSecret(), name, c.body, time.Now().Add(time.Minute)))
		if err != nil || retried.GetDistribution().GetId() != d.GetId() {
			t.Errorf("%s: the same call again made %v, %v", name, retried, err)
		}
		b.putHook(&schedulev1.PutHookRequest{Production: "default", Name: "dailies", Hook: &schedulev1.Hook{Start: template()}})
	}
}

func TestAHundredCallsOfOneIdStartOneDistribution(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret := b.putHook(&schedulev1.PutHookRequest{Production: "default", Name: "dailies", Hook: &schedulev1.Hook{Start: template()}}).GetSecret()
	ids := make([]string, 100)
	var calls sync.WaitGroup
	for i := range ids {
		calls.Go(func() {
			resp, err := b.schedules.FireHook(b.t.Context(), fire("dailies", secret, "msg_1", "{}", time.Now()))
			if err != nil {
				t.Error(err)
			}
			ids[i] = resp.GetDistribution().GetId()
		})
	}
	calls.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("got %q and %q", ids[0], id)
		}
	}
	list, err := b.distributions.ListDistributions(b.t.Context(), &distributionv1.ListDistributionsRequest{Production: "default"})
	if err != nil || len(list.GetDistributions()) != 1 {
		t.Errorf("got %v, %v, want one", list, err)
	}
	_, err = b.schedules.FireHook(b.t.Context(), fire("dailies", secret, "msg_1", `{"title":"other"}`, time.Now()))
	wantFault(t, err, fault.Conflict, "WEBHOOK_ID_USED", `"msg_1"`)
}

// Whoever cannot sign has one answer, whatever is the reason; whoever can is told what is wrong.
func TestWhatAHookRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	put := func(rotate bool) string {
		return b.putHook(&schedulev1.PutHookRequest{Production: "default", Name: "dailies", Rotate: rotate, Hook: &schedulev1.Hook{Start: template()}}).GetSecret()
	}
	first := put(false)
	second := put(true)
	now := time.Now()
	for name, secret := range map[string]string{"the present secret": second, "the one before": first} {
		_, err := b.schedules.FireHook(b.t.Context(), fire("dailies", secret, name, "{}", now))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := b.putHook(&schedulev1.PutHookRequest{Production: "other", Name: "elsewhere", Hook: &schedulev1.Hook{Start: template()}}).GetSecret()
	forged := func(change func(*schedulev1.FireHookRequest)) *schedulev1.FireHookRequest {
		req := fire("dailies", second, "forged", "{}", now)
		change(req)
		return req
	}
	var messages []string
	for name, req := range map[string]*schedulev1.FireHookRequest{
		"another secret":               fire("dailies", webhook.New().Current(), "forged", "{}", now),
		"another hook's secret":        fire("dailies", other, "forged", "{}", now),
		"a hook of another production": fire("elsewhere", other, "forged", "{}", now),
		"the wrong production":         forged(func(r *schedulev1.FireHookRequest) { r.Production = "other" }),
		"no such production":           forged(func(r *schedulev1.FireHookRequest) { r.Production = "a}b" }),
		"no such hook":                 fire("none", second, "forged", "{}", now),
		"no name for a hook":           fire("{a/b}", second, "forged", "{}", now),
		"a name that is too long":      fire(strings.Repeat("a", 60), second, "forged", "{}", now),
		"another body":                 forged(func(r *schedulev1.FireHookRequest) { r.Body = []byte(`{"title":"x"}`) }),
		"another id":                   forged(func(r *schedulev1.FireHookRequest) { r.Id = "x" }),
		"a timestamp set anew":         forged(func(r *schedulev1.FireHookRequest) { r.Timestamp = strconv.FormatInt(now.Unix()+1, 10) }),
		"no signature":                 forged(func(r *schedulev1.FireHookRequest) { r.Signature = "" }),
		"an old call with no secret":   fire("dailies", webhook.New().Current(), "forged", "{}", now.Add(-time.Hour)),
	} {
		_, err := b.schedules.FireHook(b.t.Context(), req)
		if err == nil {
			t.Fatalf("%s: it started something", name)
		}
		f := fault.From(err)
		messages = append(messages, fmt.Sprint(f.Kind, f.Reason, f.Message))
		if f.Kind != fault.NotFound || f.Reason != "HOOK_UNKNOWN" || messages[0] != messages[len(messages)-1] {
			t.Errorf("%s: got %v, and it can be told apart", name, f)
		}
	}
	for _, off := range []time.Duration{-time.Hour, -5*time.Minute - 2*time.Second, 6 * time.Minute} {
		_, err := b.schedules.FireHook(b.t.Context(), fire("dailies", second, "old", "{}", now.Add(off)))
		wantFault(t, err, fault.Invalid, "WEBHOOK_TOO_OLD", "5m0s")
	}
	for body, mentions := range map[string]string{
		"hello":                             "JSON object",
		"[]":                                "JSON object",
		`{"title":`:                         "not JSON",
		`{"title":"a"} x`:                   "not JSON",
		`{"mode":"drive"}`:                  `"mode"`,
		`{"production":"other"}`:            `"production"`,
		`{"idempotency_key":"k"}`:           `"idempotency_key"`,
		`{"title":5}`:                       "title",
		`{"files":{}}`:                      "1:10",
		`{"recipients":[{"mail":"a@b.c"}]}`: "mail",
	} {
		_, err := b.schedules.FireHook(b.t.Context(), fire("dailies", second, "bad", body, now))
		wantFault(t, err, fault.Invalid, "WEBHOOK_BODY_INVALID", mentions)
	}
	for body, reason := range map[string]string{
		`{"files":[]}`:                                                   "START_INVALID",
		`{"files":[{"sha256":"short"}]}`:                                 "START_INVALID",
		`{"recipients":[{"name":"Bo","email":"nobody"}]}`:                "RECIPIENT_INVALID",
		`{"title":"` + strings.Repeat("x", 256) + `"}`:                   "START_INVALID",
		`{"recipients":[{"name":"\u20e3\u0001","email":"b@c.example"}]}`: "MARK_GLYPH_MISSING",
	} {
		_, err := b.schedules.FireHook(b.t.Context(), fire("dailies", second, "bad", body, now))
		wantFault(t, err, fault.Invalid, reason)
	}
	// The one before works for a day, and then no longer.
	b.credentials.change("default/hook-dailies", func(s string) string {
		until := strconv.FormatInt(now.Add(webhook.Overlap).Unix(), 10)
		for _, near := range []string{until, strconv.FormatInt(now.Add(webhook.Overlap).Unix()-1, 10)} {
			s = strings.ReplaceAll(s, near+":", strconv.FormatInt(now.Unix()-1, 10)+":")
		}
		return s
	})
	_, err := b.schedules.FireHook(b.t.Context(), fire("dailies", first, "late", "{}", now))
	wantFault(t, err, fault.NotFound, "HOOK_UNKNOWN")
	_, err = b.schedules.FireHook(b.t.Context(), fire("dailies", second, "late", "{}", now))
	if err != nil {
		t.Error(err)
	}
	_, err = b.schedules.DeleteHook(b.t.Context(), &schedulev1.DeleteHookRequest{Production: "default", Name: "dailies"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.schedules.FireHook(b.t.Context(), fire("dailies", second, "gone", "{}", now))
	wantFault(t, err, fault.NotFound, "HOOK_UNKNOWN")
	if fresh := put(false); fresh == "" || fresh == second {
		t.Error("a hook that is made again gets no secret of its own")
	}
	_, err = b.schedules.FireHook(b.t.Context(), fire("dailies", second, "again", "{}", now))
	wantFault(t, err, fault.NotFound, "HOOK_UNKNOWN")
}

func TestHooksThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	change := func(f func(*distributionv1.CreateDistributionRequest)) *distributionv1.CreateDistributionRequest {
		req := template()
		f(req)
		return req
	}
	for name, c := range map[string]struct {
		hook   string
		h      *schedulev1.Hook
		reason string
	}{
		"no hook":        {"a", nil, "INVALID"},
		"no start":       {"a", &schedulev1.Hook{}, "START_INVALID"},
		"other name":     {"a", &schedulev1.Hook{Name: "b", Start: template()}, "INVALID"},
		"bad name":       {"A b", &schedulev1.Hook{Start: template()}, "INVALID"},
		"long name":      {strings.Repeat("a", 59), &schedulev1.Hook{Start: template()}, "INVALID"},
		"bad mode":       {"a", &schedulev1.Hook{Start: change(func(r *distributionv1.CreateDistributionRequest) { r.Mode = "pigeon" })}, "START_INVALID"},
		"of another":     {"a", &schedulev1.Hook{Start: change(func(r *distributionv1.CreateDistributionRequest) { r.Production = "other" })}, "START_INVALID"},
		"bad recipients": {"a", &schedulev1.Hook{Start: change(func(r *distributionv1.CreateDistributionRequest) { r.Files, r.Recipients[0].Email = nil, "nobody" })}, "RECIPIENT_INVALID"},
		"bad mark":       {"a", &schedulev1.Hook{Start: change(func(r *distributionv1.CreateDistributionRequest) { r.Mark = "{unknown}" })}, "MARK_FIELD_UNKNOWN"},
		"no definition":  {"a", &schedulev1.Hook{Start: change(func(r *distributionv1.CreateDistributionRequest) { r.Files, r.Definition = nil, "none" })}, "DEFINITION_UNKNOWN"},
		"bad style": {"a", &schedulev1.Hook{Start: change(func(r *distributionv1.CreateDistributionRequest) {
			r.Recipients, r.MarkStyle = nil, &distributionv1.MarkStyle{Pages: "9-1"}
		})}, "MARK_STYLE_BAD"},
	} {
		_, err := b.schedules.PutHook(b.t.Context(), &schedulev1.PutHookRequest{Production: "default", Name: c.hook, Hook: c.h})
		if err == nil || fault.From(err).Reason != c.reason {
			t.Errorf("%s: got %v, want %s", name, err, c.reason)
		}
	}
	if len(b.credentials.secrets) != 0 {
		t.Error("what was refused has a secret")
	}
	// What calls bring may be missing.
	open := template()
	open.Files, open.Recipients, open.Mark = nil, nil, "{name} {department}"
	b.putHook(&schedulev1.PutHookRequest{Production: "default", Name: strings.Repeat("a", 58), Hook: &schedulev1.Hook{Start: open}})
	for i := range 99 {
		b.putHook(&schedulev1.PutHookRequest{Production: "default", Name: fmt.Sprint("h", i), Hook: &schedulev1.Hook{Start: template()}})
	}
	_, err := b.schedules.PutHook(b.t.Context(), &schedulev1.PutHookRequest{Production: "default", Name: "one-more", Hook: &schedulev1.Hook{Start: template()}})
	wantFault(t, err, fault.Conflict, "TOO_MANY", "100")
	_, exists := b.credentials.secrets["default/hook-one-more"]
	if exists {
		t.Error("what was refused has a secret")
	}
	// A secret that cannot be read is an error of ours to a sender, and can be replaced.
	b.credentials.change("default/hook-h0", func(string) string { return "not a secret" })
	_, err = b.schedules.FireHook(b.t.Context(), fire("h0", webhook.New().Current(), "x", "{}", time.Now()))
	wantFault(t, err, fault.Internal, "INTERNAL")
	rotated := b.putHook(&schedulev1.PutHookRequest{Production: "default", Name: "h0", Rotate: true, Hook: &schedulev1.Hook{Start: template()}})
	_, err = b.schedules.FireHook(b.t.Context(), fire("h0", rotated.GetSecret(), "x", "{}", time.Now()))
	if err != nil {
		t.Error(err)
	}
}

// The secret is in the directory alone, sealed there; here it is neither kept nor logged.
func TestHookSecretsStayInTheDirectory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret := b.putHook(&schedulev1.PutHookRequest{Production: "default", Name: "dailies", Hook: &schedulev1.Hook{Start: template()}}).GetSecret()
	_, err := b.schedules.FireHook(b.t.Context(), fire("dailies", secret, "1", "{}", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := b.redis.Client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatal(len(keys), err)
	}
	hooks := 0
	for _, key := range keys {
		raw, err := b.redis.Client.Dump(t.Context(), key).Result()
		if err != nil && !strings.Contains(err.Error(), "nil") {
			t.Fatal(err)
		}
		kept := raw
		if b.redis.Client.Type(t.Context(), key).Val() == "hash" {
			kept += fmt.Sprint(b.redis.Client.HGetAll(t.Context(), key).Val())
		}
		if strings.Contains(key, ":hook:") {
			hooks++
		}
		if strings.Contains(kept, strings.TrimPrefix(secret, "whsec_")) {
			t.Errorf("%s holds the secret", key)
		}
	}
	if hooks != 1 {
		t.Errorf("%d hooks were looked at, want 1", hooks)
	}
}

// Who may do what with schedules and hooks, by role and production.
func TestWhoMayScheduleAndHook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	schedule := func(p string) *schedulev1.PutScheduleRequest {
		return &schedulev1.PutScheduleRequest{Production: p, Name: "daily", Schedule: &schedulev1.Schedule{Cron: "@yearly", Start: template()}}
	}
	for method, c := range map[string]struct {
		roles string
		do    func(ctx context.Context, production string) error
	}{
		"PutSchedule": {"ca", func(ctx context.Context, p string) error {
			_, err := b.schedules.PutSchedule(ctx, schedule(p))
			return err
		}},
		"ListSchedules": {"coa", func(ctx context.Context, p string) error {
			_, err := b.schedules.ListSchedules(ctx, &schedulev1.ListSchedulesRequest{Production: p})
			return err
		}},
		"DeleteSchedule": {"ca", func(ctx context.Context, p string) error {
			_, err := b.schedules.DeleteSchedule(ctx, &schedulev1.DeleteScheduleRequest{Production: p, Name: "daily"})
			return err
		}},
		"PutHook": {"ca", func(ctx context.Context, p string) error {
			_, err := b.schedules.PutHook(ctx, &schedulev1.PutHookRequest{Production: p, Name: "dailies", Hook: &schedulev1.Hook{Start: template()}})
			return err
		}},
		"ListHooks": {"coa", func(ctx context.Context, p string) error {
			_, err := b.schedules.ListHooks(ctx, &schedulev1.ListHooksRequest{Production: p})
			return err
		}},
		"DeleteHook": {"ca", func(ctx context.Context, p string) error {
			_, err := b.schedules.DeleteHook(ctx, &schedulev1.DeleteHookRequest{Production: p, Name: "dailies"})
			return err
		}},
		"FireHook": {"", func(ctx context.Context, p string) error {
			_, err := b.schedules.FireHook(ctx, &schedulev1.FireHookRequest{Production: p, Name: "dailies", Id: "1"})
			return err
		}},
	} {
		for letter, role := range map[string]accessv1.Role{"c": accessv1.Role_ROLE_COORDINATOR, "o": accessv1.Role_ROLE_ONCALL, "a": accessv1.Role_ROLE_ADMIN} {
			ctx, err := rpc.As(t.Context(), &accessv1.Principal{Subject: "tok_1", Role: role, Productions: []string{"default"}})
			if err != nil {
				t.Fatal(err)
			}
			err = c.do(ctx, "default")
			if strings.Contains(c.roles, letter) {
				if err != nil {
					t.Errorf("%s as %s: %v", method, role, err)
				}
				err = c.do(ctx, "other")
				if err == nil || fault.From(err).Reason != "PRODUCTION_UNKNOWN" {
					t.Errorf("%s as %s in another production: got %v", method, role, err)
				}
			} else if err == nil || fault.From(err).Reason != "ROLE_MISSING" {
				t.Errorf("%s as %s: got %v, want ROLE_MISSING", method, role, err)
			}
		}
		err := c.do(must(rpc.As(t.Context(), &accessv1.Principal{})), "default")
		if err == nil || fault.From(err).Reason != "TOKEN_MISSING" {
			t.Errorf("%s as nobody: got %v", method, err)
		}
	}
	_, err := b.schedules.FireHook(t.Context(), &schedulev1.FireHookRequest{Production: "default", Name: "dailies", Id: "1"})
	wantFault(t, err, fault.NotFound, "HOOK_UNKNOWN") // a service may call it
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
