package cli_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// steered is what the fake keeps beside distributions. What belongs to a production is kept under it, what belongs to all
// under "".
type steered struct {
	drained     bool
	pauses      []*controlv1.Pause
	weights     []*controlv1.Weight
	quota       *controlv1.Quota
	limits      map[string][]*controlv1.Limit
	resources   map[string][]*controlv1.Resource
	credentials map[string][]*credentialv1.Credential
	secrets     []string // those that were sealed, in order
	definitions []*definitionv1.Definition
	rollouts    []*definitionv1.Rollout
	schedules   []*schedulev1.Schedule
	hooks       []*schedulev1.Hook
	batches     []*distributionv1.Batch
}

func (f *fake) handleSteering(mux *http.ServeMux) {
	f.limits, f.resources, f.credentials = map[string][]*controlv1.Limit{}, map[string][]*controlv1.Resource{}, map[string][]*credentialv1.Credential{}
	f.handle(mux, "functions", "GET /v1/functions", "", f.functions)
	f.handle(mux, "pause-function", "POST /v1/functions/{function}", "oncall", f.pauseFunction)
	f.handle(mux, "pause-production", "POST /v1/productions/{production}", "", f.pauseProduction)
	f.handle(mux, "workers", "GET /v1/workers", "oncall", func(*http.Request, []byte) (any, *problem) {
		return &controlv1.ListWorkersResponse{Workers: []*controlv1.Worker{f.worker(f.drained)}}, nil
	})
	f.handle(mux, "drain", "POST /v1/workers/{worker}", "oncall", func(r *http.Request, _ []byte) (any, *problem) {
		name, verb, _ := strings.Cut(r.PathValue("worker"), ":")
		if name != f.worker(false).Name {
			return nil, &problem{404, "WORKER_UNKNOWN", fmt.Sprintf("no worker %q has called", name)}
		}
		f.drained = verb == "drain"
		return f.worker(f.drained), nil
	})
	f.handle(mux, "pauses", "GET /v1/pauses", "", f.getPauses)
	f.handle(mux, "quota", "GET /v1/productions/{production}/quota", "oncall", func(*http.Request, []byte) (any, *problem) { return f.quotaNow(), nil })
	f.handle(mux, "set-quota", "PUT /v1/productions/{production}/quota", "oncall", f.setQuota)
	f.handle(mux, "weight", "PUT /v1/productions/{production}/weight", "oncall", f.weight)
	for _, scope := range []string{"/v1/productions/{production}", "/v1/studio"} {
		f.handle(mux, "limits", "GET "+scope+"/limits", "", func(r *http.Request, _ []byte) (any, *problem) {
			return &controlv1.ListLimitsResponse{Limits: f.limits[production(r)]}, nil
		})
		f.handle(mux, "set-limit", "PUT "+scope+"/limits/{name}", "oncall", f.setLimit)
		f.handle(mux, "delete-limit", "DELETE "+scope+"/limits/{name}", "oncall", f.deleteLimit)
		f.handle(mux, "resources", "GET "+scope+"/resources", "", func(r *http.Request, _ []byte) (any, *problem) {
			return &controlv1.ListResourcesResponse{Resources: f.resources[production(r)]}, nil
		})
		f.handle(mux, "put-resource", "PUT "+scope+"/resources/{name}", "oncall", f.putResource)
		f.handle(mux, "reset-resource", "POST "+scope+"/resources/{name}", "oncall", f.resetResource)
		f.handle(mux, "delete-resource", "DELETE "+scope+"/resources/{name}", "oncall", f.deleteResource)
		f.handle(mux, "credentials", "GET "+scope+"/credentials", "admin", func(r *http.Request, _ []byte) (any, *problem) {
			return &credentialv1.ListCredentialsResponse{Credentials: f.credentials[production(r)]}, nil
		})
		f.handle(mux, "put-credential", "PUT "+scope+"/credentials/{name}", "admin", f.putCredential)
		f.handle(mux, "delete-credential", "DELETE "+scope+"/credentials/{name}", "admin", f.deleteCredential)
	}
	f.handle(mux, "put-definition", "POST /v1/definitions", "admin", f.putDefinition)
	f.handle(mux, "definitions", "GET /v1/definitions", "", func(*http.Request, []byte) (any, *problem) {
		answer := &definitionv1.ListDefinitionsResponse{}
		for _, d := range f.definitions {
			bare := proto.Clone(d).(*definitionv1.Definition)
			bare.Source = ""
			answer.Definitions = append(answer.Definitions, bare)
		}
		return answer, nil
	})
	f.handle(mux, "definition", "GET /v1/definitions/{name}", "", func(r *http.Request, _ []byte) (any, *problem) { return f.definition(r) })
	f.handle(mux, "definition-graph", "GET /v1/definitions/{name}/graph", "", f.definitionGraph)
	f.handle(mux, "graph", "GET /v1/productions/{production}/distributions/{id}/graph", "", f.graph)
	f.handle(mux, "set-rollout", "PUT /v1/productions/{production}/rollouts/{name}", "admin", f.setRollout)
	f.handle(mux, "rollouts", "GET /v1/productions/{production}/rollouts", "", func(*http.Request, []byte) (any, *problem) {
		return &definitionv1.ListRolloutsResponse{Rollouts: f.rollouts}, nil
	})
	f.handle(mux, "put-schedule", "PUT /v1/productions/{production}/schedules/{name}", "coordinator", f.putSchedule)
	f.handle(mux, "schedules", "GET /v1/productions/{production}/schedules", "", func(*http.Request, []byte) (any, *problem) {
		return &schedulev1.ListSchedulesResponse{Schedules: f.schedules}, nil
	})
	f.handle(mux, "delete-schedule", "DELETE /v1/productions/{production}/schedules/{name}", "coordinator", f.deleteSchedule)
	f.handle(mux, "put-hook", "PUT /v1/productions/{production}/hooks/{name}", "coordinator", f.putHook)
	f.handle(mux, "hooks", "GET /v1/productions/{production}/hooks", "", func(*http.Request, []byte) (any, *problem) {
		return &schedulev1.ListHooksResponse{Hooks: f.hooks}, nil
	})
	f.handle(mux, "delete-hook", "DELETE /v1/productions/{production}/hooks/{name}", "coordinator", f.deleteHook)
	f.handle(mux, "create-batch", "POST /v1/productions/{production}/batches", "", f.createBatch)
	f.handle(mux, "batches", "GET /v1/productions/{production}/batches", "", f.listBatches)
	f.handle(mux, "batch", "GET /v1/productions/{production}/batches/{batch}", "", f.batch)
	f.handle(mux, "steer-batch", "POST /v1/productions/{production}/batches/{batch}", "", f.steerBatch)
}

