package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

type reportCmd struct {
	serverFlags
	productionFlag
	ID  string `arg:"" help:"The distribution."`
	Out string `short:"o" placeholder:"FILE" help:"Where it goes, which only you may read then. Default: it is printed."`
}

// Run writes the whole table or nothing: it has come as a whole before any of it is shown.
func (c *reportCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	if c.Out != "" {
		var asked error
		err = writeWhole(c.Out, 0o600, func(f *os.File) error {
			asked = client.Report(ctx, c.Production, c.ID, f)
			return asked
		})
		if err != nil && asked == nil {
			return refuse("OUT_BAD", "the report cannot be written: %v", err)
		}
		return err
	}
	tmp, err := os.CreateTemp("", "filigree-*")
	if err != nil {
		return refuse("OUT_BAD", "there is no room to gather the report in: %v", err)
	}
	defer func() { _ = errors.Join(tmp.Close(), os.Remove(tmp.Name())) }() // of no further use
	err = client.Report(ctx, c.Production, c.ID, tmp)
	if err != nil {
		return err
	}
	_, err = tmp.Seek(0, io.SeekStart)
	if err == nil {
		_, err = io.Copy(t.out, tmp)
	}
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}
