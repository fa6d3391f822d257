package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/encoding/protojson"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// A resource's functions run as tasks like any other: one step of a distribution of nothing to nobody, which is in no list.
// The resource's record says which one it waits for, so that any orchestrator goes on where another died: what is not there
// yet is created under the same id, and what has ended is taken into the record once.

// What the functions of a resource do.
const (
	createJob  = "create"
	checkJob   = "check"
	destroyJob = "destroy"
)

// studioProduction is whose the tasks are of resources that productions share. No production can have the name.
const studioProduction = "~studio"

// jobStep is the one step of a job's definition.
const jobStep = "task"

// jobName names the definition of a job. No definition of people's can have such a name, so it is in no list and is made
// whenever it is needed.
func jobName(job, function string) string { return "~" + job + "/" + function }

// jobDefinition is the source of the definition that jobName names; false if name is none.
func jobDefinition(name string) (source string, ok bool) {
	job, function, ok := strings.Cut(name, "/")
	job, ours := strings.CutPrefix(job, "~")
	if !ok || !ours {
		return "", false
	}
	return jobSource(job, function), true
}

// jobSource is what a job is. Distributions that run keep no copy of it: what it says of requests may only grow.
func jobSource(job, function string) string {
	// How often a check fails is for the resource's breaker to count.
	retry, timeout := "{attempts: 1}", "1m"
	if job != checkJob {
		retry, timeout = "{attempts: 3, backoff: [1s, 5s]}", "15m"
	}
	return `name: resource-` + job + `
version: 1
steps:
  - name: ` + jobStep + `
    scope: distribution
    function: ` + strconv.Quote(function) + `
    priority: 9
    with:
      production: distribution.resource.production
      name: distribution.resource.name
      kind: distribution.resource.kind
      config_json: distribution.resource.config_json
      credential: distribution.resource.credential
      state_json: distribution.resource.state_json
    retry: ` + retry + `
    timeout: ` + timeout + `
`
}

// resourceWords are what a job's function is asked with.
type resourceWords struct {
	Production string `json:"production,omitempty"` // empty: productions share it
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Config     string `json:"config,omitempty"`
	Credential string `json:"credential,omitempty"`
	State      string `json:"state,omitempty"`
}

// view is how expressions see it.
func (w *resourceWords) view() map[string]any {
	return map[string]any{"production": w.Production, "name": w.Name, "kind": w.Kind, "config_json": w.Config,
		"credential": w.Credential, "state_json": w.State}
}

// tend makes the moves that resources have to make.
func (s *Server) tend(ctx context.Context) error {
	all, err := s.store.Tended(ctx)
	if err != nil {
		return err
	}
	// One that cannot be moved must not keep the others from it.
	var errs []error
	for _, r := range all {
		err = s.tendOne(ctx, r)
		if err != nil {
			errs = append(errs, fmt.Errorf("resource %s: %w", called(r), err))
		}
	}
	return errors.Join(errs...)
}

// tendNow makes the moves that follow from what somebody has just said of a resource. What fails is left to tend.
func (s *Server) tendNow(ctx context.Context, production, name string) {
	r, err := s.store.Limit(ctx, production, name)
	if err == nil {
		err = s.tendOne(ctx, r)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.deps.Log.WarnContext(ctx, "a resource is looked after later", "resource", name, "production", production, "err", err)
	}
}

// called is a resource as steps call it.
func called(r *store.Resource) string {
	if r.Production == "" {
		return "studio/" + r.Name
	}
	return r.Name
}

