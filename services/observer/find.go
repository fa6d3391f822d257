package observer

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/index"
	"github.com/filigreehq/filigree/services/observer/internal/story"
)

const (
	searchPage = 20
	findPage   = 100
	// mostAsked is how many items' states one search asks the records for.
	mostAsked = 20
)

// searched is where the caller may look: in production if it is given, else everywhere they may act.
func searched(ctx context.Context, production string) (index.Scope, error) {
	if production != "" {
		if !rpc.MayActIn(ctx, production) {
			return index.Scope{}, rpc.UnknownProduction(production)
		}
		return index.Scope{Productions: []string{production}}, nil
	}
	return index.Scope{All: rpc.MayActIn(ctx, "*"), Productions: rpc.PrincipalFrom(ctx).GetProductions()}, nil
}

// Search implements observerv1.ObserverServiceServer.
func (s *Server) Search(ctx context.Context, req *observerv1.SearchRequest) (*observerv1.SearchResponse, error) {
	where, err := searched(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	q := index.Query{Text: req.GetQuery(), Kind: req.GetKind(), Scope: where, Most: int(req.GetPageSize()), After: req.GetPageToken()}
	if q.Most == 0 {
		q.Most = searchPage
	}
	hits, next, err := s.index.Search(ctx, q)
	if err != nil {
		return nil, indexError(ctx, err, req.GetPageToken())
	}
	resp := &observerv1.SearchResponse{NextPageToken: next, Freshness: s.fresh(ctx)}
	asked := 0
	for _, h := range hits {
		v := &observerv1.Hit{Kind: h.Kind, Production: h.Production, Distribution: h.Distribution, Unit: h.Unit, Name: h.Name, Detail: h.Detail,
			State: h.State, Time: stampOf(h.Time), Code: h.Code}
		if file, recipient := story.Numbers(h.Unit); file > 0 && recipient > 0 && asked < mostAsked {
			asked++
			v.State = s.itemState(ctx, h.Production, h.Distribution, file, recipient)
		}
		resp.Hits = append(resp.Hits, v)
	}
	return resp, nil
}

// itemState is an item's state; empty while neither the records nor the archive answer.
func (s *Server) itemState(ctx context.Context, production, id string, file, recipient int) string {
	body, found, err := s.index.Get(ctx, production, id)
	if err != nil || !found {
		return ""
	}
	var d distributionv1.Distribution
	err = proto.Unmarshal(body, &d)
	if err != nil {
		return ""
	}
	at := (file-1)*int(d.GetRecipients().GetTotal()) + recipient - 1
	got, err := s.listItems(itself(ctx), &distributionv1.ListItemsRequest{Production: production, Distribution: id, PageToken: strconv.Itoa(at), PageSize: 1})
	if err != nil || len(got.GetItems()) == 0 {
		return ""
	}
	return got.GetItems()[0].GetState()
}

// FindDistributions implements observerv1.ObserverServiceServer.
func (s *Server) FindDistributions(ctx context.Context, req *observerv1.FindDistributionsRequest) (*observerv1.FindDistributionsResponse, error) {
	where, err := searched(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	now := s.deps.Now()
	f := index.Filter{
		Scope: where, States: req.GetStates(), After: moment(req.GetCreatedAfter()), Before: moment(req.GetCreatedBefore()),
		Person: req.GetPerson(), File: req.GetFile(), Error: req.GetError(), Worker: req.GetWorker(), Title: req.GetTitle(),
		Definition: req.GetDefinition(), Late: req.GetLate(), Now: now, Most: int(req.GetPageSize()), From: req.GetPageToken(),
	}
	if f.Most == 0 {
		f.Most = findPage
	}
	found, next, err := s.index.Find(ctx, f)
	if err != nil {
		return nil, indexError(ctx, err, req.GetPageToken())
	}
	resp := &observerv1.FindDistributionsResponse{NextPageToken: next, Freshness: s.fresh(ctx)}
	for _, v := range found {
		if v.Run {
			run := &observerv1.Run{}
			err = proto.Unmarshal(v.Body, run)
			if err != nil {
				return nil, err
			}
			resp.Runs = append(resp.Runs, run)
			continue
		}
		d := &distributionv1.Distribution{}
		err = proto.Unmarshal(v.Body, d)
		if err != nil {
			return nil, err
		}
		d.LateBy = lateBy(d, now)
		resp.Distributions = append(resp.Distributions, d)
	}
	return resp, nil
}

// lateBy is how far past its deadline a distribution ended, or is.
func lateBy(d *distributionv1.Distribution, now time.Time) *durationpb.Duration {
	end := now
	if d.GetEndedAt() != nil {
		end = d.GetEndedAt().AsTime()
	}
	if d.GetDeadline() == nil || !end.After(d.GetDeadline().AsTime()) {
		return nil
	}
	return durationpb.New(end.Sub(d.GetDeadline().AsTime()))
}

func indexError(ctx context.Context, err error, token string) error {
	switch {
	case errors.Is(err, index.ErrToken):
		return fault.New(fault.Invalid, "PAGE_TOKEN_INVALID", "page_token %q is not one that this search has given", token)
	case errors.Is(err, index.ErrReplaced):
		return fault.New(fault.Unavailable, "INDEX_REBUILT", "the search index was broken and is being made anew; ask again in a while")
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}
