// Package command is the command line of loadtest: what each command measures, and how it tells.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/filigreehq/filigree/loadtest/internal/engine"
)

type commands struct {
	Engine   engineCmd   `cmd:"" help:"How many steps a second does the orchestrator carry, when they do nothing?"`
	Growth   growthCmd   `cmd:"" help:"How does the time of a distribution grow with its items?"`
	Send     sendCmd     `cmd:"" help:"How long do documents take from the request to the mail server?"`
	Beside   besideCmd   `cmd:"" help:"How much does a big distribution hold up small ones?"`
	Overhead overheadCmd `cmd:"" help:"What does it cost to see everything?"`
	Asynq    asynqCmd    `cmd:"" name:"asynq-process" hidden:""`
}

const description = `Measures Filigree under load. It starts what it needs, and ends it.`

// Main runs the command line args (without the program's name) and returns the exit code: 0 when it was measured, 1 when
// not. The first SIGINT or SIGTERM ends everything that was started, in order; the second ends this program at once.
func Main(args []string, stdout, stderr *os.File) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, args, stdout, stderr)
}

// terms is where a command tells.
type terms struct {
	out, err io.Writer
	log      *slog.Logger
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	t := &terms{out: stdout, err: stderr, log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	code, exited := 0, false
	parser, err := kong.New(&commands{}, kong.Name("loadtest"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { code, exited = c, true }), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(t))
	if err != nil {
		t.say("%v", err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if exited {
		return code
	}
	if err == nil {
		err = parsed.Run()
	}
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		t.say("interrupted; what was started has ended")
	default:
		t.say("%v", err)
	}
	return 1
}

// say tells people something beside the result.
func (t *terms) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.err, "loadtest: "+format+"\n", args...) // nobody reads it: then nobody is told
}

// document prints v as one JSON document.
func (t *terms) document(v any) error {
	enc := json.NewEncoder(t.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// print prints a line of the result.
func (t *terms) print(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, format+"\n", args...) // nobody reads it
}

// asynqCmd is asynq's process.
type asynqCmd struct {
	Redis string `arg:""`
	Items int    `arg:""`
	Steps int    `arg:""`
}

func (c asynqCmd) Run(ctx context.Context, t *terms) error {
	if c.Items < 1 || c.Steps < 1 {
		return errors.New("items and steps are numbers from 1 on")
	}
	return engine.ServeRival(ctx, c.Redis, c.Items, c.Steps, t.out)
}