// production is the one in the path, without the verb behind it; empty is the studio.
func production(r *http.Request) string {
	p, _, _ := strings.Cut(r.PathValue("production"), ":")
	return p
}

// asked reads a body that must be what req is.
func asked[T proto.Message](body []byte, req T) (T, *problem) {
	err := protojson.Unmarshal(body, req)
	if err != nil {
		return req, &problem{400, "INVALID", err.Error()}
	}
	return req, nil
}

// put puts x in the place of the one of its name, or behind all.
func put[T any](list []T, x T, name func(T) string) []T {
	at := slices.IndexFunc(list, func(y T) bool { return name(y) == name(x) })
	if at < 0 {
		return append(list, x)
	}
	list[at] = x
	return list
}

// without takes the one of a name out; it is a problem if there is none.
func without[T any](list []T, name string, nameOf func(T) string, what string) ([]T, *problem) {
	at := slices.IndexFunc(list, func(y T) bool { return nameOf(y) == name })
	if at < 0 {
		return list, &problem{404, strings.ToUpper(what) + "_UNKNOWN", fmt.Sprintf("there is no %s %q here", what, name)}
	}
	return slices.Delete(list, at, at+1), nil
}

func (f *fake) functions(*http.Request, []byte) (any, *problem) {
	return &controlv1.ListFunctionsResponse{Functions: []*controlv1.Function{
		{Name: "email.Send", Ready: 120, Running: 0, Oldest: durationpb.New(95 * time.Second), Blocked: "PAUSED", Workers: []*controlv1.FunctionWorker{{Name: "mail-1"}}},
		{Name: "hello.Greet", Ready: 3, Oldest: durationpb.New(40 * time.Minute), Blocked: "NO_WORKER"},
		{Name: "watermark.Stamp", Running: 7, Workers: []*controlv1.FunctionWorker{{Name: "wm-1", Running: 2}, {Name: "wm-2"}, {Name: "wm-3"}, {Name: "wm-4"}}},
	}}, nil
}

