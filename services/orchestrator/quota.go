package orchestrator

import (
	"cmp"
	"context"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// What a production may have under way where nothing else is set: far more than people send, and what one Redis carries.
const (
	mostOpenItems = 1_000_000
	mostPerMinute = 6_000
)

// quotaAgain is when to ask again while too many items are open: nobody knows when they end.
const quotaAgain = 30 * time.Second

// quota is the studio's, for productions that have none of their own.
func (c Config) quota() store.Quota {
	return store.Quota{
		Items:  new(max(cmp.Or(c.MaxOpenItems, mostOpenItems), 0)),
		Minute: new(max(cmp.Or(c.MaxPerMinute, mostPerMinute), 0)),
	}
}

// beyondQuota says what was refused, by how much, and what to do.
func beyondQuota(production string, b *store.Beyond) error {
	if !b.Items {
		f := fault.New(fault.Exhausted, "QUOTA_RATE",
			"production %q may create %d distributions a minute and has; nothing was created. Wait %d s and send it again, put more recipients into one distribution, or have whoever is on call raise the quota",
			production, b.Most, int((b.After+time.Second-1)/time.Second))
		f.RetryAfter = max(b.After, time.Second)
		return f
	}
	what := "Wait until some have ended and send it again, cancel what is not needed"
	if b.Want > b.Most {
		what = "Send it to fewer at a time"
	}
	f := fault.New(fault.Exhausted, "QUOTA_OPEN_ITEMS",
		"production %q may have %d items open and has %d; these %d would be too many, and nothing was created. %s, or have whoever is on call raise the quota",
		production, b.Most, b.Have, b.Want, what)
	f.RetryAfter = quotaAgain
	return f
}

// GetQuota implements controlv1.ControlServiceServer.
func (s *Server) GetQuota(ctx context.Context, req *controlv1.GetQuotaRequest) (*controlv1.GetQuotaResponse, error) {
	err := s.knowsProduction(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	q, err := s.quotaView(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	return &controlv1.GetQuotaResponse{Quota: q}, nil
}

// SetQuota implements controlv1.ControlServiceServer.
func (s *Server) SetQuota(ctx context.Context, req *controlv1.SetQuotaRequest) (*controlv1.SetQuotaResponse, error) {
	err := s.knowsProduction(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	whole := func(v *int32) *int {
		if v == nil {
			return nil
		}
		return new(int(*v))
	}
	q := req.GetQuota()
	if q == nil {
		q = &controlv1.Quota{}
	}
	err = s.store.SetQuota(ctx, req.GetProduction(), store.Quota{Items: whole(q.OpenItems), Minute: whole(q.PerMinute)})
	if err != nil {
		return nil, unavailable(err)
	}
	s.deps.Log.InfoContext(ctx, "quota set", "production", req.GetProduction(), "by", who(ctx))
	now, err := s.quotaView(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	return &controlv1.SetQuotaResponse{Quota: now}, nil
}

func (s *Server) quotaView(ctx context.Context, production string) (*controlv1.Quota, error) {
	own, used, err := s.store.Quota(ctx, production)
	if err != nil {
		return nil, unavailable(err)
	}
	small := func(v *int) *int32 {
		if v == nil {
			return nil
		}
		return new(int32(*v))
	}
	holds := func(own, all *int) int32 {
		if own != nil {
			return int32(*own)
		}
		return int32(*all)
	}
	all := s.cfg.quota()
	return &controlv1.Quota{
		OpenItems: small(own.Items), PerMinute: small(own.Minute),
		MostOpenItems: holds(own.Items, all.Items), MostPerMinute: holds(own.Minute, all.Minute),
		ItemsOpen: int32(used.Items), LastMinute: int32(used.Minute),
	}, nil
}
