package store

import (
	"context"
	"fmt"
)

const (
	// auditKept is how many lines of a production's audit are kept, at least.
	auditKept = 100_000
	// auditCompared is how many of the latest lines are looked through for a call that is repeated.
	auditCompared = 64
)

// Line is one line of a production's audit.
type Line struct {
	// Call tells calls apart; a line is recorded once for each.
	Call string
	Who  string
	// What was done: "reveal_password"; "open_restricted", which SetOpenRestricted records; "put_credential",
	// "open_credential" and "delete_credential", which a Safe records.
	What string
	// About is whom it concerns: a recipient's id; or what was set: "on", "off"; or a credential's name.
	About string
}

// Record appends l to the production's audit, with the time.
func (t Tenant) Record(ctx context.Context, l Line) error {
	r, err := t.s.run(ctx, t.s.scripts.audit, 0, []string{productionKey(t.production), auditKey(t.production)},
		l.Call, l.Who, l.What, l.About, auditKept, auditCompared)
	if err != nil {
		return fmt.Errorf("record in the audit of %s: %w", t.production, err)
	}
	switch r.code {
	case "recorded":
		return nil
	case "no_production":
		return ErrNoProduction
	}
	return r.unexpected()
}