func (f *fake) pauseFunction(r *http.Request, body []byte) (any, *problem) {
	req, bad := asked(body, &controlv1.PauseFunctionRequest{})
	if bad != nil {
		return nil, bad
	}
	function, verb, _ := strings.Cut(r.PathValue("function"), ":")
	return f.setPause(verb, &controlv1.Pause{Function: function, Production: req.GetProduction()})
}

func (f *fake) pauseProduction(r *http.Request, _ []byte) (any, *problem) {
	_, verb, _ := strings.Cut(r.PathValue("production"), ":")
	return f.setPause(verb, &controlv1.Pause{Production: production(r)})
}

func (f *fake) setPause(verb string, p *controlv1.Pause) (any, *problem) {
	f.pauses = slices.DeleteFunc(f.pauses, func(q *controlv1.Pause) bool { return proto.Equal(p, q) })
	switch verb {
	case "pause":
		f.pauses = append(f.pauses, p)
	case "resume":
	default:
		return nil, &problem{404, "PATH_UNKNOWN", "there is nothing at this address"}
	}
	return &controlv1.PauseFunctionResponse{}, nil
}

func (f *fake) getPauses(*http.Request, []byte) (any, *problem) {
	return &controlv1.GetPausesResponse{Pauses: f.pauses, Weights: f.weights}, nil
}

func (f *fake) weight(r *http.Request, body []byte) (any, *problem) {
	req, bad := asked(body, &controlv1.SetWeightRequest{})
	if bad != nil {
		return nil, bad
	}
	w := &controlv1.Weight{Production: production(r), Weight: req.GetWeight()}
	f.weights = put(f.weights, w, (*controlv1.Weight).GetProduction)
	return &controlv1.SetWeightResponse{}, nil
}

func (f *fake) quotaNow() *controlv1.Quota {
	q := &controlv1.Quota{MostOpenItems: 1000000, MostPerMinute: 6000, ItemsOpen: 40, LastMinute: 2}
	if f.quota == nil {
		return q
	}
	q.OpenItems, q.PerMinute = f.quota.OpenItems, f.quota.PerMinute
	if q.OpenItems != nil {
		q.MostOpenItems = q.GetOpenItems()
	}
	if q.PerMinute != nil {
		q.MostPerMinute = q.GetPerMinute()
	}
	return q
}

func (f *fake) setQuota(_ *http.Request, body []byte) (any, *problem) {
	req, bad := asked(body, &controlv1.SetQuotaRequest{})
	if bad != nil {
		return nil, bad
	}
	f.quota = req.GetQuota()
	return f.quotaNow(), nil
}

func (f *fake) setLimit(r *http.Request, body []byte) (any, *problem) {
	req, bad := asked(body, &controlv1.SetLimitRequest{})
	if bad != nil {
		return nil, bad
	}
	l := req.GetLimit()
	if l.GetName() != r.PathValue("name") || l.GetTaken() != 0 || l.GetWaiting() != 0 {
		return nil, &problem{400, "INVALID", "what people cannot set is set"}
	}
	l.Taken, l.Waiting = 2, 9
	f.limits[production(r)] = put(f.limits[production(r)], l, (*controlv1.Limit).GetName)
	return l, nil
}

