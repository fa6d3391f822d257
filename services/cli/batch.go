package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type batchCmd struct {
	Retry  batchRetryCmd  `cmd:"" help:"Run again what failed, in all distributions that the flags find."`
	Cancel batchCancelCmd `cmd:"" help:"Cancel all distributions that the flags find."`
	Pause  batchPauseCmd  `cmd:"" help:"Pause all distributions that the flags find; or, with an id, that batch itself."`
	Resume batchResumeCmd `cmd:"" help:"Resume all distributions that the flags find; or, with an id, that batch itself."`
	List   batchListCmd   `cmd:"" help:"List a production's batches, newest first."`
	Show   batchShowCmd   `cmd:"" help:"Show how far a batch is, and what it could not do."`
}

// batchFlags find the distributions that a batch is about: those that meet all of what is named.
type batchFlags struct {
	serverFlags
	productionFlag
	State      []string `placeholder:"STATE" enum:"accepted,running,paused,completed,completed_with_failures,failed,cancelled" help:"Distributions in this state (repeatable)."`
	Code       string   `placeholder:"CODE" help:"Those of which something failed with this code, such as EMAIL_AUTH."`
	Title      string   `placeholder:"TEXT" help:"Those whose title has this in it, whatever its case."`
	Definition string   `placeholder:"NAME" help:"Those that run this definition."`
	Since      moment   `placeholder:"TIME" help:"Those accepted since then: 2h or 14d ago, or 2026-11-30T18:00:00+01:00."`
	Until      moment   `placeholder:"TIME" help:"Those accepted until then."`
	All        bool     `help:"All distributions of the production."`
	Wait       waitFlag `help:"Wait for the batch's end, at most 10m or --wait=TIME, and exit 2 if it could not do everything."`
	JSON       bool     `name:"json" help:"Print the batch as one JSON document."`
}

// filter is what the flags say; nil if they say nothing.
func (c *batchFlags) filter(now time.Time) *distributionv1.BatchFilter {
	if len(c.State) == 0 && c.Code == "" && c.Title == "" && c.Definition == "" && !c.Since.set && !c.Until.set {
		return nil
	}
	f := &distributionv1.BatchFilter{States: c.State, Code: c.Code, Title: c.Title, Definition: c.Definition}
	if c.Since.set {
		f.CreatedAfter = timestamppb.New(c.Since.before(now))
	}
	if c.Until.set {
		f.CreatedBefore = timestamppb.New(c.Until.before(now))
	}
	return f
}

type batchRetryCmd struct{ batchFlags }

func (c *batchRetryCmd) Run(ctx context.Context, t *term) error { return c.start(ctx, t, "retry") }

type batchCancelCmd struct{ batchFlags }

func (c *batchCancelCmd) Run(ctx context.Context, t *term) error { return c.start(ctx, t, "cancel") }

type batchPauseCmd struct {
	batchFlags
	ID string `arg:"" optional:"" help:"A batch, to pause it itself."`
}

func (c *batchPauseCmd) Run(ctx context.Context, t *term) error {
	if c.ID == "" {
		return c.start(ctx, t, "pause")
	}
	return c.steer(ctx, t, c.ID, (*api.Client).PauseBatch)
}

type batchResumeCmd struct {
	batchFlags
	ID string `arg:"" optional:"" help:"A batch, to resume it itself."`
}

func (c *batchResumeCmd) Run(ctx context.Context, t *term) error {
	if c.ID == "" {
		return c.start(ctx, t, "resume")
	}
	return c.steer(ctx, t, c.ID, (*api.Client).ResumeBatch)
}

// start starts a batch of an operation.
func (c *batchFlags) start(ctx context.Context, t *term, operation string) error {
	filter := c.filter(t.now())
	if (filter == nil) != c.All {
		return refuse("USAGE", "say which distributions to %s: --state, --code, --title, --definition, --since or --until, or else --all", operation)
	}
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	b, raw, err := client.CreateBatch(ctx, &distributionv1.CreateBatchRequest{Production: c.Production, Operation: operation, Filter: filter}, rand.Text())
	if err != nil {
		return unsure(err, "the batch was started", "filigree batch list"+c.hint())
	}
	return c.tell(ctx, t, client, b, raw)
}

// steer pauses or resumes a batch.
func (c *batchFlags) steer(ctx context.Context, t *term, id string, act func(*api.Client, context.Context, string, string) (*distributionv1.Batch, json.RawMessage, error)) error {
	if c.All || c.filter(t.now()) != nil {
		return refuse("USAGE", "name either a batch, to act on it itself, or which distributions to find")
	}
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	b, raw, err := act(client, ctx, c.Production, id)
	if err != nil {
		return err
	}
	return c.tell(ctx, t, client, b, raw)
}

// tell says where a batch is, at once or at its end.
func (c *batchFlags) tell(ctx context.Context, t *term, client *api.Client, b *distributionv1.Batch, raw json.RawMessage) error {
	var waitErr error
	if c.Wait.limit > 0 {
		if !c.JSON {
			t.print("%s", b.GetId())
		}
		b, raw, waitErr = watchBatch(ctx, t, client, b, raw, c.Wait.limit)
	}
	var err error
	switch {
	case c.JSON:
		err = t.document(raw)
	case c.Wait.limit > 0:
		t.print("%s", batchWords(b))
	default:
		t.print("%s", b.GetId())
		t.say("%s; follow it with: filigree batch show %s%s", batchWords(b), b.GetId(), c.hint())
	}
	switch {
	case err != nil:
		return err
	case waitErr != nil:
		return c.open(ctx, b, waitErr)
	case c.Wait.limit > 0 && b.GetFailed() > 0:
		r := refuse("NOT_ALL_DONE", "%s failed for %s; the last: %s", b.GetOperation(),
			plural(int(b.GetFailed()), "distribution", "distributions"), why(b.GetError()))
		r.exit = exitOpen
		return r
	}
	return nil
}

