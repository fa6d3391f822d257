package observer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/webhook"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/notify"
	"github.com/filigreehq/filigree/services/observer/internal/rule"
)

// act does one thing about an alert, and notes what came of it. What fails for now is tried again, later and later.
func (s *Server) act(ctx context.Context, j job) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	word, err := s.perform(ctx, j)
	now := s.deps.Now()
	v := s.vigil
	v.mu.Lock()
	k := v.alerts[j.alert.ID]
	if k == nil {
		v.mu.Unlock()
		return // forgotten meanwhile
	}
	i := slices.IndexFunc(k.Todo, func(t todo) bool { return t.ID == j.todo.ID })
	if i < 0 {
		v.mu.Unlock()
		return
	}
	t := &k.Todo[i]
	t.Tries++
	t.doing = false
	said := done{Time: now, Action: word, Tries: t.Tries}
	if err != nil {
		said.Error = fault.From(err).Message
	}
	if err != nil && fault.Transient(err) && t.Tries < tries {
		t.Next = now.Add(min(5*time.Second<<(t.Tries-1), 30*time.Minute))
	} else {
		k.Todo = slices.Delete(k.Todo, i, i+1)
	}
	// Of tries of one thing the last is kept.
	same := func(d done) bool { return d.Action == word && d.Tries == t.Tries-1 && d.Error != "" && said.Tries > 1 }
	k.Done = append(slices.DeleteFunc(k.Done, same), said)
	v.unkept[k.ID] = true
	v.mu.Unlock()
	if err != nil {
		s.deps.Log.WarnContext(ctx, "an alert's action failed", "alert", j.alert.ID, "rule", j.alert.Rule, "action", word, "try", said.Tries, "err", err)
	}
	err = s.keep(context.WithoutCancel(ctx))
	if err != nil {
		s.deps.Log.WarnContext(ctx, "what was done about an alert is kept by this observer only", "alert", j.alert.ID, "err", err)
	}
}

// perform does it, and says what in a word.
func (s *Server) perform(ctx context.Context, j job) (string, error) {
	a, about := j.todo.Action, j.alert
	text := func(field string) string { v, _ := about.Row[field].(string); return v }
	ctx = itself(ctx)
	m := notify.Message{ID: about.ID, Rule: about.Rule, Title: about.Title, Severity: about.Severity, State: "open", Sentence: about.Sentence,
		Production: about.Production, Subject: about.Group, Since: about.Since, Count: about.Count}
	if j.todo.Over {
		m.State = "resolved"
	}
	m.URL = s.page("alerts", m.ID)
	d := text("distribution")
	if _, whole := about.Row["title"]; whole && d == "" {
		d = text("id") // it is about a distribution itself
	}
	if d != "" && text("production") != "" {
		m.About = s.page("p", text("production"), "d", d)
	}
	switch {
	case a.Slack != nil:
		return "slack", s.caller.Slack(ctx, a.Slack.URL, m)
	case a.Webhook != nil:
		secret, err := s.secret(ctx, a.Webhook.Credential)
		if err != nil {
			return "webhook", err
		}
		return "webhook", s.caller.Webhook(ctx, a.Webhook.URL, secret, m)
	case len(a.Mail) > 0:
		return "mail", s.mail(ctx, a.Mail, m)
	case a.Retry:
		_, err := s.ActOnFailures(ctx, &observerv1.ActOnFailuresRequest{Production: text("production"), Distribution: text("distribution"),
			Fingerprint: text("fingerprint"), Action: "retry"})
		return "retry", err
	case a.Start != nil:
		return "start", s.startFor(ctx, a.Start, about)
	}
	var err error
	switch a.Pause {
	case "distribution":
		_, err = s.deps.Distributions.PauseDistribution(ctx, &distributionv1.PauseDistributionRequest{Production: text("production"), Distribution: cmp.Or(text("distribution"), text("id"))})
	case "production":
		_, err = s.deps.Control.PauseProduction(ctx, &controlv1.PauseProductionRequest{Production: text("production")})
	case "function":
		_, err = s.deps.Control.PauseFunction(ctx, &controlv1.PauseFunctionRequest{Function: cmp.Or(text("function"), text("name"))})
	default:
		err = fault.New(fault.Invalid, "ACTION_UNKNOWN", "the rule's action is none that this version knows")
	}
	return "pause", err
}

// page is the address of a page of the console; empty when nobody said where that is.
func (s *Server) page(parts ...string) string {
	if s.cfg.PublicURL == "" {
		return ""
	}
	address := strings.TrimSuffix(s.cfg.PublicURL, "/") + "/app"
	for _, p := range parts {
		address += "/" + url.PathEscape(p)
	}
	return address
}

// secret opens the studio's credential that a webhook is signed with.
func (s *Server) secret(ctx context.Context, name string) (webhook.Secrets, error) {
	resp, err := s.deps.Credentials.OpenCredential(ctx, &credentialv1.OpenCredentialRequest{Name: name})
	if err != nil {
		return webhook.Secrets{}, err
	}
	secrets, err := webhook.Parse(resp.GetSecret())
	if err != nil {
		return webhook.Secrets{}, fault.New(fault.Invalid, "WEBHOOK_SECRET_BAD", "credential %s is no webhook secret; write whsec_ and at least 16 bytes in base64", name)
	}
	return secrets, nil
}

func (s *Server) mail(ctx context.Context, to []string, m notify.Message) error {
	if s.deps.Email == nil {
		return fault.New(fault.Invalid, "MAIL_OFF", "this observer knows no email service; start it with --email")
	}
	subject, body := notify.Mail(m)
	var later, never []error
	for _, address := range to {
		// The Message-ID comes of the delivery: of mails that come twice a mailbox shows one.
		_, err := s.deps.Email.Send(ctx, &emailv1.SendRequest{Production: cmp.Or(m.Production, "studio"), Delivery: fmt.Sprintf("%s.%s.%08x", m.ID, m.State, crc32.ChecksumIEEE([]byte(address))),
			To: &emailv1.Address{Email: address}, Subject: subject, Text: body})
		if fault.Transient(err) {
			later = append(later, err)
		} else {
			never = append(never, err)
		}
	}
	// The first says whether it is tried again.
	return errors.Join(slices.Concat(later, never)...)
}

// startFor starts a definition. Done twice it starts once: the key is the alert's.
func (s *Server) startFor(ctx context.Context, st *rule.Start, about rule.Alert) error {
	req := &distributionv1.CreateDistributionRequest{}
	text := rule.FillJSON(st.Request, about.Row)
	if strings.TrimSpace(text) != "" {
		err := protojson.Unmarshal([]byte(text), req)
		if err != nil {
			return fault.New(fault.Invalid, "ACTION_REQUEST_INVALID", "the rule's request is not that of a distribution: %v", err)
		}
	}
	req.Production, req.Definition, req.IdempotencyKey = st.Production, st.Definition, "alert-"+about.ID
	_, err := s.deps.Distributions.CreateDistribution(ctx, req)
	return err
}