func (f *fake) deleteLimit(r *http.Request, _ []byte) (any, *problem) {
	list, bad := without(f.limits[production(r)], r.PathValue("name"), (*controlv1.Limit).GetName, "limit")
	f.limits[production(r)] = list
	return &controlv1.DeleteLimitResponse{}, bad
}

func resourceName(r *controlv1.Resource) string { return r.GetLimit().GetName() }

func (f *fake) putResource(r *http.Request, body []byte) (any, *problem) {
	req, bad := asked(body, &controlv1.PutResourceRequest{})
	if bad != nil {
		return nil, bad
	}
	made := req.GetResource()
	if made.GetState() != "" || made.GetBreaker() != "" || made.GetLastCode() != "" {
		return nil, &problem{400, "INVALID", "what people cannot set is set"}
	}
	made.State, made.Breaker = "ready", "closed"
	if made.GetKind() == "broken" {
		made.Breaker, made.BlockedUntil = "open", timestamppb.New(epoch.Add(time.Minute))
		made.Limit.Waiting = 20
		made.LastCode, made.LastMessage = "EMAIL_UNREACHABLE", "nobody answers at relay.example.com"
	}
	f.resources[production(r)] = put(f.resources[production(r)], made, resourceName)
	return made, nil
}

func (f *fake) resetResource(r *http.Request, _ []byte) (any, *problem) {
	name, verb, _ := strings.Cut(r.PathValue("name"), ":")
	for _, x := range f.resources[production(r)] {
		if verb == "reset" && resourceName(x) == name {
			x.Breaker, x.BlockedUntil = "closed", nil
			return x, nil
		}
	}
	return nil, &problem{404, "RESOURCE_UNKNOWN", fmt.Sprintf("there is no resource %q here", name)}
}

func (f *fake) deleteResource(r *http.Request, _ []byte) (any, *problem) {
	list, bad := without(f.resources[production(r)], r.PathValue("name"), resourceName, "resource")
	f.resources[production(r)] = list
	return &controlv1.DeleteResourceResponse{}, bad
}

func (f *fake) putCredential(r *http.Request, body []byte) (any, *problem) {
	req, bad := asked(body, &credentialv1.PutCredentialRequest{})
	if bad != nil {
		return nil, bad
	}
	f.secrets = append(f.secrets, req.GetSecret())
	k := &credentialv1.Credential{Name: r.PathValue("name"), ChangedAt: timestamppb.New(epoch), ChangedBy: "tok1"}
	f.credentials[production(r)] = put(f.credentials[production(r)], k, (*credentialv1.Credential).GetName)
	return k, nil
}

func (f *fake) deleteCredential(r *http.Request, _ []byte) (any, *problem) {
	list, bad := without(f.credentials[production(r)], r.PathValue("name"), (*credentialv1.Credential).GetName, "credential")
	f.credentials[production(r)] = list
	return &credentialv1.DeleteCredentialResponse{}, bad
}

// putDefinition takes "name: NAME" and "version: N" in the first two lines.
func (f *fake) putDefinition(_ *http.Request, body []byte) (any, *problem) {
	req, bad := asked(body, &definitionv1.PutDefinitionRequest{})
	if bad != nil {
		return nil, bad
	}
	d := &definitionv1.Definition{Source: req.GetSource(), CreatedAt: timestamppb.New(epoch), Functions: []string{"watermark.Stamp", "email.Send"}}
	_, err := fmt.Sscanf(req.GetSource(), "name: %s\nversion: %d\n", &d.Name, &d.Version)
	if err != nil {
		return nil, &problem{400, "DEFINITION_INVALID", "line 2: version must be a number\nline 3: there are no steps"}
	}
	f.definitions = append([]*definitionv1.Definition{d}, f.definitions...)
	return d, nil
}