// open says what is still open when waiting ended before the batch did.
func (c *batchFlags) open(ctx context.Context, b *distributionv1.Batch, waitErr error) error {
	follow := fmt.Sprintf("it goes on; follow it with: filigree batch show %s%s", b.GetId(), c.hint())
	var r *refusal
	switch {
	case ctx.Err() != nil:
		r = refuse("INTERRUPTED", "stopped waiting; %s; %s; to stop it: filigree batch pause %s%s", batchWords(b), follow, b.GetId(), c.hint())
	case errors.Is(waitErr, errRanOut):
		r = refuse("WAIT_RAN_OUT", "not at its end after %s; %s; %s", c.Wait.limit, batchWords(b), follow)
	default:
		return waitErr
	}
	r.exit = exitOpen
	return r
}

// batchLook is how often a batch is looked at while somebody waits for it.
const batchLook = 200 * time.Millisecond

// watchBatch follows b to its end, with a bar on a terminal. It returns what was seen last, always, and why it stopped early.
func watchBatch(ctx context.Context, t *term, client *api.Client, b *distributionv1.Batch, raw json.RawMessage, limit time.Duration) (*distributionv1.Batch, json.RawMessage, error) {
	until, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	bar := t.bar(barCount, b.GetOperation(), 1)
	defer bar.finish()
	tick := time.NewTicker(batchLook)
	defer tick.Stop()
	for {
		bar.set(int64(b.GetSeen()), int64(max(b.GetTotal(), 1)), batchResult(b))
		if b.GetState() == "done" {
			return b, raw, nil
		}
		select {
		case <-until.Done():
		case <-tick.C:
		}
		if ctx.Err() != nil {
			return b, raw, ctx.Err()
		}
		if until.Err() != nil {
			return b, raw, errRanOut
		}
		now, nowRaw, err := client.Batch(until, b.GetProduction(), b.GetId())
		switch {
		case err == nil:
			b, raw = now, nowRaw
		case until.Err() == nil:
			return b, raw, err
		}
	}
}

// batchWords is a batch in a line: "retry done: 40 of 40 distributions looked at; 15 found, 12 changed, 3 unchanged".
func batchWords(b *distributionv1.Batch) string {
	return fmt.Sprintf("%s %s: %d of %d distributions looked at; %s", b.GetOperation(), b.GetState(), b.GetSeen(), b.GetTotal(), batchResult(b))
}

// batchResult counts what a batch did: "15 found, 12 changed, 3 unchanged".
func batchResult(b *distributionv1.Batch) string {
	parts := []string{fmt.Sprintf("%d found", b.GetFound()), fmt.Sprintf("%d changed", b.GetChanged())}
	if b.GetUnchanged() > 0 {
		parts = append(parts, fmt.Sprintf("%d unchanged", b.GetUnchanged()))
	}
	if b.GetFailed() > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", b.GetFailed()))
	}
	return strings.Join(parts, ", ")
}

// filterWords says which distributions a batch is about.
func filterWords(f *distributionv1.BatchFilter) string {
	var parts []string
	say := func(what, value string) {
		if value != "" {
			parts = append(parts, what+" "+value)
		}
	}
	say("", strings.Join(f.GetStates(), " or "))
	say("failed with", f.GetCode())
	say("title has", f.GetTitle())
	say("definition", f.GetDefinition())
	say("since", happened(f.GetCreatedAfter()))
	say("until", happened(f.GetCreatedBefore()))
	if len(parts) == 0 {
		return "all"
	}
	return strings.TrimSpace(strings.Join(parts, ", "))
}

type batchListCmd struct {
	serverFlags
	productionFlag
	JSON bool `name:"json" help:"Print one JSON document: {\"batches\":[…]}."`
}

func (c *batchListCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	list, raws, err := client.Batches(ctx, c.Production)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("batches", raws)
	}
	if len(list) == 0 {
		t.say("there was no batch in the production %s in the last 30 days", c.Production)
		return nil
	}
	b := newTable("ID", "DOES", "STATE", "LOOKED AT", "RESULT", "CREATED", "OF")
	b.state = 2
	for _, x := range list {
		b.add(x.GetId(), x.GetOperation(), x.GetState(), fmt.Sprintf("%d of %d", x.GetSeen(), x.GetTotal()), batchResult(x),
			at(x.GetCreatedAt()), filterWords(x.GetFilter()))
	}
	b.write(t, "")
	return nil
}

type batchShowCmd struct {
	serverFlags
	productionFlag
	ID   string `arg:"" help:"The batch."`
	JSON bool   `name:"json" help:"Print the batch as one JSON document."`
}

func (c *batchShowCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	b, raw, err := client.Batch(ctx, c.Production, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	t.fact("id", b.GetId())
	t.fact("does", b.GetOperation())
	t.fact("of", filterWords(b.GetFilter()))
	t.fact("state", b.GetState())
	t.fact("looked at", fmt.Sprintf("%d of %d distributions", b.GetSeen(), b.GetTotal()))
	t.fact("result", batchResult(b))
	if b.GetError() != nil {
		t.fact("failure", why(b.GetError()))
	}
	t.fact("created", at(b.GetCreatedAt())+" by "+b.GetCreatedBy())
	if b.GetEndedAt() != nil {
		t.fact("ended", at(b.GetEndedAt()))
	}
	return nil
}
