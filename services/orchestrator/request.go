package orchestrator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// requestError says that a definition's expressions cannot make a request of what is known: repeating cannot help.
type requestError struct{ error }

func (e *requestError) Unwrap() error { return e.error }

func recipientView(distribution string, n int, r store.Recipient) map[string]any {
	delivery := deliveryID(distribution, n, r.Revision)
	mail := delivery
	if r.Mails > 0 {
		mail += "/" + strconv.Itoa(r.Mails+1)
	}
	return map[string]any{"id": recipientID(distribution, n), "number": n, "name": r.Name, "email": r.Email,
		"delivery": delivery, "mail": mail}
}

// alreadySent reports whether request, for the required delivery to a recipient, is what they were sent before.
func (s *Server) alreadySent(ctx context.Context, d *distribution, step *plan.Step, u plan.Unit, request string) (bool, error) {
	if step.Delivers == "" {
		return false, nil
	}
	rs, err := s.store.Recipients(ctx, d.production, d.id, []int{u.Recipient})
	if err != nil {
		return false, err
	}
	return rs[0].Sent != "" && rs[0].Sent == digest(request), nil
}

func digest(request string) string {
	sum := sha256.Sum256([]byte(request))
	return hex.EncodeToString(sum[:16])
}

// request makes the request of step for unit u.
func (s *Server) request(ctx context.Context, d *distribution, step *plan.Step, u plan.Unit) (string, error) {
	if u.Recipient == 0 {
		return s.requestFor(ctx, d, step, u, nil)
	}
	rs, err := s.store.Recipients(ctx, d.production, d.id, []int{u.Recipient})
	if err != nil {
		return "", err
	}
	return s.requestFor(ctx, d, step, u, &rs[0])
}

// requestFor is request with what is known of the recipient.
func (s *Server) requestFor(ctx context.Context, d *distribution, step *plan.Step, u plan.Unit, r *store.Recipient) (string, error) {
	view := d.view()
	if u.File > 0 {
		view["file"] = d.spec.Files[u.File-1].view()
	}
	if r != nil {
		view["recipient"] = recipientView(d.id, u.Recipient, *r)
		if u.Scope() == plan.ScopeItem {
			view["item"] = map[string]any{"id": itemID(d.id, u), "fields": d.fields(u, *r)}
		}
	}
	if u.Scope() == plan.ScopeRecipient {
		items, err := s.items(ctx, d, u.Recipient)
		if err != nil {
			return "", err
		}
		view["items"] = items
	}
	request, err := d.def.Request(step.Name, view)
	if err != nil {
		return "", &requestError{err}
	}
	return request, nil
}

func (f file) view() map[string]any {
	return map[string]any{"sha256": f.SHA256, "name": f.Name}
}

// items is the view of all items of a recipient: each with its file and the state and output of its steps.
func (s *Server) items(ctx context.Context, d *distribution, recipient int) ([]any, error) {
	units := make([]plan.Unit, d.size.Files)
	for f := range units {
		units[f] = plan.Unit{File: f + 1, Recipient: recipient}
	}
	records, err := s.store.Units(ctx, d.production, d.id, units)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(records))
	for i, rec := range records {
		steps := map[string]any{}
		for name, st := range rec.Steps {
			output := map[string]any{}
			if st.Output != "" {
				err = json.Unmarshal([]byte(st.Output), &output)
				if err != nil {
					return nil, fmt.Errorf("output of %s of %s: %w", name, itemID(d.id, rec.Unit), err)
				}
			}
			steps[name] = map[string]any{"state": string(st.State), "output": output}
		}
		out[i] = map[string]any{"id": itemID(d.id, rec.Unit), "file": d.spec.Files[rec.File-1].view(), "steps": steps}
	}
	return out, nil
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
