package push_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	pushv1 "github.com/filigreehq/filigree/proto/gen/filigree/push/v1"
	"github.com/filigreehq/filigree/services/push"
)

func newServer(t *testing.T, f *fake, d *directory, log *slog.Logger) *push.Server {
	t.Helper()
	cfg := push.Config{FCMCredentials: f.credentials(), FCMEndpoint: f.server.URL, Timeout: time.Second, RetryAfter: 7 * time.Second, Parallel: 4}
	s, err := push.New(cfg, push.Deps{Directory: d, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := s.Close()
		if err != nil {
			t.Error(err)
		}
	})
	return s
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func request() *pushv1.SendRequest {
	return &pushv1.SendRequest{
		Production: "default", Delivery: "d1.r7.push", Email: "Ada@Example.com", Title: "Scripts for Monday", Text: "2 documents for you", Distribution: "d1",
	}
}

func TestAllDevicesAreToldOnce(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), with("phone", "tablet", "laptop")
	s := newServer(t, f, d, quiet())
	for range 2 { // a repeat shows once
		resp, err := s.Send(t.Context(), request())
		if err != nil || resp.GetNotified() != 3 || resp.GetGone() != 0 {
			t.Fatalf("got %v, %v", resp, err)
		}
	}
	if f.issued != 1 {
		t.Errorf("%d access tokens were asked for, want 1", f.issued)
	}
	var collapse string
	for device, notes := range f.shown {
		if len(notes) != 1 {
			t.Errorf("%s shows %d notifications", device, len(notes))
		}
		for key, n := range notes {
			collapse = key
			diff := cmp.Diff(shown{"Scripts for Monday", "2 documents for you", key, "d1"}, n, cmp.AllowUnexported(shown{}))
			if diff != "" {
				t.Error(diff)
			}
		}
	}
	other := request()
	other.Delivery = "d1.r8.push"
	_, err := s.Send(t.Context(), other)
	if err != nil || len(f.shown["phone"]) != 2 {
		t.Errorf("another delivery's notification replaces the first's (%s), %v", collapse, err)
	}
	if strings.Contains(collapse, "d1") || strings.Contains(collapse, "r7") {
		t.Errorf("the collapse key %q says what it is made of", collapse)
	}
}

