package observer

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/rule"
)

// mayRule says whether the caller may have a rule like r: one that looks at all productions, or acts in another than its own,
// is for who may act in all. A rule acts as the observer does, not as whoever made it.
func mayRule(ctx context.Context, r rule.Rule) error {
	productions := slices.Clone(r.Productions)
	for _, a := range r.Actions {
		if a.Start != nil {
			productions = append(productions, a.Start.Production)
		}
		if a.Pause == "function" {
			productions = append(productions, "*") // it stands still for all
		}
	}
	if len(r.Productions) == 0 {
		productions = append(productions, "*")
	}
	for _, p := range productions {
		if !rpc.MayActIn(ctx, p) {
			return fault.New(fault.Denied, "RULE_NOT_YOURS", "rule %s is about productions that you may not act in; name yours in productions", r.Name)
		}
	}
	return nil
}

// PutRule implements observerv1.AlertServiceServer.
func (s *Server) PutRule(ctx context.Context, req *observerv1.PutRuleRequest) (*observerv1.PutRuleResponse, error) {
	r := ruleOf(req.GetRule())
	r.Name = req.GetName()
	c, err := s.compile(r)
	if err == nil {
		err = s.mayReplace(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(c.Rule)
	if err != nil {
		return nil, err
	}
	err = s.store.PutRules(ctx, map[string]string{r.Name: string(text)})
	if err != nil {
		return nil, storeUnavailable(err)
	}
	s.deps.Log.InfoContext(ctx, "rule set", "rule", r.Name, "by", rpc.PrincipalFrom(ctx).GetSubject())
	return &observerv1.PutRuleResponse{Rule: ruleView(c.Rule)}, nil
}

// ApplyRules implements observerv1.AlertServiceServer.
func (s *Server) ApplyRules(ctx context.Context, req *observerv1.ApplyRulesRequest) (*observerv1.ApplyRulesResponse, error) {
	rules, err := rule.Parse(req.GetSource())
	var wrong *rule.Error
	if errors.As(err, &wrong) {
		return nil, fault.New(fault.Invalid, "RULE_INVALID", "%s", strings.Join(wrong.Problems, "\n"))
	}
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	resp := &observerv1.ApplyRulesResponse{}
	for _, r := range rules {
		c, err := s.compile(r.Rule)
		if err == nil {
			err = s.mayReplace(ctx, r.Rule)
		}
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(c.Rule)
		if err != nil {
			return nil, err
		}
		texts[c.Name] = string(text)
		resp.Rules = append(resp.Rules, ruleView(c.Rule))
	}
	err = s.store.PutRules(ctx, texts)
	if err != nil {
		return nil, storeUnavailable(err)
	}
	s.deps.Log.InfoContext(ctx, "rules set", "rules", len(texts), "by", rpc.PrincipalFrom(ctx).GetSubject())
	return resp, nil
}

// mayReplace says whether the caller may have r, and have it in the place of what there is of its name.
func (s *Server) mayReplace(ctx context.Context, r rule.Rule) error {
	err := mayRule(ctx, r)
	if err == nil {
		err = s.loadRules(ctx)
	}
	if err != nil {
		return err
	}
	s.vigil.mu.Lock()
	defer s.vigil.mu.Unlock()
	for _, there := range s.vigil.rules() {
		if there.Name == r.Name {
			return mayRule(ctx, there.Rule)
		}
	}
	return nil
}

// compile is rule.Compile, with addresses looked at, too; what is wrong is RULE_INVALID.
func (s *Server) compile(r rule.Rule) (*rule.Compiled, error) {
	c, err := rule.Compile(r)
	var wrong *rule.Error
	if err != nil && !errors.As(err, &wrong) {
		return nil, err
	}
	var problems []string
	if wrong != nil {
		problems = wrong.Problems
	}
	for i, a := range r.Actions {
		for _, hook := range []*rule.Webhook{a.Slack, a.Webhook} {
			if hook == nil {
				continue
			}
			err := s.caller.Egress.Check(hook.URL)
			if err != nil {
				problems = append(problems, "actions, the "+strconv.Itoa(i+1)+".: "+fault.From(err).Message)
			}
		}
		if a.Webhook != nil && a.Webhook.Credential == "" {
			problems = append(problems, "actions, the "+strconv.Itoa(i+1)+".: a webhook names the studio's credential with the secret that it is signed with")
		}
	}
	if len(problems) > 0 {
		return nil, fault.New(fault.Invalid, "RULE_INVALID", "rule %s cannot work: %s", r.Name, strings.Join(problems, "; "))
	}
	return c, nil
}

// ListRules implements observerv1.AlertServiceServer.
func (s *Server) ListRules(ctx context.Context, _ *observerv1.ListRulesRequest) (*observerv1.ListRulesResponse, error) {
	err := s.loadRules(ctx)
	if err != nil {
		s.deps.Log.WarnContext(ctx, "rules are listed as they were known last", "err", err)
	}
	v := s.vigil
	v.mu.Lock()
	defer v.mu.Unlock()
	resp := &observerv1.ListRulesResponse{}
	for _, r := range v.rules() {
		if r.Source == "" && mayRule(ctx, r.Rule) != nil {
			continue // its addresses are as good as a password
		}
		view := ruleView(r.Rule)
		view.Problem = v.broken[r.Name]
		resp.Rules = append(resp.Rules, view)
	}
	for name, why := range v.broken {
		if v.put[name] == nil && !slices.ContainsFunc(resp.GetRules(), func(r *observerv1.Rule) bool { return r.GetName() == name }) {
			resp.Rules = append(resp.Rules, &observerv1.Rule{Name: name, Problem: why})
		}
	}
	return resp, nil
}

// DeleteRule implements observerv1.AlertServiceServer.
func (s *Server) DeleteRule(ctx context.Context, req *observerv1.DeleteRuleRequest) (*observerv1.DeleteRuleResponse, error) {
	err := s.mayReplace(ctx, rule.Rule{Name: req.GetName(), Productions: rpc.PrincipalFrom(ctx).GetProductions()})
	if err != nil {
		return nil, err
	}
	there, err := s.store.DeleteRule(ctx, req.GetName())
	if err != nil {
		return nil, storeUnavailable(err)
	}
	if !there {
		for _, r := range slices.Concat(rule.Builtin(), s.vigil.file) {
			if r.Name == req.GetName() {
				return nil, fault.New(fault.Conflict, "RULE_NOT_YOURS", "rule %s is %s; put a rule of that name that is disabled to switch it off", r.Name, r.Source)
			}
		}
		return nil, fault.New(fault.NotFound, "RULE_UNKNOWN", "there is no rule %s", req.GetName())
	}
	s.deps.Log.InfoContext(ctx, "rule deleted", "rule", req.GetName(), "by", rpc.PrincipalFrom(ctx).GetSubject())
	return &observerv1.DeleteRuleResponse{}, nil
}

// TestRule implements observerv1.AlertServiceServer. Events that are over are not looked at again.
func (s *Server) TestRule(ctx context.Context, req *observerv1.TestRuleRequest) (*observerv1.TestRuleResponse, error) {
	r := ruleOf(req.GetRule())
	r.For, r.Disabled = 0, false
	c, err := s.compile(r)
	if err != nil {
		return nil, err
	}
	rows, err := s.rows(ctx, []*rule.Compiled{c}, nil)
	if err != nil && rows[c.On] == nil {
		return nil, err
	}
	mine := slices.DeleteFunc(rows[c.On], func(r rule.Row) bool {
		p, _ := r["production"].(string)
		return p != "" && !rpc.MayActIn(ctx, p)
	})
	changes, err := rule.NewMemory().Look(c, mine, s.deps.Now(), func() string { return "" })
	if err != nil {
		return nil, fault.New(fault.Invalid, "RULE_INVALID", "rule %s cannot work: %v", r.Name, err)
	}
	resp := &observerv1.TestRuleResponse{}
	for _, ch := range changes {
		resp.Alerts = append(resp.Alerts, alertView(&kept{Alert: ch.Alert}))
	}
	return resp, nil
}

// ListAlerts implements observerv1.AlertServiceServer. Alerts of no production are for those who see all.
func (s *Server) ListAlerts(ctx context.Context, req *observerv1.ListAlertsRequest) (*observerv1.ListAlertsResponse, error) {
	from, err := place(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	resp := &observerv1.ListAlertsResponse{}
	all := s.openAlerts(ctx, func(k *kept) bool {
		return (req.GetState() == "" || stateOf(k) == req.GetState()) && (req.GetProduction() == "" || k.Production == req.GetProduction())
	})
	for i, k := range all[min(from, len(all)):] {
		if i == size {
			resp.NextPageToken = strconv.Itoa(from + size)
			break
		}
		resp.Alerts = append(resp.Alerts, k)
	}
	return resp, nil
}

// openAlerts are the alerts that the caller may see and that fit, open ones first, then newest first.
func (s *Server) openAlerts(ctx context.Context, fits func(*kept) bool) []*observerv1.Alert {
	p := rpc.PrincipalFrom(ctx)
	studio := p.GetRole() != accessv1.Role_ROLE_COORDINATOR
	v := s.vigil
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []*kept
	for _, k := range v.alerts {
		seen := k.Production != "" && rpc.MayActIn(ctx, k.Production) || k.Production == "" && studio
		if seen && fits(k) {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b *kept) int {
		if over := a.ResolvedAt.IsZero() != b.ResolvedAt.IsZero(); over {
			if a.ResolvedAt.IsZero() {
				return -1
			}
			return 1
		}
		if c := b.Since.Compare(a.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	out := make([]*observerv1.Alert, len(all))
	for i, k := range all {
		out[i] = alertView(k)
	}
	return out
}

// AcknowledgeAlert implements observerv1.AlertServiceServer.
func (s *Server) AcknowledgeAlert(ctx context.Context, req *observerv1.AcknowledgeAlertRequest) (*observerv1.AcknowledgeAlertResponse, error) {
	v := s.vigil
	v.mu.Lock()
	k := v.alerts[req.GetAlert()]
	if k == nil || k.Production != "" && !rpc.MayActIn(ctx, k.Production) {
		v.mu.Unlock()
		return nil, fault.New(fault.NotFound, "ALERT_UNKNOWN", "there is no alert %s", req.GetAlert())
	}
	if !k.ResolvedAt.IsZero() {
		v.mu.Unlock()
		return nil, fault.New(fault.Conflict, "ALERT_OVER", "alert %s is over; nobody needs to have it", req.GetAlert())
	}
	v.mu.Unlock()
	// Whichever observer looks at rules hears of it there.
	by := rpc.PrincipalFrom(ctx).GetSubject()
	err := s.store.Acknowledge(ctx, req.GetAlert(), by)
	if err != nil {
		return nil, storeUnavailable(err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	view := alertView(k)
	view.AcknowledgedBy, view.State = by, "acknowledged"
	return &observerv1.AcknowledgeAlertResponse{Alert: view}, nil
}

func stateOf(k *kept) string {
	switch {
	case !k.ResolvedAt.IsZero():
		return "resolved"
	case k.AcknowledgedBy != "":
		return "acknowledged"
	}
	return "open"
}

func alertView(k *kept) *observerv1.Alert {
	a := &observerv1.Alert{Id: k.ID, Rule: k.Rule, Title: k.Title, Severity: k.Severity, State: stateOf(k), Sentence: k.Sentence, Production: k.Production,
		Subject: k.Group, Since: timestamppb.New(k.Since), LastAt: timestamppb.New(k.LastAt), AcknowledgedBy: k.AcknowledgedBy, Count: int32(k.Count)}
	if !k.ResolvedAt.IsZero() {
		a.ResolvedAt = timestamppb.New(k.ResolvedAt)
	}
	for _, d := range k.Done {
		a.Done = append(a.Done, &observerv1.Done{Time: timestamppb.New(d.Time), Action: d.Action, Error: d.Error, Tries: int32(d.Tries)})
	}
	return a
}

func ruleOf(r *observerv1.Rule) rule.Rule {
	out := rule.Rule{Name: r.GetName(), Title: r.GetTitle(), On: r.GetOn(), When: r.GetWhen(), Group: r.GetGroup(), Sentence: r.GetSentence(), Severity: r.GetSeverity(),
		For: r.GetFor().AsDuration(), Absent: r.GetAbsent().AsDuration(), Productions: r.GetProductions(), Disabled: r.GetDisabled()}
	for _, a := range r.GetActions() {
		act := rule.Action{Pause: a.GetPause(), Retry: a.GetRetry(), Mail: a.GetMail().GetTo()}
		if w := a.GetSlack(); w != nil {
			act.Slack = &rule.Webhook{URL: w.GetUrl()}
		}
		if w := a.GetWebhook(); w != nil {
			act.Webhook = &rule.Webhook{URL: w.GetUrl(), Credential: w.GetCredential()}
		}
		if st := a.GetStart(); st != nil {
			act.Start = &rule.Start{Production: st.GetProduction(), Definition: st.GetDefinition(), Request: st.GetRequestJson()}
		}
		out.Actions = append(out.Actions, act)
	}
	return out
}

func ruleView(r rule.Rule) *observerv1.Rule {
	out := &observerv1.Rule{Name: r.Name, Title: r.Title, On: r.On, When: r.When, Group: r.Group, Sentence: r.Sentence, Severity: r.Severity,
		For: period(r.For), Absent: period(r.Absent), Productions: r.Productions, Disabled: r.Disabled, Source: r.Source}
	for _, a := range r.Actions {
		act := &observerv1.Action{}
		switch {
		case a.Slack != nil:
			act.Kind = &observerv1.Action_Slack{Slack: &observerv1.Webhook{Url: a.Slack.URL}}
		case a.Webhook != nil:
			act.Kind = &observerv1.Action_Webhook{Webhook: &observerv1.Webhook{Url: a.Webhook.URL, Credential: a.Webhook.Credential}}
		case len(a.Mail) > 0:
			act.Kind = &observerv1.Action_Mail{Mail: &observerv1.Mail{To: a.Mail}}
		case a.Pause != "":
			act.Kind = &observerv1.Action_Pause{Pause: a.Pause}
		case a.Retry:
			act.Kind = &observerv1.Action_Retry{Retry: true}
		case a.Start != nil:
			act.Kind = &observerv1.Action_Start{Start: &observerv1.Start{Production: a.Start.Production, Definition: a.Start.Definition, RequestJson: a.Start.Request}}
		}
		out.Actions = append(out.Actions, act)
	}
	return out
}

// period is absent for no time at all.
func period(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}