func (f *fake) definition(r *http.Request) (*definitionv1.Definition, *problem) {
	for _, d := range f.definitions {
		version := r.FormValue("version")
		if d.GetName() == r.PathValue("name") && (version == "" || version == fmt.Sprint(d.GetVersion())) {
			return d, nil
		}
	}
	return nil, &problem{404, "DEFINITION_UNKNOWN", fmt.Sprintf("there is no definition %q", r.PathValue("name"))}
}

func drawing(format, of string) string {
	return format + " of " + of + "\n  watermark --> email\n"
}

func (f *fake) definitionGraph(r *http.Request, _ []byte) (any, *problem) {
	d, bad := f.definition(r)
	if bad != nil {
		return nil, bad
	}
	return &definitionv1.GetDefinitionGraphResponse{Text: drawing(r.FormValue("format"), fmt.Sprintf("%s@%d", d.GetName(), d.GetVersion()))}, nil
}

func (f *fake) graph(r *http.Request, _ []byte) (any, *problem) {
	if f.find(r.PathValue("id")) == nil {
		return nil, unknownDistribution(r)
	}
	return &distributionv1.GetDistributionGraphResponse{Text: drawing(r.FormValue("format"), r.PathValue("id"))}, nil
}

func (f *fake) setRollout(r *http.Request, body []byte) (any, *problem) {
	req, bad := asked(body, &definitionv1.SetRolloutRequest{})
	if bad != nil {
		return nil, bad
	}
	made := &definitionv1.Rollout{Name: r.PathValue("name"), Shares: req.GetShares()}
	if len(made.GetShares()) == 0 {
		f.rollouts = nil
	} else {
		f.rollouts = put(f.rollouts, made, (*definitionv1.Rollout).GetName)
	}
	return made, nil
}

func (f *fake) putSchedule(r *http.Request, body []byte) (any, *problem) {
	req, bad := asked(body, &schedulev1.PutScheduleRequest{})
	if bad != nil {
		return nil, bad
	}
	s := req.GetSchedule()
	switch {
	case s.GetNextAt() != nil, s.GetLastAt() != nil, s.GetLastDistribution() != "":
		return nil, &problem{400, "INVALID", "what people cannot set is set"}
	case s.GetName() != r.PathValue("name"), len(s.GetStart().GetFiles()) == 0, len(s.GetStart().GetRecipients()) == 0:
		return nil, &problem{400, "INVALID", "it starts nothing"}
	case strings.Count(s.GetCron(), " ") != 4:
		return nil, &problem{400, "CRON_INVALID", fmt.Sprintf("%q has not five fields: minute, hour, day of month, month, day of week", s.GetCron())}
	}
	s.NextAt = timestamppb.New(epoch.Add(9 * time.Hour))
	if s.GetMissed() == "catch_up" {
		s.LastAt, s.LastDistribution = timestamppb.New(epoch), "D77"
	}
	f.schedules = put(f.schedules, s, (*schedulev1.Schedule).GetName)
	return s, nil
}

func (f *fake) deleteSchedule(r *http.Request, _ []byte) (any, *problem) {
	list, bad := without(f.schedules, r.PathValue("name"), (*schedulev1.Schedule).GetName, "schedule")
	f.schedules = list
	return &schedulev1.DeleteScheduleResponse{}, bad
}

func (f *fake) putHook(r *http.Request, body []byte) (any, *problem) {
	req, bad := asked(body, &schedulev1.PutHookRequest{})
	if bad != nil {
		return nil, bad
	}
	h := req.GetHook()
	h.Path = "/v1/hooks/" + production(r) + "/" + h.GetName()
	answer := &schedulev1.PutHookResponse{Hook: h}
	fresh := !slices.ContainsFunc(f.hooks, func(x *schedulev1.Hook) bool { return x.GetName() == h.GetName() })
	if fresh || req.GetRotate() {
		answer.Secret = fmt.Sprintf("whsec_%d", f.calls["put-hook"])
	}
	f.hooks = put(f.hooks, h, (*schedulev1.Hook).GetName)
	return answer, nil
}

