package email_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/email"
)

func TestMain(m *testing.M) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		err := os.Setenv(name, value)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// setupSES is setup with Amazon SES, which answers with answer, or an id if that is nil.
func setupSES(t *testing.T, r *relay, answer http.HandlerFunc) bundle {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var body struct {
			Destination struct{ ToAddresses []string }
			Content     struct{ Raw struct{ Data []byte } }
		}
		err := json.NewDecoder(req.Body).Decode(&body)
		if err != nil {
			t.Error(err)
		}
		if answer != nil {
			answer(w, req)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.to, r.mails = append(r.to, body.Destination.ToAddresses...), append(r.mails, string(body.Content.Raw.Data))
		_, _ = io.WriteString(w, `{"MessageId":"0102-a"}`) // the client may have gone
	}))
	t.Cleanup(s.Close)
	blobs, err := blob.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	cfg := email.Config{
		SMTP: email.URL("ses://eu-central-1?endpoint=" + url.QueryEscape(s.URL)), From: "copies@films.example",
		RetryAfter: 7 * time.Second, MaxSize: 64 << 20, DataTimeout: 150 * time.Millisecond, DotTimeout: 150 * time.Millisecond,
	}
	if answer == nil {
		cfg.DotTimeout = time.Minute
	}
	server, err := email.New(cfg, email.Deps{Blobs: blobs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return bundle{server: server, relay: r, blobs: blobs, cfg: cfg}
}

func TestSESGetsTheSameMail(t *testing.T) {
	t.Parallel()
	b := setupSES(t, &relay{}, nil)
	o, first := b.runTask(t, 1, "", taskv1.Verdict_VERDICT_OK)
	_, second := b.runTask(t, 2, "dot", taskv1.Verdict_VERDICT_OK)
	diff := cmp.Diff([]string{"dot"}, o.checkpoints) + cmp.Diff([]string{"ada@example.com", "ada@example.com"}, b.relay.to)
	if diff != "" {
		t.Fatal(diff)
	}
	if !strings.Contains(first.GetOutputJson(), "0102-a") || strings.Contains(first.GetOutputJson(), `"maybe_duplicate":true`) || !strings.Contains(second.GetOutputJson(), `"maybe_duplicate":true`) {
		t.Errorf("first %v, second %v", first, second)
	}
	for i, want := range []string{"", "2"} {
		msg, err := mail.ReadMessage(strings.NewReader(b.relay.mails[i]))
		if err != nil {
			t.Fatal(err)
		}
		if msg.Header.Get("X-Filigree-Attempt") != want || msg.Header.Get("To") == "" {
			t.Errorf("headers of mail %d: %v", i, msg.Header)
		}
	}
	for _, verdict := range []taskv1.Verdict{taskv1.Verdict_VERDICT_FENCED, taskv1.Verdict_VERDICT_CANCELLED} {
		o, r := b.runTask(t, 1, "", verdict)
		if len(o.checkpoints) != 1 || r.GetOutputJson() != "" || len(b.relay.mails) != 2 {
			t.Errorf("%v: checkpoints %q, result %v, %d mails", verdict, o.checkpoints, r, len(b.relay.mails))
		}
	}
}

func TestWhatWentWrongWithSESIsSaid(t *testing.T) {
	t.Parallel()
	type want struct {
		Reason, Delivery     string
		Transient, Uncertain bool
		RetryAfter           time.Duration
	}
	const after = 7 * time.Second
	for code, c := range map[string]struct {
		status int
		want   want
	}{
		"MessageRejected":                    {400, want{Reason: "EMAIL_REJECTED", Delivery: "blocked"}},
		"BadRequestException":                {400, want{Reason: "EMAIL_REJECTED", Delivery: "bounced"}},
		"TooManyRequestsException":           {429, want{Reason: "EMAIL_DEFERRED", Transient: true, RetryAfter: after}},
		"MailFromDomainNotVerifiedException": {400, want{Reason: "EMAIL_SENDER", Transient: true, RetryAfter: after}},
		"AccountSuspendedException":          {400, want{Reason: "EMAIL_SUSPENDED"}},
		"AccessDeniedException":              {403, want{Reason: "EMAIL_AUTH", Transient: true, RetryAfter: after}},
		"":                                   {413, want{Reason: "EMAIL_TOO_BIG", Delivery: "bounced"}},
		"silence":                            {0, want{Reason: "EMAIL_UNCERTAIN", Transient: true, Uncertain: true}},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			b := setupSES(t, &relay{}, func(w http.ResponseWriter, r *http.Request) {
				if c.status == 0 {
					<-r.Context().Done()
					return
				}
				if code != "" {
					w.Header().Set("X-Amzn-Errortype", code)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, `{"message":"words of Amazon's"}`) // the client may have gone
			})
			_, err := b.server.Send(t.Context(), request())
			f := fault.From(err)
			if f == nil {
				t.Fatal("accepted")
			}
			diff := cmp.Diff(c.want, want{f.Reason, f.Delivery, f.Transient(), f.Uncertain, f.RetryAfter})
			if diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
	b := setupSES(t, &relay{}, nil)
	req := request()
	req.To.Email = "zoë@example.com"
	_, err := b.server.Send(t.Context(), req)
	if f := fault.From(err); f == nil || f.Reason != "EMAIL_ADDRESS_UNSUPPORTED" {
		t.Errorf("got %v", err)
	}
}

func TestURLsOfSES(t *testing.T) {
	t.Parallel()
	for u, want := range map[string]string{
		"ses://eu-central-1":                                        "",
		"ses://eu-central-1?configuration-set=copies":               "",
		"ses://eu-central-1?endpoint=http%3A%2F%2F127.0.0.1%3A4566": "",
		"ses://eu-central-1?endpoint=https%3A%2F%2Fses.example":     "",
		"ses://eu-central-1?endpoint=http%3A%2F%2Fses.example":      "in plain text",
		"ses://eu-central-1?endpoint=ses.example":                   "does not look like",
		"ses://":                                 "names no region",
		"ses://email.eu-central-1.amazonaws.com": "names no region",
		"ses://eu-central-1/x":                   "names no region",
		"ses://AKIA:s3cret@eu-central-1":         "never in the URL",
		"ses://eu-central-1?colour=green":        "is not known",
		"ses://eu-central-1?starttls=never":      "is not known",
	} {
		s, err := email.New(email.Config{SMTP: email.URL(u), From: "a@example.com"}, email.Deps{})
		if err == nil {
			_ = s.Close() // it has nothing to close
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: got %v, want %q", u, err, want)
		}
	}
	err := email.Config{SMTP: "ses://eu-central-1", SMTPPassword: "s3cret"}.Validate()
	if err == nil || !strings.Contains(err.Error(), "smtp-password:") || !strings.Contains(err.Error(), "from:") {
		t.Errorf("got %v", err)
	}
}
