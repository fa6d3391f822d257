package orchestrator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

func recipientView(distribution string, n int, r store.Recipient) map[string]any {
	delivery := deliveryID(distribution, n, r.Revision)
	mail := delivery
	if r.Mails > 0 {
		mail += "/" + strconv.Itoa(r.Mails+1)
	}
	return map[string]any{"id": recipientID(distribution, n), "number": n, "name": r.Name, "email": r.Email,
		"delivery": delivery, "mail": mail}
}

func digest(request string) string {
	sum := sha256.Sum256([]byte(request))
	return hex.EncodeToString(sum[:16])
}

// requestOf makes the request of step for unit u with what is known of the recipient.
func (s *Server) requestOf(ctx context.Context, d *distribution, step *plan.Step, u plan.Unit, r *store.Recipient) (string, error) {
	f := d.needed(step, u)
	err := s.store.Read(ctx, []*store.Facts{&f})
	if err != nil {
		return "", err
	}
	f.Person = r
	return d.def.Request(step.Name, &known{d: d, unit: u, facts: &f}, d.sameFor(r))
}

func (f file) view() map[string]any {
	return map[string]any{"sha256": f.SHA256, "name": f.Name}
}

// fields are the values for the mark's fields of one item. They are all that a mark can say, and depend on nothing that
// changes after acceptance, so that a repeated stamp is the same.
func (d *distribution) fields(u plan.Unit, r store.Recipient) map[string]any {
	at := d.spec.At.UTC()
	fields := map[string]any{
		"name": r.Name, "email": r.Email,
		"date": at.Format("2006-01-02"), "time": at.Format("15:04 UTC"),
		"copy": strconv.Itoa(u.Recipient), "production": d.spec.ProductionName, "title": d.spec.Title,
		"file": d.spec.Files[u.File-1].Name,
	}
	for k, v := range r.Fields {
		_, ours := fields[k]
		if !ours {
			fields[k] = v
		}
	}
	return fields
}

func recipientID(distribution string, n int) string { return distribution + ".r" + strconv.Itoa(n) }

// deliveryID names what a recipient is sent: sent again by a person's wish it is another thing, retried it is the same.
func deliveryID(distribution string, n, revision int) string {
	if revision == 0 {
		return recipientID(distribution, n)
	}
	return recipientID(distribution, n) + "." + strconv.Itoa(revision)
}

func itemID(distribution string, u plan.Unit) string {
	return distribution + "." + strconv.Itoa(u.File) + "." + strconv.Itoa(u.Recipient)
}
