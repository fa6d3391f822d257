package observer

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/share"
)

const (
	// sharedFor is how long a shared address works unless somebody says otherwise.
	sharedFor = 7 * 24 * time.Hour
	// sharedPath is where the gateway shows what is shared.
	sharedPath = "/s/"
	// sharedPage is how many recipients it shows at once.
	sharedPage = 100
)

// ShareDistribution implements observerv1.ObserverServiceServer.
func (s *Server) ShareDistribution(ctx context.Context, req *observerv1.ShareDistributionRequest) (*observerv1.ShareDistributionResponse, error) {
	_, err := s.getDistribution(ctx, &distributionv1.GetDistributionRequest{Production: req.GetProduction(), Distribution: req.GetDistribution()})
	if err != nil {
		return nil, err
	}
	generation, err := s.store.ShareGeneration(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, storeUnavailable(err)
	}
	key, err := s.deps.Keys.Derive(0, keyring.Share)
	if err != nil {
		return nil, err
	}
	lasts := sharedFor
	if req.GetExpiresIn() != nil {
		lasts = req.GetExpiresIn().AsDuration()
	}
	expires := s.deps.Now().Add(lasts).Truncate(time.Second)
	token := share.Token(key, share.Grant{Production: req.GetProduction(), Distribution: req.GetDistribution(), Expires: expires,
		Masked: req.GetMaskNames(), Generation: generation})
	return &observerv1.ShareDistributionResponse{Url: strings.TrimSuffix(s.cfg.PublicURL, "/") + sharedPath + token, ExpiresAt: timestamppb.New(expires)}, nil
}

// UnshareDistribution implements observerv1.ObserverServiceServer.
func (s *Server) UnshareDistribution(ctx context.Context, req *observerv1.UnshareDistributionRequest) (*observerv1.UnshareDistributionResponse, error) {
	_, err := s.getDistribution(ctx, &distributionv1.GetDistributionRequest{Production: req.GetProduction(), Distribution: req.GetDistribution()})
	if err != nil {
		return nil, err
	}
	err = s.store.Unshare(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, storeUnavailable(err)
	}
	return &observerv1.UnshareDistributionResponse{}, nil
}

// GetShared implements observerv1.ObserverServiceServer.
func (s *Server) GetShared(ctx context.Context, req *observerv1.GetSharedRequest) (*observerv1.GetSharedResponse, error) {
	var keys [][]byte
	for n := 1; n <= s.deps.Keys.Active(); n++ {
		key, err := s.deps.Keys.Derive(n, keyring.Share)
		if err == nil { // one that was taken out of the ring ends what it sealed
			keys = append(keys, key)
		}
	}
	g, err := share.Open(keys, req.GetToken(), s.deps.Now())
	if err != nil && !errors.Is(err, share.ErrExpired) {
		return nil, fault.New(fault.NotFound, "SHARE_UNKNOWN", "there is nothing under this address; check that it is whole")
	}
	if err != nil {
		return nil, fault.New(fault.NotFound, "SHARE_EXPIRED", "this address worked until %s; ask whoever gave it to you for a new one", g.Expires.UTC().Format("2006-01-02 15:04 MST"))
	}
	generation, err := s.store.ShareGeneration(ctx, g.Production, g.Distribution)
	if err != nil {
		return nil, storeUnavailable(err)
	}
	if generation != g.Generation {
		return nil, fault.New(fault.NotFound, "SHARE_REVOKED", "this address was taken back; ask whoever gave it to you for a new one")
	}
	got, err := s.getDistribution(ctx, &distributionv1.GetDistributionRequest{Production: g.Production, Distribution: g.Distribution})
	if err != nil {
		return nil, err
	}
	list, err := s.listRecipients(ctx, &distributionv1.ListRecipientsRequest{Production: g.Production, Distribution: g.Distribution,
		PageSize: sharedPage, PageToken: req.GetPageToken()})
	if err != nil {
		return nil, err
	}
	if g.Masked {
		for _, r := range list.GetRecipients() {
			mask(r)
		}
	}
	return &observerv1.GetSharedResponse{Distribution: got.GetDistribution(), Recipients: list.GetRecipients(), NextPageToken: list.GetNextPageToken(),
		ExpiresAt: timestamppb.New(g.Expires), Freshness: s.fresh(ctx)}, nil
}

// mask leaves nothing of a recipient by which somebody else would know them.
func mask(r *distributionv1.Recipient) {
	hide := strings.NewReplacer(r.GetEmail(), share.MaskAddress(r.GetEmail()), r.GetName(), share.MaskName(r.GetName()))
	if r.GetEmail() == "" || r.GetName() == "" {
		hide = strings.NewReplacer()
	}
	r.Name, r.Email = share.MaskName(r.GetName()), share.MaskAddress(r.GetEmail())
	r.Fields, r.Mark, r.MarkStyle = nil, "", nil
	d := r.GetDelivery()
	if d == nil {
		return
	}
	d.MessageId, d.Reply = "", "" // mail servers repeat addresses
	if d.GetError() != nil {
		d.Error.Message = hide.Replace(d.GetError().GetMessage())
	}
}
