package orchestrator

import (
	"context"
	"errors"
	"net/mail"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// RetryDistribution implements distributionv1.DistributionServiceServer.
func (s *Server) RetryDistribution(ctx context.Context, req *distributionv1.RetryDistributionRequest) (*distributionv1.RetryDistributionResponse, error) {
	d, err := s.find(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	numbers, err := d.numbers(req.GetRecipients())
	if err != nil {
		return nil, err
	}
	revived, err := s.reviveFiles(ctx, d)
	if err != nil {
		return nil, s.reviveError(d, err)
	}
	for len(numbers) > 0 {
		part := numbers[:min(len(numbers), 100)]
		numbers = numbers[len(part):]
		for _, n := range part {
			again, err := s.revive(ctx, d, n, plan.Redo{}, nil, "retry")
			if err != nil {
				return nil, s.reviveError(d, err)
			}
			revived = revived || again
		}
	}
	if !revived {
		return nil, fault.New(fault.Conflict, "NOTHING_TO_RETRY", "nothing of this distribution has failed, so there is nothing to do again")
	}
	s.kickChores()
	v, err := s.view(ctx, d.production, d.id)
	if err != nil {
		return nil, err
	}
	return &distributionv1.RetryDistributionResponse{Distribution: v}, nil
}

// numbers are the recipients that ids name; all if there are none.
func (d *distribution) numbers(ids []string) ([]int, error) {
	var out []int
	for _, id := range ids {
		n, err := d.number(id)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	if len(ids) == 0 {
		for n := range d.size.Recipients {
			out = append(out, n+1)
		}
	}
	return out, nil
}

// number is the recipient that id names.
func (d *distribution) number(id string) (int, error) {
	text, ok := strings.CutPrefix(id, d.id+".r")
	n, err := strconv.Atoi(text)
	if !ok || err != nil || n < 1 || n > d.size.Recipients || recipientID(d.id, n) != id {
		return 0, fault.New(fault.NotFound, "RECIPIENT_UNKNOWN", "there is no recipient %q in distribution %s", id, d.id)
	}
	return n, nil
}

func (s *Server) reviveError(d *distribution, err error) error {
	switch {
	case errors.Is(err, store.ErrCancelled):
		return fault.New(fault.Conflict, "DISTRIBUTION_CANCELLED", "distribution %s was cancelled and stays so; send what is wanted as a new one", d.id)
	case errors.Is(err, store.ErrChanged):
		return fault.New(fault.Unavailable, "DISTRIBUTION_BUSY", "distribution %s is changing too fast to do this now; try again", d.id)
	}
	return unavailable(err)
}

// tries is how often a revival is tried anew because something changed between looking and doing.
const tries = 5

// reviveFiles makes steps of files run again that failed.
func (s *Server) reviveFiles(ctx context.Context, d *distribution) (bool, error) {
	for range tries {
		records, err := s.store.Units(ctx, d.production, d.id, d.fileUnits())
		if err != nil {
			return false, err
		}
		revivals := plan.ReviveFiles(d.steps, states(records))
		if len(revivals) == 0 {
			return false, nil
		}
		err = s.store.Revive(ctx, d.production, d.id, store.Again{
			Revivals: revivals, Attempts: attempts(records, revivals), Who: who(ctx), Kind: "retry",
		})
		if !errors.Is(err, store.ErrChanged) {
			return err == nil, err
		}
	}
	return false, store.ErrChanged
}

// revive makes steps of one recipient run again: what failed, what redo asks for, and what waits for those. data
// replaces what is known of the recipient. It reports whether there was anything to do.
func (s *Server) revive(ctx context.Context, d *distribution, n int, redo plan.Redo, data *store.Recipient, kind string) (bool, error) {
	itemUnits := make([]plan.Unit, d.size.Files)
	for f := range itemUnits {
		itemUnits[f] = plan.Unit{File: f + 1, Recipient: n}
	}
	units := append(append(d.fileUnits(), itemUnits...), plan.Unit{Recipient: n})
	for range tries {
		records, err := s.store.Units(ctx, d.production, d.id, units)
		if err != nil {
			return false, err
		}
		all := states(records)
		files, items, recipient := all[:d.size.Files], all[d.size.Files:2*d.size.Files], all[2*d.size.Files]
		revivals := plan.Revive(d.steps, d.join, redo, files, items, recipient)
		if len(revivals) == 0 {
			return false, nil
		}
		again := store.Again{Revivals: revivals, Attempts: attempts(records, revivals), Phases: map[plan.Unit]plan.Phase{},
			Recipient: n, Delivery: records[len(records)-1].Delivery, Data: data, Who: who(ctx), Kind: kind}
		for _, item := range items {
			again.Phases[item.Unit] = item.Phase
		}
		if data == nil {
			again.Data, err = s.furtherMail(ctx, d, n, revivals)
			if err != nil {
				return false, err
			}
		}
		err = s.store.Revive(ctx, d.production, d.id, again)
		if !errors.Is(err, store.ErrChanged) {
			return err == nil, err
		}
	}
	return false, store.ErrChanged
}

// furtherMail is what is known of a recipient from now on whose delivery was sent and is among the revivals: should
// there be more to send it is another mail, and what was sent is kept in mind, so that the same is not sent again.
// Otherwise it is nil.
func (s *Server) furtherMail(ctx context.Context, d *distribution, n int, revivals []plan.Revival) (*store.Recipient, error) {
	for _, r := range revivals {
		if r.Step.Delivers == "" || r.From != plan.Done {
			continue
		}
		people, err := s.store.Recipients(ctx, d.production, d.id, []int{n})
		if err != nil {
			return nil, err
		}
		now := people[0]
		now.Mails++
		request, err := s.requestFor(ctx, d, r.Step, r.Unit, &now)
		if err != nil {
			return nil, err
		}
		now.Sent = digest(request)
		return &now, nil
	}
	return nil, nil
}

func (d *distribution) fileUnits() []plan.Unit {
	units := make([]plan.Unit, d.size.Files)
	for f := range units {
		units[f] = plan.Unit{File: f + 1}
	}
	return units
}

func states(records []store.UnitRecord) []plan.UnitState {
	out := make([]plan.UnitState, len(records))
	for i, rec := range records {
		out[i] = plan.UnitState{Unit: rec.Unit, Phase: rec.Phase, Steps: map[string]plan.State{}}
		for name, st := range rec.Steps {
			out[i].Steps[name] = st.State
		}
	}
	return out
}

// attempts are those that each revived step had.
func attempts(records []store.UnitRecord, revivals []plan.Revival) []int {
	had := map[plan.Unit]map[string]store.StepRecord{}
	for _, rec := range records {
		had[rec.Unit] = rec.Steps
	}
	out := make([]int, len(revivals))
	for i, r := range revivals {
		out[i] = had[r.Unit][r.Step.Name].Attempts
	}
	return out
}

func who(ctx context.Context) string { return rpc.PrincipalFrom(ctx).GetSubject() }

// ResendRecipient implements distributionv1.DistributionServiceServer.
func (s *Server) ResendRecipient(ctx context.Context, req *distributionv1.ResendRecipientRequest) (*distributionv1.ResendRecipientResponse, error) {
	d, err := s.find(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	n, err := d.number(req.GetRecipient())
	if err != nil {
		return nil, err
	}
	people, err := s.store.Recipients(ctx, d.production, d.id, []int{n})
	if err != nil {
		return nil, unavailable(err)
	}
	was := people[0]
	now := was
	if req.GetEmail() != "" {
		address, err := mail.ParseAddress(req.GetEmail())
		if err != nil || address.Name != "" || address.Address != req.GetEmail() {
			return nil, fault.New(fault.Invalid, "RECIPIENT_INVALID", "%q is not an e-mail address; nothing was changed", req.GetEmail())
		}
		now.Email = req.GetEmail()
	}
	if req.GetName() != "" {
		now.Name = req.GetName()
	}
	now.Revision++
	now.Mails, now.Sent = 0, ""
	again, err := s.revive(ctx, d, n, plan.Redo{Delivery: true, Copies: now.Email != was.Email || now.Name != was.Name}, &now, "resend")
	if err != nil {
		return nil, s.reviveError(d, err)
	}
	if !again {
		return nil, fault.New(fault.Conflict, "DELIVERY_UNDER_WAY", "%s is being sent to right now, or none of their documents could be made; nothing was changed", req.GetRecipient())
	}
	err = s.endLink(ctx, d, deliveryID(d.id, n, was.Revision))
	if err != nil {
		return nil, err
	}
	list, err := s.ListRecipients(ctx, &distributionv1.ListRecipientsRequest{Production: d.production, Distribution: d.id,
		PageToken: strconv.Itoa(n - 1), PageSize: 1})
	if err != nil {
		return nil, err
	}
	return &distributionv1.ResendRecipientResponse{Recipient: list.GetRecipients()[0]}, nil
}

// endLink revokes the link of a delivery that another one replaces.
func (s *Server) endLink(ctx context.Context, d *distribution, link string) error {
	if d.spec.Mode == "attachment" || s.deps.Links == nil {
		return nil
	}
	_, err := s.deps.Links.Revoke(ctx, &linkv1.RevokeRequest{Production: d.production, Distribution: d.id, Links: []string{link}})
	return err
}

// RevokeDistribution implements distributionv1.DistributionServiceServer.
func (s *Server) RevokeDistribution(ctx context.Context, req *distributionv1.RevokeDistributionRequest) (*distributionv1.RevokeDistributionResponse, error) {
	d, err := s.find(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	err = s.store.Cancel(ctx, d.production, d.id, who(ctx))
	if err != nil && !errors.Is(err, store.ErrEnded) {
		return nil, unavailable(err)
	}
	s.kickChores()
	resp := &distributionv1.RevokeDistributionResponse{}
	if d.spec.Mode != "attachment" && s.deps.Links != nil {
		ended, err := s.deps.Links.Revoke(ctx, &linkv1.RevokeRequest{Production: d.production, Distribution: d.id})
		if err != nil {
			return nil, err
		}
		resp.LinksRevoked = ended.GetRevoked()
		resp.BeyondRecall, err = s.downloaded(ctx, d)
		if err != nil {
			return nil, err
		}
	}
	resp.Distribution, err = s.view(ctx, d.production, d.id)
	if err != nil {
		return nil, err
	}
	if d.spec.Mode == "attachment" {
		c := resp.GetDistribution().GetRecipients()
		resp.BeyondRecall = c.GetSent() + c.GetDelivered() + c.GetComplained() + c.GetUncertain()
	}
	return resp, nil
}

// downloaded counts recipients who have fetched copies by their link: those cannot be called back.
func (s *Server) downloaded(ctx context.Context, d *distribution) (int32, error) {
	var n int32
	for from := 1; from <= d.size.Recipients; from += 1000 {
		var numbers []int
		for r := from; r < min(from+1000, d.size.Recipients+1); r++ {
			numbers = append(numbers, r)
		}
		people, err := s.store.Recipients(ctx, d.production, d.id, numbers)
		if err != nil {
			return 0, unavailable(err)
		}
		req := &linkv1.GetLinksRequest{Production: d.production}
		for i, r := range numbers {
			req.Links = append(req.Links, deliveryID(d.id, r, people[i].Revision))
		}
		got, err := s.deps.Links.GetLinks(ctx, req)
		if err != nil {
			return 0, err
		}
		for _, l := range got.GetLinks() {
			if l.GetDownloads() > 0 {
				n++
			}
		}
	}
	return n, nil
}
