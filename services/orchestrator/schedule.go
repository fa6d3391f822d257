package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
	"github.com/filigreehq/filigree/services/orchestrator/internal/timetable"
)

const (
	// lookForSchedules is how often due schedules are looked for, and so how late a run may start when all is well.
	lookForSchedules = time.Second
	// startAgain is how long after a run could not be started it is tried again.
	startAgain = 5 * time.Second
	// startWithin is how long starting a run may take; then somebody else may set about it.
	startWithin = store.RunHold - 5*time.Second
	catchUp     = "catch_up"
)

// PutSchedule implements schedulev1.ScheduleServiceServer. What the schedule starts is checked as CreateDistribution
// would now; it is checked again at each run.
func (s *Server) PutSchedule(ctx context.Context, req *schedulev1.PutScheduleRequest) (*schedulev1.PutScheduleResponse, error) {
	sch := req.GetSchedule()
	err := sameName("schedule", req.GetName(), sch.GetName(), sch == nil)
	if err != nil {
		return nil, err
	}
	table, err := readTimetable(sch.GetCron(), sch.GetTimeZone())
	if err != nil {
		return nil, err
	}
	now, err := s.store.Now(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	next := table.Next(now)
	start, err := template(req.GetProduction(), sch.GetStart())
	if err != nil {
		return nil, err
	}
	trial := startOf(start, req.GetProduction(), table, next)
	err = rpc.Validate(trial)
	if err != nil {
		return nil, badStart(err)
	}
	_, err = s.planned(ctx, trial)
	if err != nil {
		return nil, err
	}
	raw, err := proto.Marshal(start)
	if err != nil {
		return nil, err
	}
	err = s.store.PutSchedule(ctx, store.Schedule{
		Production: req.GetProduction(), Name: req.GetName(), Cron: sch.GetCron(), Zone: sch.GetTimeZone(),
		CatchUp: sch.GetMissed() == catchUp, Paused: sch.GetPaused(), Start: raw, By: who(ctx), Next: next,
	})
	if err != nil {
		return nil, notKept("schedules", err)
	}
	kept, err := s.store.Schedule(ctx, req.GetProduction(), req.GetName())
	if err != nil {
		return nil, unavailable(err)
	}
	view, err := scheduleView(kept)
	if err != nil {
		return nil, err
	}
	return &schedulev1.PutScheduleResponse{Schedule: view}, nil
}

// ListSchedules implements schedulev1.ScheduleServiceServer.
func (s *Server) ListSchedules(ctx context.Context, req *schedulev1.ListSchedulesRequest) (*schedulev1.ListSchedulesResponse, error) {
	err := s.production(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	all, err := s.store.Schedules(ctx, req.GetProduction())
	if err != nil {
		return nil, unavailable(err)
	}
	resp := &schedulev1.ListSchedulesResponse{}
	for _, sch := range all {
		view, err := scheduleView(sch)
		if err != nil {
			return nil, err
		}
		resp.Schedules = append(resp.Schedules, view)
	}
	return resp, nil
}

// DeleteSchedule implements schedulev1.ScheduleServiceServer. Deleting what is not there is no error. A run that is being
// started at that moment still comes.
func (s *Server) DeleteSchedule(ctx context.Context, req *schedulev1.DeleteScheduleRequest) (*schedulev1.DeleteScheduleResponse, error) {
	there, err := s.store.DeleteSchedule(ctx, req.GetProduction(), req.GetName())
	if err != nil {
		return nil, unavailable(err)
	}
	if !there {
		err = s.production(ctx, req.GetProduction())
		if err != nil {
			return nil, err
		}
	}
	return &schedulev1.DeleteScheduleResponse{}, nil
}

// schedules starts what is due, until nothing is. Any number of orchestrators may do so at once: a run is started under a
// key of its own, so that starting it twice starts it once, and the schedule moves on from it by compare-and-set. So a
// run is started exactly once whoever dies in between; see schedule.
func (s *Server) schedules(ctx context.Context) error {
	var errs []error
	for ctx.Err() == nil {
		due, err := s.store.DueSchedules(ctx)
		if err != nil || len(due) == 0 {
			return errors.Join(append(errs, err)...)
		}
		for _, d := range due {
			err = s.schedule(ctx, d)
			if err != nil {
				errs = append(errs, fmt.Errorf("schedule %s of %s: %w", d.Name, d.Production, err))
			}
		}
	}
	return ctx.Err()
}

// schedule deals with the run of d that is due: starts it, or leaves it out with others that were missed.
func (s *Server) schedule(ctx context.Context, d store.DueSchedule) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	table, err := timetable.Parse(d.Cron, d.Zone)
	if err != nil {
		// It was read when it was put: a zone that a newer replica knows.
		return s.move(ctx, d, store.Move{To: d.Next, Look: d.Now.Add(startAgain), Failure: failureOf(cronFault(d.Cron, d.Zone, err))})
	}
	step := table.Due(d.Next, d.Now, d.CatchUp)
	forgotten := d.Now.Sub(d.Tried) > store.RunMemory
	if !d.Tried.IsZero() && (step.Skipped > 0 || forgotten) {
		// Too late to start it, but somebody had set about it, and may have died right after they did.
		id, hash, err := s.store.Made(ctx, d.Production, runKey(d.Name, d.Next))
		if err != nil {
			return err
		}
		if hash == runHash {
			return s.move(ctx, d, store.Move{To: table.Next(d.Next), Over: true, Distribution: id})
		}
		if step.Skipped == 0 {
			return s.move(ctx, d, store.Move{To: table.Next(d.Next), Over: true, Failure: failureOf(uncertainRun(d.Next.In(table.Zone())))})
		}
	}
	if step.Skipped > 0 {
		s.deps.Log.WarnContext(ctx, "runs of a schedule were missed", "production", d.Production, "schedule", d.Name, "runs", step.Skipped)
		return s.move(ctx, d, store.Move{To: step.Then, Skipped: step.Skipped})
	}
	id, err := s.run(ctx, d, table)
	if err != nil && !refused(err) {
		again := s.move(ctx, d, store.Move{To: d.Next, Look: d.Now.Add(startAgain), Failure: failureOf(err)})
		return errors.Join(err, again)
	}
	if err != nil {
		s.deps.Log.WarnContext(ctx, "a schedule's distribution was refused", "production", d.Production, "schedule", d.Name, "reason", fault.From(err).Reason)
	}
	return s.move(ctx, d, store.Move{To: table.Next(d.Next), Over: true, Distribution: id, Failure: failureOf(err)})
}

// move moves d on; that somebody else did, or changed it, is fine.
func (s *Server) move(ctx context.Context, d store.DueSchedule, m store.Move) error {
	_, err := s.store.MoveSchedule(ctx, d, m)
	return err
}

// run starts the run of d that is due, or finds the distribution that it started before.
func (s *Server) run(ctx context.Context, d store.DueSchedule, table timetable.Timetable) (string, error) {
	template := &distributionv1.CreateDistributionRequest{}
	err := proto.Unmarshal(d.Start, template)
	if err != nil {
		return "", fmt.Errorf("read what it starts: %w", err)
	}
	req := startOf(template, d.Production, table, d.Next)
	err = rpc.Validate(req)
	if err != nil {
		return "", badStart(err)
	}
	started, err := s.create(starter(ctx, d.Production, "schedule/"+d.Name), req, runKey(d.Name, d.Next), runHash)
	if err != nil {
		return "", err
	}
	s.deps.Log.InfoContext(ctx, "schedule started a distribution", "production", d.Production, "schedule", d.Name,
		"distribution", started.GetId(), "by", d.By)
	return started.GetId(), nil
}

// starter makes ctx one of a call that is made in production by something that is no person.
func starter(ctx context.Context, production, subject string) context.Context {
	return rpc.Serving(ctx, &accessv1.Principal{Subject: subject, Role: accessv1.Role_ROLE_SERVICE, Productions: []string{production}})
}

// runKey is the idempotency key of a run.
func runKey(name string, run time.Time) string {
	return "schedule/" + name + "/" + strconv.FormatInt(run.Unix(), 10)
}

// runHash stands for what a run asks for: that is said by its key.
const runHash = "schedule"

func uncertainRun(run time.Time) error {
	return fault.New(fault.Conflict, "RUN_UNCERTAIN", "the run of %s was being started when everything stopped, for longer than such starts are remembered: whether it did cannot be told, so it is not started again; look, and start it by hand", run.Format(time.RFC3339))
}

// startOf is what a template starts at one run.
func startOf(template *distributionv1.CreateDistributionRequest, production string, table timetable.Timetable, run time.Time) *distributionv1.CreateDistributionRequest {
	req := proto.CloneOf(template)
	req.Production = production
	local := run.In(table.Zone())
	req.Title = strings.NewReplacer("{date}", local.Format(time.DateOnly), "{time}", local.Format("15:04")).Replace(req.GetTitle())
	return req
}

// template is what is kept of a request that is to be made again and again: without what each one gets of its own.
func template(production string, start *distributionv1.CreateDistributionRequest) (*distributionv1.CreateDistributionRequest, error) {
	switch {
	case start == nil:
		return nil, fault.New(fault.Invalid, "START_INVALID", "start is missing: say there what is to be sent, as in a request that creates a distribution")
	case start.GetProduction() != "" && start.GetProduction() != production:
		return nil, fault.New(fault.Invalid, "START_INVALID", "start.production is %q, but what is started is the production's that the path names, %q; leave it out", start.GetProduction(), production)
	case start.GetDeadline() != nil:
		return nil, fault.New(fault.Invalid, "START_INVALID", "start.deadline is one moment, and this starts more than one distribution; leave it out")
	}
	t := proto.CloneOf(start)
	t.Production, t.IdempotencyKey = "", ""
	return t, nil
}

// sameName refuses a body that is missing, or names another than the path.
func sameName(what, path, body string, missing bool) error {
	if missing {
		return fault.New(fault.Invalid, "INVALID", "the body has no %q", what)
	}
	if body != "" && body != path {
		return fault.New(fault.Invalid, "INVALID", "the path names the %s %q and the body %q; leave the name out of the body", what, path, body)
	}
	return nil
}

// badStart says of a refusal by the proto's rules that it is about what is started.
func badStart(err error) error {
	f := fault.From(err)
	if f.Kind != fault.Invalid {
		return err
	}
	return fault.New(fault.Invalid, "START_INVALID", "what is to be started: %s", f.Message)
}

// notKept says why schedules or webhooks were not kept.
func notKept(what string, err error) error {
	switch {
	case errors.Is(err, store.ErrTooManyStarters):
		return fault.New(fault.Conflict, "TOO_MANY", "the production has %d %s already, and may not have more; delete one that is not needed", store.MostStarters, what)
	case errors.Is(err, store.ErrTooLarge):
		return fault.New(fault.Conflict, "TOO_LARGE_TOGETHER", "what the production's %s start is more than %d MiB together, recipients most of all; delete one that is not needed", what, store.MostStarts>>20)
	}
	return unavailable(err)
}

// production refuses one that does not exist.
func (s *Server) production(ctx context.Context, production string) error {
	_, err := s.deps.Directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: production})
	return err
}

