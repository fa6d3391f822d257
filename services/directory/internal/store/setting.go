package store

import (
	"context"
	"fmt"
)

// SetOpenRestricted changes whether the production takes documents that are encrypted but open without a password, and
// records in the audit, by call and who, that it was changed.
func (t Tenant) SetOpenRestricted(ctx context.Context, open bool, call, who string) error {
	r, err := t.s.run(ctx, t.s.scripts.productionUpdate, 0, []string{productionKey(t.production), auditKey(t.production)},
		flag(open), call, who, auditKept)
	if err != nil {
		return fmt.Errorf("change production %s: %w", t.production, err)
	}
	switch r.code {
	case "updated", "already":
		return nil
	case "no_production":
		return ErrNoProduction
	}
	return r.unexpected()
}
