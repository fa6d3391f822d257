package cli

import (
	"context"

	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type scheduleCmd struct {
	Set    scheduleSetCmd    `cmd:"" help:"Send by the clock: make a schedule, or put another in its place."`
	List   scheduleListCmd   `cmd:"" help:"List schedules: when each runs next, and how its last run went."`
	Pause  schedulePauseCmd  `cmd:"" help:"Leave a schedule's runs out until it is resumed."`
	Resume scheduleResumeCmd `cmd:"" help:"Let a paused schedule run again."`
	Delete scheduleDeleteCmd `cmd:"" help:"Delete a schedule; what it started goes on."`
}

type scheduleSetCmd struct {
	serverFlags
	productionFlag
	documentFlags
	orderFlags
	Name   slug   `arg:"" help:"Lower-case letters, digits and dashes."`
	Cron   string `required:"" placeholder:"EXPRESSION" help:"When: minute, hour, day of month, month, day of week, such as '0 18 * * mon-fri'; or @daily and the like. In --title, {date} and {time} are those of the run."`
	Zone   string `placeholder:"ZONE" help:"Time zone of --cron, such as Europe/Berlin. Default: UTC."`
	Missed string `enum:"skip,catch_up" default:"skip" placeholder:"HOW" help:"What becomes of runs that were due while the server was down: skip leaves them out (default), catch_up starts each of the last hundred."`
	JSON   bool   `name:"json" help:"Print the schedule as one JSON document."`
}

func (c *scheduleSetCmd) Run(ctx context.Context, t *term) error {
	err := c.check()
	if err != nil {
		return err
	}
	list, err := c.read()
	if err != nil {
		return err
	}
	err = checkFiles(c.File)
	if err != nil {
		return err
	}
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	_, err = client.Production(ctx, c.Production)
	if err != nil {
		return err
	}
	to, err := c.people(ctx, client, c.Production, list)
	if err != nil {
		return err
	}
	files, err := upload(ctx, t, client, c.Production, c.File, c.ownMark())
	if err != nil {
		return err
	}
	s, raw, err := client.PutSchedule(ctx, c.Production, &schedulev1.Schedule{
		Name: string(c.Name), Cron: c.Cron, TimeZone: c.Zone, Missed: c.Missed, Start: c.request(c.Production, files, to),
	})
	if err != nil {
		return err
	}
	return c.show(t, s, raw, c.JSON)
}

// show says when s runs next.
func (p productionFlag) show(t *term, s *schedulev1.Schedule, raw []byte, json bool) error {
	if json {
		return t.document(raw)
	}
	if s.GetPaused() {
		t.print("%s is paused: no run starts", s.GetName())
		t.say("to go on: filigree schedule resume %s%s", s.GetName(), p.hint())
		return nil
	}
	t.print("%s runs next at %s", s.GetName(), at(s.GetNextAt()))
	return nil
}

type scheduleListCmd struct {
	serverFlags
	productionFlag
	JSON bool `name:"json" help:"Print one JSON document: {\"schedules\":[…]}."`
}

func (c *scheduleListCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	list, raws, err := client.Schedules(ctx, c.Production)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("schedules", raws)
	}
	if len(list) == 0 {
		t.say("the production %s has no schedules", c.Production)
		return nil
	}
	b := newTable("SCHEDULE", "WHEN", "ZONE", "NEXT RUN", "LAST RUN", "STARTED", "WHY NOT")
	b.state = 3
	for _, s := range list {
		zone, next := s.GetTimeZone(), at(s.GetNextAt())
		if zone == "" {
			zone = "UTC"
		}
		if s.GetPaused() {
			next = "paused"
		}
		b.add(s.GetName(), s.GetCron(), zone, next, at(s.GetLastAt()), s.GetLastDistribution(), whyNotRun(s))
	}
	b.write(t, "")
	return nil
}

// whyNotRun says why a schedule's last run started nothing, or that runs were left out.
func whyNotRun(s *schedulev1.Schedule) string {
	if s.GetLastError() != nil {
		return why(s.GetLastError())
	}
	if n := int(s.GetSkipped()); n > 0 {
		return plural(n, "missed run was left out", "missed runs were left out")
	}
	return ""
}

type schedulePauseCmd struct{ scheduleNamed }

func (c *schedulePauseCmd) Run(ctx context.Context, t *term) error { return c.set(ctx, t, true) }

type scheduleResumeCmd struct{ scheduleNamed }

func (c *scheduleResumeCmd) Run(ctx context.Context, t *term) error { return c.set(ctx, t, false) }

type scheduleNamed struct {
	serverFlags
	productionFlag
	Name string `arg:"" help:"The schedule."`
	JSON bool   `name:"json" help:"Print the schedule as one JSON document."`
}

func (c *scheduleNamed) set(ctx context.Context, t *term, paused bool) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	s, err := c.find(ctx, client)
	if err != nil {
		return err
	}
	s.Paused = paused
	s, raw, err := client.PutSchedule(ctx, c.Production, s)
	if err != nil {
		return err
	}
	return c.show(t, s, raw, c.JSON)
}

// find reads the schedule as people set it.
func (c *scheduleNamed) find(ctx context.Context, client *api.Client) (*schedulev1.Schedule, error) {
	list, _, err := client.Schedules(ctx, c.Production)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if s.GetName() == c.Name {
			return &schedulev1.Schedule{
				Name: s.GetName(), Cron: s.GetCron(), TimeZone: s.GetTimeZone(), Missed: s.GetMissed(), Start: s.GetStart(), Paused: s.GetPaused(),
			}, nil
		}
	}
	return nil, refuse("SCHEDULE_UNKNOWN", "there is no schedule %q in the production %s: see filigree schedule list%s", c.Name, c.Production, c.hint())
}

type scheduleDeleteCmd struct {
	serverFlags
	productionFlag
	Name string `arg:"" help:"The schedule."`
}

func (c *scheduleDeleteCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	err = client.DeleteSchedule(ctx, c.Production, c.Name)
	if err != nil {
		return err
	}
	t.say("there is no schedule %s any more; what it started goes on", c.Name)
	return nil
}
