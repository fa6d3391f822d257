package notify_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/egress"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/webhook"
	"github.com/filigreehq/filigree/services/observer/internal/notify"
)

var message = notify.Message{ID: "a1", Rule: "refused", Title: "Mail is refused", Severity: "page", State: "open",
	Sentence: "12 people wait: <!channel> example.com & others refuse", Production: "lamp", Since: time.Date(2026, 11, 26, 14, 3, 7, 0, time.UTC), Count: 12}

func caller(now time.Time) notify.Caller {
	return notify.Caller{Egress: egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}), Now: func() time.Time { return now }}
}

// What comes from outside stands in a chat as text: it calls nobody and links nowhere.
func TestSlackIsToldInPlainWords(t *testing.T) {
	t.Parallel()
	var body struct{ Text string }
	err := json.Unmarshal(notify.Slack(message), &body)
	want := "🔴 *Mail is refused*\n12 people wait: &lt;!channel&gt; example.com &amp; others refuse\nlamp, since 14:03:07 UTC, 12 times"
	if err != nil || body.Text != want {
		t.Errorf("got\n%s\nwant\n%s\n%v", body.Text, want, err)
	}
}

// An alert leads to where it can be looked at, if there is such a place.
func TestAlertsSayWhereToLook(t *testing.T) {
	t.Parallel()
	m := message
	m.URL, m.About = "https://studio.example/app/alerts/a1", "https://studio.example/app/p/lamp/d/D1"
	var body struct{ Text string }
	err := json.Unmarshal(notify.Slack(m), &body)
	if err != nil || !strings.HasSuffix(body.Text, "12 times\n<https://studio.example/app/alerts/a1>\n<https://studio.example/app/p/lamp/d/D1>") {
		t.Errorf("chat is told %q, %v", body.Text, err)
	}
	if text := string(notify.Generic(m, time.Now())); !strings.Contains(text, `"url":"https://studio.example/app/alerts/a1"`) ||
		!strings.Contains(text, `"distribution_url":"https://studio.example/app/p/lamp/d/D1"`) {
		t.Errorf("a program is told %s", text)
	}
	_, text := notify.Mail(m)
	if !strings.Contains(text, "\nhttps://studio.example/app/alerts/a1\nhttps://studio.example/app/p/lamp/d/D1\n\nrule") {
		t.Errorf("a mail says %s", text)
	}
	_, text = notify.Mail(message)
	if strings.Contains(text, "http") {
		t.Errorf("without a console a mail says %s", text)
	}
}

func TestWebhooksAreSignedByEverySecretInUse(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old := webhook.New()
	secrets := old.Rotate(now)
	var ids []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id, stamp, signature := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), r.Header.Get("webhook-signature")
		ids = append(ids, id)
		if !old.Signed(id, stamp, body, signature, now) || !secrets.Signed(id, stamp, body, signature, now) || !webhook.Fresh(stamp, now) {
			w.WriteHeader(http.StatusUnauthorized)
		}
		if !strings.Contains(string(body), `"type":"alert.open"`) {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(srv.Close)
	for range 2 {
		err := caller(now).Webhook(t.Context(), srv.URL, secrets, message)
		if err != nil {
			t.Error(err)
		}
	}
	if len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("the ids are %q", ids)
	}
}

func TestWhatAnAnswerMeans(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]fault.Kind{http.StatusNotFound: fault.Invalid, http.StatusTooManyRequests: fault.Unavailable, http.StatusBadGateway: fault.Unavailable, http.StatusFound: fault.Invalid} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("no\n  service"))
		}))
		err := caller(time.Now()).Slack(t.Context(), srv.URL, message)
		f := fault.From(err)
		if err == nil || f.Kind != want || f.Reason != "WEBHOOK_REFUSED" || !strings.Contains(f.Message, "no service") {
			t.Errorf("%d: %v", status, err)
		}
		srv.Close()
	}
}
