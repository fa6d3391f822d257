// Package notify tells people and programs of alerts: chat that speaks Slack's incoming webhooks, signed webhooks
// (Standard Webhooks 1.0), mail. Addresses are called by egress, which lets nobody reach what is not public.
package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/egress"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/webhook"
)

// Message is an alert as it is told.
type Message struct {
	ID, Rule, Title, Severity string
	State                     string // open resolved
	Sentence                  string
	Production, Subject       string
	Since                     time.Time
	Count                     int
	// URL is the alert's page of the console, About that of the distribution it is about; empty when there is none.
	URL, About string
}

// links are the pages to look at, in order.
func (m Message) links() []string {
	var out []string
	for _, address := range []string{m.URL, m.About} {
		if address != "" {
			out = append(out, address)
		}
	}
	return out
}

// Slack is the body for a Slack-compatible incoming webhook.
func Slack(m Message) []byte {
	// Slack reads &, < and > as its own; nothing that came from outside may call a channel together or hide an address.
	esc := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace
	sign := map[string]string{"page": "🔴", "warn": "🟠", "info": "🔵"}[m.Severity]
	if m.State == "resolved" {
		sign = "🟢"
	}
	lines := []string{sign + " *" + esc(m.Title) + "*" + map[bool]string{true: " (over)"}[m.State == "resolved"], esc(m.Sentence)}
	about := "since " + m.Since.UTC().Format("15:04:05 UTC")
	if m.Production != "" {
		about = esc(m.Production) + ", " + about
	}
	if m.Count > 1 {
		about += fmt.Sprintf(", %d times", m.Count)
	}
	lines = append(lines, about)
	for _, address := range m.links() {
		lines = append(lines, "<"+strings.NewReplacer("<", "%3C", ">", "%3E", "|", "%7C", "&", "&amp;").Replace(address)+">")
	}
	text := strings.Join(lines, "\n")
	body, _ := json.Marshal(map[string]any{"text": text, "unfurl_links": false}) // strings always marshal
	return body
}

// Generic is the body for a program.
func Generic(m Message, now time.Time) []byte {
	body, _ := json.Marshal(map[string]any{ // strings and numbers always marshal
		"type": "alert." + m.State, "timestamp": now.UTC().Format(time.RFC3339Nano),
		"data": map[string]any{"id": m.ID, "rule": m.Rule, "title": m.Title, "severity": m.Severity, "state": m.State, "sentence": m.Sentence,
			"production": m.Production, "subject": m.Subject, "since": m.Since.UTC().Format(time.RFC3339Nano), "count": m.Count,
			"url": m.URL, "distribution_url": m.About},
	})
	return body
}

// Caller calls webhooks.
type Caller struct {
	Egress *egress.Client
	Now    func() time.Time
}

// Slack sends m to a chat.
func (c Caller) Slack(ctx context.Context, address string, m Message) error {
	return c.post(ctx, address, http.Header{"Content-Type": {"application/json"}}, Slack(m))
}

// Webhook sends m to a program, signed. The id stays the same however often it is tried, so that whoever hears it twice
// can tell.
func (c Caller) Webhook(ctx context.Context, address string, secrets webhook.Secrets, m Message) error {
	now := c.Now()
	body := Generic(m, now)
	header := http.Header{"Content-Type": {"application/json"}}
	id := "msg_" + m.ID + "_" + m.State
	stamp := strconv.FormatInt(now.Unix(), 10)
	signature, err := secrets.Sign(id, stamp, body, now)
	if err != nil {
		return fault.New(fault.Invalid, "WEBHOOK_SECRET_BAD", "the credential is no webhook secret; write whsec_ and at least 16 bytes in base64")
	}
	header["webhook-id"], header["webhook-timestamp"], header["webhook-signature"] = []string{id}, []string{stamp}, []string{signature}
	return c.post(ctx, address, header, body)
}

func (c Caller) post(ctx context.Context, address string, header http.Header, body []byte) error {
	a, err := c.Egress.Post(ctx, address, header, body)
	if err != nil {
		return err
	}
	switch {
	case a.Status >= 200 && a.Status < 300:
		return nil
	case a.Status == http.StatusTooManyRequests || a.Status >= 500:
		return fault.New(fault.Unavailable, "WEBHOOK_REFUSED", "it answered %d: %s", a.Status, brief(a.Body))
	}
	return fault.New(fault.Invalid, "WEBHOOK_REFUSED", "it answered %d: %s; the rule's address, or its secret, must be mended", a.Status, brief(a.Body))
}

// brief is the beginning of an answer, in one line.
func brief(body []byte) string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body), "")), " ")
	if len(text) > 120 {
		text = text[:120] + "…"
	}
	return text
}

// Mail is the subject and the text of a mail.
func Mail(m Message) (subject, text string) {
	over := ""
	if m.State == "resolved" {
		over = "Over: "
	}
	subject = strings.Join(strings.Fields(over+m.Title), " ")
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nsince %s", m.Sentence, m.Since.UTC().Format("2006-01-02 15:04:05 UTC"))
	if m.Count > 1 {
		fmt.Fprintf(&b, ", %d times", m.Count)
	}
	if m.Production != "" {
		fmt.Fprintf(&b, "\nproduction %s", m.Production)
	}
	for _, address := range m.links() {
		fmt.Fprintf(&b, "\n%s", address)
	}
	fmt.Fprintf(&b, "\n\nrule %s, alert %s\n", m.Rule, m.ID)
	return subject, b.String()
}