func (s *Server) tendOne(ctx context.Context, r *store.Resource) error {
	// One move often calls for the next. The bound keeps a resource from holding up the others.
	for range 4 {
		moved, err := s.moveOn(ctx, r)
		if err != nil || !moved {
			return err
		}
		r, err = s.store.Limit(ctx, r.Production, r.Name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moveOn makes the move that a resource has to make, and reports whether it made one.
func (s *Server) moveOn(ctx context.Context, r *store.Resource) (bool, error) {
	m, err := s.answered(ctx, r)
	if err != nil {
		return false, err
	}
	answered := m.Task
	if m.Move == plan.MoveNone {
		m.Move = r.Standing().Next()
	}
	switch m.Move {
	case plan.MoveNone:
		if r.Taken == 0 {
			return false, nil
		}
		return false, s.store.Heed(ctx, r.Production, called(r), store.Told{Kind: "used"})
	case plan.MoveCreate, plan.MoveDestroy, plan.MoveCheck:
		m.Task = ulid.Make().String()
	}
	moved, err := s.store.MoveResource(ctx, r, m)
	if !moved {
		return false, err
	}
	switch {
	case m.Move != plan.MoveChecked && m.Code != "":
		s.deps.Log.WarnContext(ctx, "resource failed", "resource", called(r), "production", r.Production, "move", m.Move, "code", m.Code, "message", m.Message)
	case m.Move != plan.MoveChecked && m.Move != plan.MoveCheck:
		s.deps.Log.InfoContext(ctx, "resource moved", "resource", called(r), "production", r.Production, "move", m.Move)
	}
	errs := []error{err}
	if m.Move == plan.MoveDrain && r.CheckTask != "" {
		err = s.store.Cancel(ctx, home(r), r.CheckTask, "resource")
		if err != nil && !errors.Is(err, store.ErrEnded) && !errors.Is(err, store.ErrNotFound) {
			errs = append(errs, err)
		}
		s.kickChores()
	}
	if m.Move == plan.MoveChecked && !r.Stale && r.Life == plan.LifeReady {
		told := checked(m)
		told.About = answered
		errs = append(errs, s.store.Heed(ctx, r.Production, called(r), told))
	}
	if answered != "" {
		// There are too many of them to be kept for as long as others.
		errs = append(errs, s.store.Discard(ctx, home(r), answered))
	}
	return true, errors.Join(errs...)
}

// checked is what a check tells of a resource.
func checked(m store.Moved) store.Told {
	if m.Code != "" {
		return store.Told{Kind: "fail", Code: m.Code, Message: m.Message}
	}
	return store.Told{Kind: "well"}
}

// home is the production whose the tasks of a resource are.
func home(r *store.Resource) string {
	if r.Production == "" {
		return studioProduction
	}
	return r.Production
}

// answered is the move that follows from the answer of one of the resource's functions; none while they are at it.
func (s *Server) answered(ctx context.Context, r *store.Resource) (store.Moved, error) {
	if r.Task != "" {
		job, function, well, ill := createJob, r.Create, plan.MoveCreated, plan.MoveCreateFailed
		if r.Made != nil {
			function = r.Made.Create
		}
		if r.Life == plan.LifeDestroying {
			job, function, well, ill = destroyJob, r.Ends(), plan.MoveDestroyed, plan.MoveDestroyFailed
		}
		m, err := s.ask(ctx, r, job, function, r.Task)
		if err != nil || m != nil {
			return judged(m, well, ill), err
		}
	}
	if r.CheckTask != "" {
		m, err := s.ask(ctx, r, checkJob, r.Check, r.CheckTask)
		if err != nil || m != nil {
			return judged(m, plan.MoveChecked, plan.MoveChecked), err
		}
	}
	return store.Moved{}, nil
}

func judged(m *store.Moved, well, ill plan.Move) store.Moved {
	if m == nil {
		return store.Moved{}
	}
	m.Move = well
	if m.Code != "" {
		m.Move = ill
	}
	return *m
}

// ask returns what a resource's function answered, or nil while it has not. What whoever made the move did not come to is
// done here: the task is created.
func (s *Server) ask(ctx context.Context, r *store.Resource, job, function, task string) (*store.Moved, error) {
	sum, err := s.store.Get(ctx, home(r), task)
	if errors.Is(err, store.ErrNotFound) {
		err = s.createJob(ctx, r, job, function, task)
		if err != nil {
			return nil, err
		}
		sum, err = s.store.Get(ctx, home(r), task)
	}
	if errors.Is(err, store.ErrNotFound) {
		// It was kept long enough while no orchestrator looked, or another took its answer just now.
		return &store.Moved{Task: task, Code: "RESOURCE_TASK_LOST", Message: "nobody looked at the task's answer while it was kept; it is tried again"}, nil
	}
	if err != nil || !sum.State.Final() {
		return nil, err
	}
	records, err := s.store.Units(ctx, home(r), task, []plan.Unit{{}})
	if err != nil {
		return nil, err
	}
	m := answer(function, records[0].Steps[jobStep])
	m.Task = task
	return &m, nil
}

// answer reads what a job's step came to.
func answer(function string, st store.StepRecord) store.Moved {
	if st.State != plan.Done {
		m := store.Moved{Code: st.Code, Message: st.Message}
		if m.Code == "" {
			m.Code = "CANCELLED"
		}
		if m.Message == "" {
			m.Message = function + " did not come to its end; it is tried again"
		}
		return m
	}
	resp := &controlv1.ResourceTaskResponse{}
	if st.Output != "" {
		err := protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal([]byte(st.Output), resp)
		if err == nil && resp.GetStateJson() != "" && !json.Valid([]byte(resp.GetStateJson())) {
			err = errors.New("its state_json is no JSON")
		}
		if err != nil {
			return store.Moved{Code: "RESOURCE_ANSWER_INVALID", Message: fmt.Sprintf("%s answered what is not understood, so nobody uses what it made: %v", function, err)}
		}
	}
	return store.Moved{State: resp.GetStateJson(), Detail: resp.GetDetail()}
}

// createJob starts a job under the id that the resource's record has. Doing so again is harmless.
func (s *Server) createJob(ctx context.Context, r *store.Resource, job, function, task string) error {
	words := r.Words
	if r.Made != nil {
		words = *r.Made
	}
	sp := spec{
		Title: job + " " + called(r), Mode: "attachment", By: "resource", At: time.Now().UTC(),
		Resource: &resourceWords{Production: r.Production, Name: r.Name, Kind: words.Kind, Config: words.Config,
			Credential: r.Credential, State: r.Output},
	}
	raw, err := json.Marshal(sp)
	if err != nil {
		return err
	}
	def, err := s.definitions.get(ctx, home(r), jobName(job, function), 1)
	if err != nil {
		return err
	}
	_, err = s.store.Create(ctx, store.New{
		ID: task, Production: home(r), Key: "resource/" + task, Hash: task, Definition: &def.Definition, Spec: raw, Hidden: true,
	})
	if err != nil {
		return err
	}
	s.kickChores()
	return nil
}
