package e2e_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A mail is refused: chat and mail say so, once, and `filigree alerts` says what was done.
func TestAlertsReachPeople(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told []string
	chat := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		told = append(told, string(body))
	}))
	t.Cleanup(chat.Close)
	server := serveMail(t, map[string][]turn{"ada@example.com": {{rcpt: "550 5.1.1 no such person here"}}})
	d := startDrill(t, "--smtp", server.url(), "--from", "office@example.com", "--observer-egress-open", "127.0.0.0/8")
	d.to("Ada Lovelace <ada@example.com>", "Bob Hope <bob@example.com>")
	d.run("rule", "apply", d.write("rules.yaml", `
- name: refused
  title: A mail is refused
  on: event
  when: kind == "attempt" && state == "failed" && code.startsWith("EMAIL_")
  severity: page
  sentence: "{title}: {code}: {message}"
  actions:
  - slack: `+chat.URL+`
  - mail: [oncall@example.com]
`))
	id := d.send()
	await(t, 2*time.Minute, "chat is told", func() (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		return len(told) > 0 && strings.Contains(told[0], "EMAIL_REJECTED"), errors.New(strings.Join(told, "\n"))
	})
	d.await("mail done", "alerts")
	d.says([]string{"A mail is refused", "slack done", "page, open"}, "alerts")
	if n := server.attempts("oncall@example.com"); n != 1 {
		t.Errorf("on-call got %d mails, want 1", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 1 {
		t.Errorf("chat was told %d times of one thing (distribution %s): %q", len(told), id, told)
	}
}
