package orchestrator

import (
	"context"
	"errors"
	"net/mail"
	"strconv"

	"google.golang.org/grpc/metadata"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

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
	asked := asking(ctx, req)
	if asked != "" && was.Asked == asked {
		// The same request once more. All that may be left to do is what comes after the mail is on its way.
		return s.resent(ctx, d, n, was.Revision-1)
	}
	now := was
	now.Asked = asked
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
	if now.Name != was.Name || now.Email != was.Email {
		for _, f := range d.markedFiles(d.spec.of(now)) {
			err = d.checkCopy(d.spec.of(now), plan.Unit{File: f, Recipient: n}, now)
			if err != nil {
				return nil, badMark(err)
			}
		}
	}
	now.Revision++
	now.Mails, now.Sent = 0, ""
	redo := plan.Redo{Delivery: true}
	if now.Name != was.Name || now.Email != was.Email {
		redo.Changed = func(step *plan.Step) bool { return step.Scope == plan.ScopeItem }
	}
	again, err := s.revive(ctx, d, n, redo, &now, "resend")
	if err != nil && !errors.Is(err, errBusy) {
		return nil, s.reviveError(d, err)
	}
	if !again {
		return nil, fault.New(fault.Conflict, "DELIVERY_UNDER_WAY", "%s is being sent to right now, or none of their documents could be made; nothing was changed", req.GetRecipient())
	}
	return s.resent(ctx, d, n, was.Revision)
}

// asking is the digest of a request's idempotency key and of what it asks for; empty without a key.
func asking(ctx context.Context, req *distributionv1.ResendRecipientRequest) string {
	key := req.GetIdempotencyKey()
	md, _ := metadata.FromIncomingContext(ctx)
	header := md.Get("idempotency-key")
	if key == "" && len(header) > 0 {
		key = header[0]
	}
	if key == "" {
		return ""
	}
	return digest(key + "\n" + req.GetEmail() + "\n" + req.GetName())
}

// resent ends the link of the delivery that had revision, which another one replaces, and says what became of the recipient.
func (s *Server) resent(ctx context.Context, d *distribution, n, revision int) (*distributionv1.ResendRecipientResponse, error) {
	err := s.endLink(ctx, d, deliveryID(d.id, n, revision))
	if err != nil {
		return nil, err
	}
	r, err := s.recipient(ctx, d, n)
	if err != nil {
		return nil, err
	}
	return &distributionv1.ResendRecipientResponse{Recipient: r}, nil
}

// recipient is how one stands now.
func (s *Server) recipient(ctx context.Context, d *distribution, n int) (*distributionv1.Recipient, error) {
	list, err := s.ListRecipients(ctx, &distributionv1.ListRecipientsRequest{Production: d.production, Distribution: d.id,
		PageToken: strconv.Itoa(n - 1), PageSize: 1})
	if err != nil {
		return nil, err
	}
	return list.GetRecipients()[0], nil
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

// RevokeRecipient implements distributionv1.DistributionServiceServer. The links of all their mails are named, also of those that
// a resend replaced: that call may have ended before it came to the old link.
func (s *Server) RevokeRecipient(ctx context.Context, req *distributionv1.RevokeRecipientRequest) (*distributionv1.RevokeRecipientResponse, error) {
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
	resp := &distributionv1.RevokeRecipientResponse{}
	if d.spec.Mode != "attachment" && s.deps.Links != nil {
		var links []string
		for revision := max(0, people[0].Revision-mostLinks+1); revision <= people[0].Revision; revision++ {
			links = append(links, deliveryID(d.id, n, revision))
		}
		ended, err := s.deps.Links.Revoke(ctx, &linkv1.RevokeRequest{Production: d.production, Distribution: d.id, Links: links})
		if err != nil {
			return nil, err
		}
		resp.LinksRevoked = ended.GetRevoked()
		got, err := s.deps.Links.GetLinks(ctx, &linkv1.GetLinksRequest{Production: d.production, Links: links})
		if err != nil {
			return nil, err
		}
		for _, l := range got.GetLinks() {
			if l.GetDownloads() > 0 {
				resp.BeyondRecall = 1
			}
		}
	}
	resp.Recipient, err = s.recipient(ctx, d, n)
	if err != nil {
		return nil, err
	}
	if d.spec.Mode == "attachment" {
		switch plan.Delivery(resp.GetRecipient().GetDelivery().GetState()) {
		case plan.Sent, plan.Delivered, plan.Complained, plan.Uncertain:
			resp.BeyondRecall = 1
		}
	}
	s.deps.Log.InfoContext(ctx, "recipient revoked", "production", d.production, "recipient", req.GetRecipient(), "links", resp.GetLinksRevoked(), "by", who(ctx))
	return resp, nil
}

// mostLinks is how many links one call may name. Of a recipient who was sent more mails, each had ended the link before.
const mostLinks = 1000

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
