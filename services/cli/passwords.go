package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"strings"
)

type passwordsCmd struct {
	serverFlags
	productionFlag
	ID string `arg:"" help:"The distribution."`
}

func (c *passwordsCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	list, _, err := client.Recipients(ctx, c.Production, c.ID)
	if err != nil {
		return err
	}
	w := csv.NewWriter(t.out)
	_ = w.Write([]string{"name", "email", "password"}) // kept and told by Error below
	for _, r := range list {
		password, err := client.RevealPassword(ctx, c.Production, r.GetId())
		if err != nil {
			w.Flush() // what was revealed is recorded as such: show it
			return err
		}
		_ = w.Write([]string{harmless(r.GetName()), harmless(r.GetEmail()), password})
	}
	w.Flush()
	err = w.Error()
	if err != nil {
		return fmt.Errorf("write the passwords: %w", err)
	}
	return nil
}

// harmless keeps a spreadsheet from taking a cell for a formula.
func harmless(cell string) string {
	if strings.IndexAny(cell, "=+-@\t\r") == 0 {
		return "'" + cell
	}
	return cell
}