func TestNobodyIsTold(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	resp, err := newServer(t, f, with(), quiet()).Send(t.Context(), request())
	if err != nil || resp.GetNotified() != 0 {
		t.Errorf("without devices: %v, %v", resp, err)
	}
	unconfigured, err := push.New(push.DefaultConfig(), push.Deps{Directory: with(), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	resp, err = unconfigured.Send(t.Context(), request())
	if err != nil || resp.GetNotified() != 0 {
		t.Errorf("without devices and credentials: %v, %v", resp, err)
	}
	unconfigured, err = push.New(push.DefaultConfig(), push.Deps{Directory: with("phone"), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = unconfigured.Send(t.Context(), request())
	want(t, err, outcome{Reason: "PUSH_NOT_CONFIGURED"})
	err = unconfigured.Close()
	if err != nil {
		t.Error(err)
	}
	_, err = newServer(t, f, with(""), quiet()).Send(t.Context(), request())
	want(t, err, outcome{Reason: "KEY_UNKNOWN"})
	down := with("phone")
	down.err = fault.New(fault.Unavailable, "UNAVAILABLE", "a part of Filigree did not answer; try again")
	_, err = newServer(t, f, down, quiet()).Send(t.Context(), request())
	want(t, err, outcome{Reason: "UNAVAILABLE", Transient: true})
	if len(f.asked()) != 0 || f.issued != 0 {
		t.Errorf("devices %q were told, %d access tokens asked for", f.asked(), f.issued)
	}
}

// outcome is what a failure means to the orchestrator.
type outcome struct {
	Reason     string
	Transient  bool
	Throttled  bool
	RetryAfter time.Duration
}

func want(t *testing.T, err error, w outcome) {
	t.Helper()
	if err == nil {
		t.Errorf("it succeeded, want %s", w.Reason)
		return
	}
	f := fault.From(err)
	got := outcome{Reason: f.Reason, Transient: f.Transient(), Throttled: f.Kind == fault.Exhausted, RetryAfter: f.RetryAfter}
	diff := cmp.Diff(w, got)
	if diff != "" || f.Uncertain {
		t.Errorf("%v:\n%s", f, diff)
	}
}

func later(seconds string) http.Header { return http.Header{"Retry-After": {seconds}} }

func (a answer) with(h http.Header) answer {
	a.header = h
	return a
}

// Every error code that FCM's reference lists, and what stands between it and us.
func TestEveryErrorCode(t *testing.T) {
	t.Parallel()
	const badToken = `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.token","description":"Invalid registration token"}]}`
	const badText = `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.notification.body","description":"too long"}]}`
	const apns = `{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":403,"reason":"InvalidProviderToken"}`
	rejected := outcome{Reason: "PUSH_REJECTED"}
	unavailable := outcome{Reason: "PUSH_UNAVAILABLE", Transient: true}
	auth := outcome{Reason: "PUSH_AUTH", Transient: true, RetryAfter: 7 * time.Second}
	throttled := func(after time.Duration) outcome {
		return outcome{Reason: "PUSH_THROTTLED", Transient: true, Throttled: true, RetryAfter: after}
	}
	for name, c := range map[string]struct {
		answer answer
		want   outcome // empty: a success
		gone   bool
	}{
		"UNSPECIFIED_ERROR":                {refuse(500, "UNKNOWN", "UNSPECIFIED_ERROR"), unavailable, false},
		"INVALID_ARGUMENT":                 {refuse(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", badText), rejected, false},
		"INVALID_ARGUMENT without details": {refuse(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), rejected, false},
		"INVALID_ARGUMENT: never a token":  {refuse(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", badToken), outcome{}, true},
		"INVALID_ARGUMENT: token and text": {refuse(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", badToken, badText), rejected, false},
		"UNREGISTERED":                     {refuse(404, "NOT_FOUND", "UNREGISTERED"), outcome{}, true},
		"SENDER_ID_MISMATCH":               {refuse(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), rejected, false},
		"QUOTA_EXCEEDED":                   {refuse(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED").with(later("90")), throttled(90 * time.Second), false},
		"QUOTA_EXCEEDED without a time":    {refuse(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), throttled(7 * time.Second), false},
		"QUOTA_EXCEEDED until doomsday":    {refuse(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED").with(later("99999999999999")), throttled(6 * time.Hour), false},
		"QUOTA_EXCEEDED with nonsense":     {refuse(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED").with(later("soon")), throttled(7 * time.Second), false},
		"QUOTA_EXCEEDED until yesterday":   {refuse(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED").with(later("Mon, 02 Jan 2006 15:04:05 GMT")), throttled(7 * time.Second), false},
		"UNAVAILABLE":                      {refuse(503, "UNAVAILABLE", "UNAVAILABLE"), unavailable, false},
		"UNAVAILABLE with a time":          {refuse(503, "UNAVAILABLE", "UNAVAILABLE").with(later("30")), outcome{Reason: "PUSH_UNAVAILABLE", Transient: true, RetryAfter: 30 * time.Second}, false},
		"INTERNAL":                         {refuse(500, "INTERNAL", "INTERNAL"), unavailable, false},
		"THIRD_PARTY_AUTH_ERROR":           {refuse(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", apns), auth, false},
		"a code of next year":              {refuse(418, "TEAPOT", "NOT_INVENTED"), unavailable, false},
		"our token is refused":             {answer{status: 401, body: `{"error":{"code":401,"status":"UNAUTHENTICATED","message":"x"}}`}, auth, false},
		"our account may not":              {answer{status: 403, body: `{"error":{"code":403,"status":"PERMISSION_DENIED","message":"x"}}`}, auth, false},
		"no such project":                  {answer{status: 404, body: `{"error":{"code":404,"status":"NOT_FOUND","message":"x"}}`}, rejected, false},
		"a proxy's 404":                    {answer{status: 404, body: `<html>UNREGISTERED`}, rejected, false},
		"a proxy's 429":                    {answer{status: 429, body: `slow down`}.with(later("3")), throttled(3 * time.Second), false},
		"a proxy's 502":                    {answer{status: 502, body: `<html>`}, unavailable, false},
		"a redirection":                    {answer{status: 307}.with(http.Header{"Location": {"/elsewhere"}}), unavailable, false},
		"well, and not in JSON":            {answer{status: 200, body: `<html>`}, unavailable, false},
		"well, and cut off":                {answer{status: 200, body: `{"name":`, cut: true}, unavailable, false},
		"refused, and cut off":             {answer{status: 404, body: `{"error":{"details":[`, cut: true}, rejected, false},
		"details of other types":           {answer{status: 500, body: `{"error":{"code":500,"details":[1,"UNREGISTERED",{"@type":3},{"errorCode":"UNREGISTERED"}]}}`}, unavailable, false},
		"a code that is none":              {refuse(500, "INTERNAL", `UNREGISTERED; <script>`), unavailable, false},
		"a sentence of a megabyte":         {answer{status: 500, body: `{"error":{"code":500,"message":"` + strings.Repeat("x", 3<<20) + `"}}`}, unavailable, false},
		"nothing until we give up":         {answer{hang: true}, unavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, d := newFake(t), with("phone")
			f.answers["phone"] = []answer{c.answer}
			resp, err := newServer(t, f, d, quiet()).Send(t.Context(), request())
			if c.want == (outcome{}) {
				if err != nil || resp.GetNotified() != 0 || resp.GetGone() != 1 {
					t.Errorf("got %v, %v, want it gone", resp, err)
				}
			} else {
				want(t, err, c.want)
			}
			if removed := slices.Contains(d.removed, "default/dev_phone"); removed != c.gone {
				t.Errorf("removed is %t, want %t", removed, c.gone)
			}
			if len(f.asked()) != 1 {
				t.Errorf("asked %d times, want once: retrying is the orchestrator's", len(f.asked()))
			}
			if message := fault.From(err); err != nil && (len(message.Message) > 600 || strings.Contains(message.Message, "<")) {
				t.Errorf("message %q", message.Message)
			}
		})
	}
}

func TestTheTokenServersAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer answer
		want   outcome
	}{
		"unknown account":  {answer{status: 400, body: `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`}, outcome{Reason: "PUSH_AUTH", Transient: true, RetryAfter: 7 * time.Second}},
		"disabled account": {answer{status: 401, body: `{"error":"invalid_client"}`}, outcome{Reason: "PUSH_AUTH", Transient: true, RetryAfter: 7 * time.Second}},
		"throttled":        {answer{status: 429}.with(later("5")), outcome{Reason: "PUSH_THROTTLED", Transient: true, Throttled: true, RetryAfter: 5 * time.Second}},
		"in trouble":       {answer{status: 503, body: "x"}, outcome{Reason: "PUSH_UNAVAILABLE", Transient: true}},
		"talks nonsense":   {answer{status: 200, body: "<html>"}, outcome{Reason: "PUSH_UNAVAILABLE", Transient: true}},
		"does not answer":  {answer{hang: true}, outcome{Reason: "PUSH_UNAVAILABLE", Transient: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, d := newFake(t), with("phone")
			f.token = []answer{c.answer}
			s := newServer(t, f, d, quiet())
			_, err := s.Send(t.Context(), request())
			want(t, err, c.want)
			if len(f.asked()) != 0 || len(d.removed) != 0 {
				t.Errorf("asked %q, removed %q", f.asked(), d.removed)
			}
			resp, err := s.Send(t.Context(), request())
			if err != nil || resp.GetNotified() != 1 {
				t.Errorf("afterwards: %v, %v", resp, err)
			}
		})
	}
}

func TestSeveralDevicesMakeOneOutcome(t *testing.T) {
	t.Parallel()
	gone, mismatch := refuse(404, "NOT_FOUND", "UNREGISTERED"), refuse(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")
	quota, down := refuse(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED").with(later("9")), refuse(503, "UNAVAILABLE", "UNAVAILABLE")
	well := answer{status: 200, body: "{}"}
	for name, c := range map[string]struct {
		answers        []answer
		notified, gone int32
		want           outcome
	}{
		"one is gone":                {answers: []answer{gone, well, well}, notified: 2, gone: 1},
		"all are gone":               {answers: []answer{gone, gone}, gone: 2},
		"one is refused":             {answers: []answer{well, mismatch}, notified: 1},
		"one is gone, one refused":   {answers: []answer{gone, mismatch}, want: outcome{Reason: "PUSH_REJECTED"}},
		"one is to be told later":    {answers: []answer{well, down}, want: outcome{Reason: "PUSH_UNAVAILABLE", Transient: true}},
		"throttled counts the most":  {answers: []answer{down, quota, mismatch, gone}, want: outcome{Reason: "PUSH_THROTTLED", Transient: true, Throttled: true, RetryAfter: 9 * time.Second}},
		"later goes before for good": {answers: []answer{mismatch, down}, want: outcome{Reason: "PUSH_UNAVAILABLE", Transient: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, d := newFake(t), with()
			for i, a := range c.answers {
				token := fmt.Sprintf("device-%d", i)
				f.answers[token] = []answer{a}
				d.devices = append(d.devices, with(token).devices...)
			}
			resp, err := newServer(t, f, d, quiet()).Send(t.Context(), request())
			if c.want != (outcome{}) {
				want(t, err, c.want)
				return
			}
			if err != nil || resp.GetNotified() != c.notified || resp.GetGone() != c.gone {
				t.Errorf("got %v, %v, want %d notified and %d gone", resp, err, c.notified, c.gone)
			}
		})
	}
}

// A hundred devices are not tried when the first answers say that it is of no use.
func TestAnAnswerForAllStopsTheRest(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), with()
	for i := range 100 {
		token := fmt.Sprintf("device-%d", i)
		f.answers[token] = []answer{refuse(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED").with(later("9"))}
		d.devices = append(d.devices, with(token).devices...)
	}
	_, err := newServer(t, f, d, quiet()).Send(t.Context(), request())
	want(t, err, outcome{Reason: "PUSH_THROTTLED", Transient: true, Throttled: true, RetryAfter: 9 * time.Second})
	if n := len(f.asked()); n > 8 {
		t.Errorf("asked for %d devices, want no more than were under way", n)
	}
}

func TestWhoGivesUpIsNotKeptWaiting(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), with("phone")
	f.answers["phone"] = []answer{{hang: true}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := newServer(t, f, d, quiet()).Send(ctx, request())
	want(t, err, outcome{Reason: "TIMEOUT", Transient: true})
	if took := time.Since(start); took > 900*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}

func TestNoTokenIsToldOrLogged(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), with("registration-canary", "second-canary")
	f.answers["registration-canary"] = []answer{refuse(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")}
	f.answers["second-canary"] = []answer{{hang: true}}
	var mu sync.Mutex
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return logged.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	_, err := newServer(t, f, d, log).Send(t.Context(), request())
	want(t, err, outcome{Reason: "PUSH_UNAVAILABLE", Transient: true})
	said := logged.String() + err.Error() + fault.From(err).GRPCStatus().String()
	if !strings.Contains(said, "device not notified") {
		t.Errorf("nothing was logged: %s", said)
	}
	for _, secret := range []string{"canary", bearer, "PRIVATE KEY"} {
		if strings.Contains(strings.ReplaceAll(said, "dev_", ""), secret) {
			t.Errorf("%q is in %s", secret, said)
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// Through the interceptors: only services may send, and what the proto forbids is refused.
func TestCallers(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	srv := rpc.NewServer(quiet())
	newServer(t, f, with("phone"), quiet()).Register(srv)
	connect, stop := rpc.InProcess(srv)
	t.Cleanup(stop)
	conn, err := connect("orchestrator")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := pushv1.NewPushServiceClient(conn)
	resp, err := client.Send(t.Context(), request())
	if err != nil || resp.GetNotified() != 1 {
		t.Errorf("got %v, %v", resp, err)
	}
	bad := request()
	bad.Title = ""
	_, err = client.Send(t.Context(), bad)
	want(t, err, outcome{Reason: "INVALID"})
}
