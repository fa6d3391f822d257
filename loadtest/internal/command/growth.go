package command

import (
	"context"
	"errors"
	"os"

	"github.com/filigreehq/filigree/loadtest/internal/engine"
	"github.com/filigreehq/filigree/loadtest/internal/plot"
)

type growthCmd struct {
	bedFlags
	Sizes      []int  `default:"10,100,1000,10000" placeholder:"N,…" help:"How many items the distributions have. Default: 10,100,1000,10000."`
	Steps      int    `default:"4" placeholder:"N" help:"How many steps each item has. Default: 4."`
	Definition string `enum:"chain,send-documents" default:"chain" help:"What runs, as for engine."`
	Rounds     int    `default:"3" placeholder:"N" help:"How often each size is run; the medians are told. Default: 3."`
	JSON       bool   `name:"json" help:"Print one JSON document."`
	Plot       string `placeholder:"FILE.svg" help:"Draw seconds over items."`
}

// Validate is called by kong.
func (c growthCmd) Validate() error {
	errs := []error{c.bedFlags.Validate()}
	if len(c.Sizes) == 0 {
		errs = append(errs, errors.New("--sizes names no size"))
	}
	for _, n := range c.Sizes {
		errs = append(errs, engineCmd{bedFlags: c.bedFlags, Items: n, Steps: c.Steps, Definition: c.Definition, Rounds: c.Rounds}.Validate())
	}
	return errors.Join(errs...)
}

func (c growthCmd) Run(ctx context.Context, t *terms) error {
	points, err := engine.Grow(ctx, engine.Options{Steps: c.Steps, Definition: c.Definition, Fsync: c.Fsync, Workers: c.Workers, Slots: c.Slots,
		Redis: c.Redis, Rounds: c.Rounds}, c.Sizes, t.log, func(line string) { t.say("%s", line) })
	if err != nil {
		return err
	}
	if c.Plot != "" {
		err = t.draw(c.Plot, growthPlot(points))
		if err != nil {
			return err
		}
	}
	if c.JSON {
		return t.document(points)
	}
	t.print("%10s %10s %10s %14s", "items", "seconds", "steps/s", "join ms")
	for _, p := range points {
		t.print("%10d %10.3f %10.0f %14.1f", p.Items, p.Seconds, p.StepsPerSecond, p.Join)
	}
	return nil
}

// growthPlot has beside what was measured what it would be if all grew as the last but one size does.
func growthPlot(points []engine.Point) string {
	ours := plot.Line{Name: "measured"}
	even := plot.Line{Name: "in proportion to the size before the last", Dashed: true}
	base := points[max(0, len(points)-2)]
	for _, p := range points {
		ours.Points = append(ours.Points, plot.Point{X: float64(p.Items), Y: p.Seconds})
		even.Points = append(even.Points, plot.Point{X: float64(p.Items), Y: base.Seconds * float64(p.Items) / float64(base.Items)})
	}
	return plot.LogLog("From request to end, nothing switched off", "items of a distribution", "seconds", []plot.Line{ours, even})
}

// draw writes a picture.
func (t *terms) draw(path, svg string) error { return os.WriteFile(path, []byte(svg), 0o644) }