func (f *fake) deleteHook(r *http.Request, _ []byte) (any, *problem) {
	list, bad := without(f.hooks, r.PathValue("name"), (*schedulev1.Hook).GetName, "hook")
	f.hooks = list
	return &schedulev1.DeleteHookResponse{}, bad
}

func (f *fake) createBatch(r *http.Request, body []byte) (any, *problem) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return nil, &problem{400, "IDEMPOTENCY_KEY_MISSING", "send one"}
	}
	for _, b := range f.batches {
		if f.keys[key].id == b.GetId() {
			return b, nil
		}
	}
	req, bad := asked(body, &distributionv1.CreateBatchRequest{})
	if bad != nil {
		return nil, bad
	}
	b := &distributionv1.Batch{
		Id: fmt.Sprintf("B%d", len(f.batches)+1), Production: production(r), Operation: req.GetOperation(), Filter: req.GetFilter(),
		State: "running", Total: int32(len(f.dists)), CreatedAt: timestamppb.New(epoch), CreatedBy: "tok1",
	}
	f.keys[key] = created{body: string(body), id: b.Id}
	f.batches = append(f.batches, b)
	return b, nil
}

func (f *fake) findBatch(id string) (*distributionv1.Batch, *problem) {
	for _, b := range f.batches {
		if b.GetId() == id {
			return b, nil
		}
	}
	return nil, &problem{404, "BATCH_UNKNOWN", fmt.Sprintf("there is no batch %q here", id)}
}

// batch brings a running batch on by one distribution with each look: one in the state that the filter names is changed,
// unless its title says that it resists.
func (f *fake) batch(r *http.Request, _ []byte) (any, *problem) {
	b, bad := f.findBatch(r.PathValue("batch"))
	if bad != nil || b.GetState() != "running" || f.outcome == "" {
		return b, bad
	}
	d := f.dists[b.Seen]
	b.Seen++
	if states := b.GetFilter().GetStates(); len(states) == 0 || slices.Contains(states, d.GetState()) {
		b.Found++
		switch {
		case strings.Contains(d.GetTitle(), "resists"):
			b.Failed++
			b.Error = &distributionv1.Error{Code: "DISTRIBUTION_ENDED", Message: "the distribution " + d.GetId() + " has ended"}
		case d.GetEndedAt() != nil:
			b.Unchanged++
		default:
			b.Changed++
		}
	}
	if b.Seen == b.Total {
		b.State, b.EndedAt = "done", timestamppb.New(epoch.Add(time.Minute))
	}
	return b, nil
}

func (f *fake) listBatches(r *http.Request, _ []byte) (any, *problem) {
	all := slices.Clone(f.batches)
	slices.Reverse(all)
	part, next := page(r, all)
	return &distributionv1.ListBatchesResponse{Batches: part, NextPageToken: next}, nil
}

func (f *fake) steerBatch(r *http.Request, _ []byte) (any, *problem) {
	id, verb, _ := strings.Cut(r.PathValue("batch"), ":")
	b, bad := f.findBatch(id)
	if bad != nil {
		return nil, bad
	}
	b.State = map[string]string{"pause": "paused", "resume": "running"}[verb]
	return b, nil
}

// worker is the one there is. It has one step.
func (f *fake) worker(drained bool) *controlv1.Worker {
	return &controlv1.Worker{Name: "email@mail-1/7/abcd", Functions: []string{"email.Send", "push.Send@2"}, Running: 1, Free: 7, Draining: drained,
		SeenAt: timestamppb.New(time.Now()), Tasks: []*controlv1.WorkerTask{{Production: "default", Distribution: "D1", Unit: "r7", Step: "email",
			Function: "email.Send", Since: timestamppb.New(time.Now().Add(-90 * time.Second))}}}
}