func readTimetable(expr, zone string) (timetable.Timetable, error) {
	table, err := timetable.Parse(expr, zone)
	if err != nil {
		return table, cronFault(expr, zone, err)
	}
	return table, nil
}

func cronFault(expr, zone string, err error) error {
	if errors.Is(err, timetable.ErrZone) {
		return fault.New(fault.Invalid, "TIME_ZONE_UNKNOWN", "there is no time zone %q; they are called like Europe/Berlin", zone)
	}
	return fault.New(fault.Invalid, "CRON_INVALID", "%q is not when to run: %v. It takes five fields (minute, hour, day of month, month, day of week), such as \"30 6 * * MON-FRI\", or @daily and the like", expr, err)
}

// refused reports whether a request was turned down for what it is, so that making it again cannot help. That we may not
// ask is not the request's fault.
func refused(err error) bool {
	switch fault.From(err).Kind {
	case fault.Invalid, fault.NotFound, fault.Conflict:
		return true
	}
	return false
}

func failureOf(err error) store.Failure {
	f := fault.From(err)
	if f == nil {
		return store.Failure{}
	}
	return store.Failure{Code: f.Reason, Message: f.Message, Retryable: f.Transient()}
}

func scheduleView(sch store.Schedule) (*schedulev1.Schedule, error) {
	start := &distributionv1.CreateDistributionRequest{}
	err := proto.Unmarshal(sch.Start, start)
	if err != nil {
		return nil, fmt.Errorf("read what schedule %s starts: %w", sch.Name, err)
	}
	v := &schedulev1.Schedule{
		Name: sch.Name, Cron: sch.Cron, TimeZone: sch.Zone, Missed: "skip", Start: start,
		Paused: sch.Paused, NextAt: stamp(sch.Next), LastAt: stamp(sch.Last), LastDistribution: sch.LastDistribution, Skipped: int32(sch.Skipped),
	}
	if sch.CatchUp {
		v.Missed = catchUp
	}
	if sch.Failure.Code != "" {
		v.LastError = &distributionv1.Error{Code: sch.Failure.Code, Message: sch.Failure.Message, Retryable: sch.Failure.Retryable}
	}
	return v, nil
}
