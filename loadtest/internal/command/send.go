package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filigreehq/filigree/loadtest/internal/plot"
	"github.com/filigreehq/filigree/loadtest/internal/send"
)

// siteFlags are those of every command that sends documents.
type siteFlags struct {
	URL        string        `name:"url" env:"FILIGREE_URL" placeholder:"URL" help:"Installation to send with. Default: one is started, whose mails are taken here and dropped."`
	Token      string        `env:"FILIGREE_TOKEN" placeholder:"TOKEN" help:"Token for --url, of role admin or coordinator."`
	Production string        `default:"default" placeholder:"NAME" help:"Production to send in. Default: default."`
	Mode       string        `enum:"attachment,link" default:"attachment" help:"How copies reach people: attachment (default) or link."`
	Password   bool          `help:"Lock each person's copies with a password of their own."`
	Fsync      string        `enum:"always,everysec" default:"always" help:"When the writes of the installation that is started are on disk: always before they are answered (default), or everysec."`
	Limit      time.Duration `default:"30m" placeholder:"TIME" help:"Give up after so long. Default: 30m."`
}

// Validate is called by kong.
func (f siteFlags) Validate() error {
	var errs []error
	if (f.URL == "") != (f.Token == "") {
		errs = append(errs, errors.New("--url and --token belong together: give both or none"))
	}
	if f.Limit <= 0 {
		errs = append(errs, errors.New("--limit must be longer than nothing"))
	}
	return errors.Join(errs...)
}

func (f siteFlags) options() send.Options {
	return send.Options{URL: f.URL, Token: f.Token, Production: f.Production, Mode: f.Mode, Password: f.Password, Fsync: f.Fsync}
}

// within is ctx that ends after the limit, saying so.
func (f siteFlags) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, f.Limit, fmt.Errorf("not at its end after %s; give it more with --limit", f.Limit))
}

type sendCmd struct {
	siteFlags
	Files      int    `default:"1" placeholder:"F" help:"How many files: scripts of 120 pages. Default: 1."`
	Recipients int    `default:"20" placeholder:"R" help:"How many people. Default: 20."`
	Profile    string `enum:"one,many,mixed,burst" default:"one" help:"one distribution (default); many, one after the other; mixed, a big one and small ones of 5 items beside it; burst, all at once."`
	Count      int    `default:"20" placeholder:"N" help:"How many distributions of F × R many and burst have, and how many small ones mixed. Default: 20."`
	JSON       bool   `name:"json" help:"Print one JSON document."`
	Plot       string `placeholder:"FILE.svg" help:"Draw what steps waited and ran."`
}

// Validate is called by kong.
func (c sendCmd) Validate() error {
	errs := []error{c.siteFlags.Validate()}
	if c.Files < 1 || c.Files > 100 {
		errs = append(errs, errors.New("--files must be between 1 and 100"))
	}
	if c.Recipients < 1 || c.Recipients > 10_000 {
		errs = append(errs, errors.New("--recipients must be between 1 and 10000"))
	}
	if c.Count < 1 || c.Count > 10_000 {
		errs = append(errs, errors.New("--count must be between 1 and 10000"))
	}
	return errors.Join(errs...)
}

func (c sendCmd) Run(ctx context.Context, t *terms) error {
	ctx, cancel := c.within(ctx)
	defer cancel()
	o := c.options()
	o.Files, o.Recipients, o.Profile, o.Count = c.Files, c.Recipients, c.Profile, c.Count
	f, err := send.Measure(ctx, o, func(line string) { t.say("%s", line) })
	if err != nil {
		return err
	}
	if c.Plot != "" {
		err = t.draw(c.Plot, stepsPlot(f))
		if err != nil {
			return err
		}
	}
	if c.JSON {
		return t.document(f)
	}
	t.print("%.2f s: %d items of %d distributions, %.1f items/s, %d mails accepted", f.Seconds, f.Items, f.Distributions, f.ItemsPerSecond, f.Mails)
	if f.CPU > 0 {
		t.print("processor time %.2f s, without redis-server's: %.1f ms an item", f.CPU, 1000*f.CPU/float64(f.Items))
	}
	switch {
	case f.Big > 0:
		t.print("the big one took %.2f s, each small one p50 %.0f ms, p95 %.0f ms, p99 %.0f ms", f.Big, f.Each.P50, f.Each.P95, f.Each.P99)
	case f.Distributions > 1:
		t.print("each from request to acceptance of its last mail: p50 %.0f ms, p95 %.0f ms, p99 %.0f ms", f.Each.P50, f.Each.P95, f.Each.P99)
	}
	t.print("%-12s %8s | %32s | %32s", "step", "attempts", "waited ms: p50, p95, p99", "ran ms: p50, p95, p99")
	for _, s := range f.Steps {
		t.print("%-12s %8d | %10.1f %10.1f %10.1f | %10.1f %10.1f %10.1f", s.Name, s.Attempts, s.Wait.P50, s.Wait.P95, s.Wait.P99, s.Run.P50, s.Run.P95, s.Run.P99)
	}
	return nil
}

func stepsPlot(f send.Figures) string {
	var rows []plot.Bar
	for _, s := range f.Steps {
		rows = append(rows, plot.Bar{Label: s.Name + " waits", Values: []float64{s.Wait.P50, s.Wait.P95, s.Wait.P99}},
			plot.Bar{Label: s.Name + " runs", Values: []float64{s.Run.P50, s.Run.P95, s.Run.P99}})
	}
	return plot.Bars(fmt.Sprintf("%d items of %d distributions in %.2f s", f.Items, f.Distributions, f.Seconds), "milliseconds", []string{"p50", "p95", "p99"}, rows)
}

type besideCmd struct {
	siteFlags
	Files      int  `default:"10" placeholder:"F" help:"How many files the big one has. Default: 10."`
	Recipients int  `default:"1000" placeholder:"R" help:"How many people it is for. Default: 1000."`
	Count      int  `default:"50" placeholder:"N" help:"How many small ones of each kind. Default: 50."`
	JSON       bool `name:"json" help:"Print one JSON document."`
}

// Validate is called by kong.
func (c besideCmd) Validate() error {
	return sendCmd{siteFlags: c.siteFlags, Files: c.Files, Recipients: c.Recipients, Count: c.Count}.Validate()
}

func (c besideCmd) Run(ctx context.Context, t *terms) error {
	ctx, cancel := c.within(ctx)
	defer cancel()
	o := c.options()
	o.Files, o.Recipients, o.Count = c.Files, c.Recipients, c.Count
	b, err := send.MeasureBeside(ctx, o, func(line string) { t.say("%s", line) })
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(b)
	}
	t.print("%d distributions of 5 items each, from request to acceptance of the last mail, in milliseconds:", b.Count)
	t.print("%-44s p50 %8.0f  p95 %8.0f  p99 %8.0f", "alone", b.Alone.P50, b.Alone.P95, b.Alone.P99)
	t.print("%-44s p50 %8.0f  p95 %8.0f  p99 %8.0f", fmt.Sprintf("beside one of %d items", b.BigItems), b.Same.P50, b.Same.P95, b.Same.P99)
	t.print("%-44s p50 %8.0f  p95 %8.0f  p99 %8.0f", "beside it, in another production", b.Other.P50, b.Other.P95, b.Other.P99)
	t.print("p95 beside it is to be at most %.0f (1.5 × alone + 250)", b.Allowed)
	if b.Memory > 0 {
		t.print("all services together had %d MiB resident at most", b.Memory>>20)
	}
	return nil
}
