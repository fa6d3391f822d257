package observer_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/webhook"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer"
)

// chat is whoever is told of alerts, in a program of their own.
type chat struct {
	mu   sync.Mutex
	told []string // "<path> <body>"
	down bool
	srv  *httptest.Server
}

func newChat(t *testing.T) *chat {
	c := &chat{}
	c.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		c.told = append(c.told, fmt.Sprint(r.URL.Path, " ", r.Header.Get("webhook-signature") != "", " ", string(body)))
	}))
	t.Cleanup(c.srv.Close)
	return c
}

func (c *chat) heard(parts ...string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, text := range c.told {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(text, p)
		}
		if all {
			n++
		}
	}
	return n
}

// secrets opens the one credential that there is.
type secrets struct {
	credentialv1.UnimplementedCredentialServiceServer
	secret string
}

func (s *secrets) OpenCredential(context.Context, *credentialv1.OpenCredentialRequest) (*credentialv1.OpenCredentialResponse, error) {
	return &credentialv1.OpenCredentialResponse{Secret: s.secret}, nil
}

// watchman is an observer with nobody else there.
type watchman struct {
	*observer.Server
	ctx  context.Context
	stop func()
}

func newWatchman(t *testing.T, redis *redistest.Server, dir, rules string) *watchman {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	srv := rpc.NewServer(log)
	credentialv1.RegisterCredentialServiceServer(srv, &secrets{secret: webhook.New().String()})
	connect, stopServer := rpc.InProcess(srv)
	t.Cleanup(stopServer)
	conn, err := connect("observer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	blobs, err := blob.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	keys, err := keyring.LoadOrCreate(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	err = os.WriteFile(file, []byte(rules), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s, err := observer.New(observer.Config{Look: 100 * time.Millisecond, Rules: file, EgressOpen: []string{"127.0.0.0/8"}}, observer.Deps{
		Redis: redis.Client, Blobs: blobs, Keys: keys, Dir: dir, Distributions: distributionv1.NewDistributionServiceClient(conn),
		Control: controlv1.NewControlServiceClient(conn), Directory: directoryv1.NewDirectoryServiceClient(conn),
		Credentials: credentialv1.NewCredentialServiceClient(conn), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx)
	}()
	w := &watchman{Server: s, stop: sync.OnceFunc(func() { cancel(); <-done }),
		ctx: rpc.Serving(t.Context(), &accessv1.Principal{Subject: "tok_oncall", Role: accessv1.Role_ROLE_ONCALL, Productions: []string{"*"}})}
	t.Cleanup(w.stop)
	return w
}

