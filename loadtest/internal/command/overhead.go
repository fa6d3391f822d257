package command

import (
	"context"
	"errors"

	"github.com/filigreehq/filigree/loadtest/internal/send"
)

type overheadCmd struct {
	siteFlags
	Files      int  `default:"10" placeholder:"F" help:"How many files. Default: 10."`
	Recipients int  `default:"1000" placeholder:"R" help:"How many people. Default: 1000."`
	Rounds     int  `default:"5" placeholder:"N" help:"How many times each is measured, in turns, after a first time that does not count. Default: 5."`
	JSON       bool `name:"json" help:"Print one JSON document."`
}

// Validate is called by kong.
func (c overheadCmd) Validate() error {
	errs := []error{sendCmd{siteFlags: c.siteFlags, Files: c.Files, Recipients: c.Recipients, Count: 1}.Validate()}
	if c.URL != "" {
		errs = append(errs, errors.New("--url: this starts installations of its own"))
	}
	if c.Rounds < 1 || c.Rounds > 100 {
		errs = append(errs, errors.New("--rounds must be between 1 and 100"))
	}
	return errors.Join(errs...)
}

func (c overheadCmd) Run(ctx context.Context, t *terms) error {
	ctx, cancel := c.within(ctx)
	defer cancel()
	o := c.options()
	o.Files, o.Recipients = c.Files, c.Recipients
	got, err := send.MeasureOverhead(ctx, o, c.Rounds, func(line string) { t.say("%s", line) })
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(got)
	}
	t.print("an observer, metrics and %d spans cost %+.1f %% of the time and %+.1f %% of the processors' (at most 10 is right)", got.Spans, 100*(got.Ratio-1), 100*(got.CPURatio-1))
	return nil
}
