package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

// stream is an answer that is an event stream.
func stream(text string) answer {
	return answer{status: 200, header: http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}, body: text}
}

// follow follows until a distribution is completed, and returns the states that were seen, and what was lost between.
func follow(ctx context.Context, t *testing.T, a *answers) (states []string, err error) {
	t.Helper()
	seen := func(d *distributionv1.Distribution, raw json.RawMessage) bool {
		if !strings.Contains(string(raw), d.GetState()) {
			t.Errorf("seen %v as %s", d, raw)
		}
		states = append(states, d.GetState())
		return d.GetState() == "completed"
	}
	err = client(t, a).Follow(ctx, "p", "D1", seen, func(error) { states = append(states, "lost") })
	return states, err
}

var refused = &net.OpError{Op: "dial", Err: errors.New("connection refused")}

func TestFollow(t *testing.T) {
	running := "id: 7\nevent: distribution\ndata: {\"state\":\"running\"}\n\n"
	completed := "id: 9\r\nevent: distribution\r\ndata: {\"state\":\r\ndata: \"completed\"}\r\n\r\n"
	get := answer{status: 200, body: `{"state":"paused"}`}
	for name, test := range map[string]struct {
		play  []answer
		want  []string
		after []string // Last-Event-ID of each request for the stream
		err   string
	}{
		"one stream tells it all": {
			play: []answer{stream(":\n\n" + running + ":\n\nevent: news\ndata: x\n\nretry: 5\n" + completed)},
			want: []string{"running", "completed"}, after: []string{""},
		},
		"the server says that nothing more comes": {
			play: []answer{stream(running + "event: end\ndata: {}\n\n")},
			want: []string{"running"}, after: []string{""},
		},
		"a broken stream goes on after the last whole event": {
			play: []answer{stream(running + "id: 8\nevent: distribution\ndata: {\"state\":\"comp"), get, stream(completed)},
			want: []string{"running", "lost", "paused", "completed"}, after: []string{"", "7"},
		},
		"there was nothing more after it": {
			play: []answer{stream(running), get, {status: 204}},
			want: []string{"running", "lost", "paused"}, after: []string{"", "7"},
		},
		"the server restarts": {
			play: []answer{stream(running), {err: refused}, {err: refused}, {status: 503}, {err: io.ErrUnexpectedEOF}, get, {status: 502}, get, stream(completed)},
			want: []string{"running", "lost", "lost", "lost", "lost", "lost", "paused", "lost", "paused", "completed"}, after: []string{"", "7", "7"},
		},
		"the one question finds the end": {
			play: []answer{{err: io.ErrUnexpectedEOF}, {status: 200, body: `{"state":"completed"}`}},
			want: []string{"lost", "completed"}, after: []string{""},
		},
		"a refusal ends it": {
			play:  []answer{{status: 404, body: `{"error":{"code":"DISTRIBUTION_UNKNOWN","message":"no"}}`}},
			after: []string{""}, err: "no (DISTRIBUTION_UNKNOWN)",
		},
		"so does one of the question": {
			play: []answer{stream(running), {status: 401, body: `{"error":{"code":"TOKEN_UNKNOWN","message":"no"}}`}},
			want: []string{"running", "lost"}, after: []string{""}, err: "no (TOKEN_UNKNOWN)",
		},
		"somebody else's page": {
			play: []answer{{status: 200, body: "<html>"}}, after: []string{""}, err: "the server's answer cannot be read",
		},
		"an event that is none of ours": {
			play: []answer{stream("event: distribution\ndata: <html>\n\n")}, after: []string{""}, err: "the server's answer cannot be read",
		},
		"a line without end": {
			play: []answer{stream("data: " + strings.Repeat("x", 5<<20))}, after: []string{""}, err: "the server's answer cannot be read",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{play: test.play}
				got, err := follow(t.Context(), t, a)
				if (err == nil) != (test.err == "") || err != nil && !strings.HasPrefix(err.Error(), test.err) {
					t.Errorf("Follow = %v, want %q", err, test.err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("seen (-want +got):\n%s", diff)
				}
				if len(a.asked) != len(test.play) {
					t.Errorf("%d requests, want %d", len(a.asked), len(test.play))
				}
				var after []string
				for _, r := range a.asked {
					if strings.HasSuffix(r.URL.Path, "/distributions/D1/watch") {
						after = append(after, r.Header.Get("Last-Event-ID"))
					}
				}
				if diff := cmp.Diff(test.after, after); diff != "" {
					t.Errorf("went on after (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestFollowGivesASilentStreamUp lets connections hang, as they do when a machine between is gone.
func TestFollowGivesASilentStreamUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		a := &answers{play: []answer{{hang: true}, {status: 200, body: `{"state":"completed"}`}}}
		states, err := follow(t.Context(), t, a)
		took := time.Since(start)
		if err != nil || len(states) != 2 || took < 45*time.Second || took > 46*time.Second {
			t.Errorf("Follow = %v, %v after %s", states, err, took)
		}
	})
}

// TestFollowPausesMoreAndMore keeps a client from hammering a server that is not there, and ends with its context.
func TestFollowPausesMoreAndMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		a := &answers{play: []answer{{err: refused}}}
		_, err := follow(ctx, t, a)
		if !errors.Is(err, context.DeadlineExceeded) || len(a.asked) < 120 || len(a.asked) > 250 {
			t.Errorf("Follow = %v after %d requests in 10 minutes", err, len(a.asked))
		}
	})
}

// TestWhatSendsAgainIsNotRepeated: each call is a mail.
func TestWhatSendsAgainIsNotRepeated(t *testing.T) {
	a := &answers{play: []answer{{err: io.ErrUnexpectedEOF}}}
	c := client(t, a)
	_, _, err := c.Resend(t.Context(), "p", "D1", "D1.r7", "a@example.com", "")
	var gone *api.UnreachableError
	if !errors.As(err, &gone) || len(a.asked) != 1 || a.asked[0].URL.RequestURI() != "/v1/productions/p/distributions/D1/recipients/D1.r7:resend" {
		t.Errorf("Resend = %v after %d requests", err, len(a.asked))
	}
	_, _, err = c.Retry(t.Context(), &distributionv1.RetryDistributionRequest{Production: "p", Distribution: "D1"})
	if err == nil || len(a.asked) != 2 {
		t.Errorf("Retry = %v after %d requests", err, len(a.asked)-1)
	}
}