func (w *watchman) alerts(t *testing.T, rule string) []*observerv1.Alert {
	t.Helper()
	resp, err := w.ListAlerts(w.ctx, &observerv1.ListAlertsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var out []*observerv1.Alert
	for _, a := range resp.GetAlerts() {
		if a.GetRule() == rule {
			out = append(out, a)
		}
	}
	return out
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}

const watchRules = `
- name: orchestrator-down
  title: Nobody moves anything
  on: heartbeat
  when: what == "orchestrator" && alive == 0
  for: 200ms
  severity: page
  sentence: no orchestrator has been heard of
  actions:
  - slack: %[1]s/slack
  - webhook: {url: "%[1]s/hook", credential: hook}
- name: redis-down
  title: Redis does not answer
  on: heartbeat
  when: what == "redis" && silent > duration("1s")
  severity: page
  sentence: "Redis has not answered for {silent}"
  actions:
  - slack: %[1]s/redis
`

// While no orchestrator is there whoever asked for it is told, once, also when their chat was away for a while; it is told
// while Redis is away, too, and by whoever takes over.
func TestAlertsAreToldWhateverElseIsDown(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	c := newChat(t)
	c.down = true
	dir := t.TempDir()
	rules := fmt.Sprintf(watchRules, c.srv.URL)
	w := newWatchman(t, redis, dir, rules)
	await(t, "nobody can be told", func() bool {
		a := w.alerts(t, "orchestrator-down")
		return len(a) == 1 && a[0].GetState() == "open" && len(a[0].GetDone()) == 2 && a[0].GetDone()[0].GetError() != ""
	})
	c.mu.Lock()
	c.down = false
	c.mu.Unlock()
	await(t, "they are told", func() bool {
		return c.heard("/slack", "no orchestrator has been heard of") > 0 && c.heard("/hook true", `"alert.open"`) > 0
	})

	redis.Kill()
	await(t, "Redis is away, and they are told of that", func() bool { return c.heard("/redis", "has not answered") > 0 })
	// What was kept in Redis is known without it, to a new process, too.
	w.stop()
	w = newWatchman(t, redis, dir, rules)
	if a := w.alerts(t, "orchestrator-down"); len(a) != 1 || a[0].GetState() != "open" {
		t.Errorf("started while Redis is away: %v", a)
	}
	redis.Restart()
	await(t, "Redis is back, and that is over", func() bool { return c.heard("/redis", "(over)") > 0 })
	if n := c.heard("/slack", "no orchestrator"); n != 1 {
		t.Errorf("of one thing they were told %d times", n)
	}
	id := w.alerts(t, "orchestrator-down")[0].GetId()
	got, err := w.AcknowledgeAlert(w.ctx, &observerv1.AcknowledgeAlertRequest{Alert: id})
	if err != nil || got.GetAlert().GetState() != "acknowledged" || got.GetAlert().GetAcknowledgedBy() != "tok_oncall" {
		t.Errorf("acknowledged: %v, %v", got, err)
	}
	await(t, "it stays acknowledged", func() bool { return w.alerts(t, "orchestrator-down")[0].GetState() == "acknowledged" })
	// What came about while Redis was away is known to whoever has nothing but Redis.
	await(t, "another one knows", func() bool {
		w.stop()
		w = newWatchman(t, redis, t.TempDir(), rules)
		for range 50 {
			if len(w.alerts(t, "redis-down")) > 0 {
				return true
			}
			time.Sleep(20 * time.Millisecond)
		}
		return false
	})
}

// Of two observers one tells; when it is gone the other does.
func TestOneObserverTells(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	c := newChat(t)
	rules := fmt.Sprintf(watchRules, c.srv.URL)
	one := newWatchman(t, redis, t.TempDir(), rules)
	two := newWatchman(t, redis, t.TempDir(), rules)
	await(t, "they are told", func() bool { return c.heard("/slack", "no orchestrator") > 0 })
	await(t, "both know", func() bool {
		return len(one.alerts(t, "orchestrator-down")) == 1 && len(two.alerts(t, "orchestrator-down")) == 1
	})
	time.Sleep(500 * time.Millisecond) // time for a second word, if there were one
	if n := c.heard("/slack"); n != 1 {
		t.Errorf("they were told %d times", n)
	}
	// Who has it is told to one of them, and both know.
	id := two.alerts(t, "orchestrator-down")[0].GetId()
	for _, w := range []*watchman{one, two} {
		_, err := w.AcknowledgeAlert(w.ctx, &observerv1.AcknowledgeAlertRequest{Alert: id})
		if err != nil {
			t.Fatal(err)
		}
		await(t, "both know who has it", func() bool {
			return one.alerts(t, "orchestrator-down")[0].GetAcknowledgedBy() == "tok_oncall" && two.alerts(t, "orchestrator-down")[0].GetAcknowledgedBy() == "tok_oncall"
		})
	}
	one.stop()
	_, err := two.PutRule(two.ctx, &observerv1.PutRuleRequest{Name: "more", Rule: &observerv1.Rule{On: "heartbeat", When: `what == "observer"`,
		Sentence: "there is an observer", Actions: []*observerv1.Action{{Kind: &observerv1.Action_Slack{Slack: &observerv1.Webhook{Url: c.srv.URL + "/more"}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the other one tells", func() bool { return c.heard("/more", "there is an observer") == 1 })
}

func TestRulesThatPeoplePut(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newWatchman(t, redis, t.TempDir(), "")
	for name, tc := range map[string]struct {
		rule *observerv1.Rule
		say  string
	}{
		"a private address": {&observerv1.Rule{On: "run", When: "true", Actions: []*observerv1.Action{{Kind: &observerv1.Action_Slack{Slack: &observerv1.Webhook{Url: "http://10.0.0.1/x"}}}}}, "not an address of the public Internet"},
		"unsigned":          {&observerv1.Rule{On: "run", When: "true", Actions: []*observerv1.Action{{Kind: &observerv1.Action_Webhook{Webhook: &observerv1.Webhook{Url: "https://example.com"}}}}}, "names the studio's credential"},
		"no condition":      {&observerv1.Rule{On: "run", When: "state"}, "when: it gives string, not bool"},
	} {
		_, err := w.PutRule(w.ctx, &observerv1.PutRuleRequest{Name: "x", Rule: tc.rule})
		if f := fault.From(err); err == nil || f.Reason != "RULE_INVALID" || !strings.Contains(f.Message, tc.say) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A rule acts as the observer does: whoever may act in one production makes none for others.
	one := rpc.Serving(t.Context(), &accessv1.Principal{Subject: "tok_one", Role: accessv1.Role_ROLE_ONCALL, Productions: []string{"one"}})
	start := []*observerv1.Action{{Kind: &observerv1.Action_Start{Start: &observerv1.Start{Production: "two", Definition: "d"}}}}
	for name, r := range map[string]*observerv1.Rule{
		"everywhere": {On: "run", When: "true"}, "another": {On: "run", When: "true", Productions: []string{"one", "two"}},
		"acts in another": {On: "run", When: "true", Productions: []string{"one"}, Actions: start},
	} {
		_, err := w.PutRule(one, &observerv1.PutRuleRequest{Name: "mine", Rule: r})
		if fault.From(err).Reason != "RULE_NOT_YOURS" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := w.PutRule(one, &observerv1.PutRuleRequest{Name: "mine", Rule: &observerv1.Rule{On: "run", When: "true", Productions: []string{"one"}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.PutRule(one, &observerv1.PutRuleRequest{Name: "late", Rule: &observerv1.Rule{On: "run", When: "true", Productions: []string{"one"}}})
	if fault.From(err).Reason != "RULE_NOT_YOURS" {
		t.Errorf("in the place of one for all: %v", err)
	}
	_, err = w.DeleteRule(w.ctx, &observerv1.DeleteRuleRequest{Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.ApplyRules(w.ctx, &observerv1.ApplyRulesRequest{Source: "- name: good\n  on: run\n  when: 'true'\n- name: bad\n  on: moon\n  when: 'true'\n"})
	if f := fault.From(err); f.Reason != "RULE_INVALID" || !strings.Contains(f.Message, "line 5, rule bad: on: there is no \"moon\"") {
		t.Errorf("one bad rule of two: %v", err)
	}
	names := func() (out []string) {
		resp, err := w.ListRules(w.ctx, &observerv1.ListRulesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range resp.GetRules() {
			if r.GetSource() == "" {
				out = append(out, fmt.Sprint(r.GetName(), " ", r.GetDisabled()))
			}
		}
		return out
	}
	if got := names(); len(got) != 0 {
		t.Errorf("some were set: %q", got)
	}
	_, err = w.ApplyRules(w.ctx, &observerv1.ApplyRulesRequest{Source: "- name: good\n  on: run\n  when: 'true'\n- {name: late, on: run, when: 'true', disabled: true}\n"})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names(), ", "); got != "good false, late true" {
		t.Errorf("there are %q", got)
	}
	test, err := w.TestRule(w.ctx, &observerv1.TestRuleRequest{Rule: &observerv1.Rule{Name: "try", On: "heartbeat", When: `what == "redis" && alive == 1`, Sentence: "Redis answers"}})
	if err != nil || len(test.GetAlerts()) != 1 || test.GetAlerts()[0].GetSentence() != "Redis answers" {
		t.Errorf("tried: %v, %v", test, err)
	}
	_, err = w.DeleteRule(w.ctx, &observerv1.DeleteRuleRequest{Name: "good"})
	if err != nil || strings.Join(names(), ", ") != "late true" {
		t.Errorf("deleted: %v, %v", names(), err)
	}
	for name, code := range map[string]string{"good": "RULE_UNKNOWN", "no-worker": "RULE_NOT_YOURS"} {
		_, err = w.DeleteRule(w.ctx, &observerv1.DeleteRuleRequest{Name: name})
		if fault.From(err).Reason != code {
			t.Errorf("delete %s: %v", name, err)
		}
	}
}
