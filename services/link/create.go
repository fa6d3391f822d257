package link

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/worker"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	"github.com/filigreehq/filigree/services/link/internal/store"
	"github.com/filigreehq/filigree/services/link/internal/token"
)

// firstGeneration is the only one there is so far: a revoked link does not come back, its successor has an id of its own.
const firstGeneration = 1

// Create makes a link, or finds it. It is the handler of the function "link.Create", and works as a plain RPC, too.
func (s *Server) Create(ctx context.Context, req *linkv1.CreateRequest) (*linkv1.CreateResponse, error) {
	lifetime := s.cfg.Lifetime
	if req.GetLifetime() > int64(maxLifetime/time.Second) {
		return nil, fault.New(fault.Invalid, "LINK_LIFETIME_INVALID", "a link cannot be valid for %d seconds; ten years are the most", req.GetLifetime())
	}
	if req.GetLifetime() > 0 {
		lifetime = time.Duration(req.GetLifetime()) * time.Second
	}
	if req.GetMode() == store.ModeDrive && s.drive == nil {
		return nil, driveUnavailable()
	}
	spec := store.Spec{
		Production: req.GetProduction(), ID: req.GetLink(), Distribution: req.GetDistribution(), Mode: req.GetMode(),
		Person: strings.ToLower(req.GetEmail()), Lifetime: lifetime, Content: content(req),
	}
	t, err := s.token(spec.Production, spec.ID, s.keys.Active(), firstGeneration)
	if err != nil {
		return nil, err
	}
	claim, err := s.store.Claim(ctx, spec, store.Claim{Hash: t.Hash(), Key: s.keys.Active(), Generation: firstGeneration})
	if err != nil {
		return nil, s.notCreated(ctx, spec, err)
	}
	expires, err := s.store.Put(ctx, spec, claim)
	if err == nil && spec.Mode == store.ModeDrive {
		err = s.putIntoDrive(ctx, spec, claim.Hash, req.GetEmail())
	}
	if err != nil {
		return nil, s.notCreated(ctx, spec, err)
	}
	var linked int64
	for _, d := range req.GetDocuments() {
		linked += d.GetSize()
	}
	worker.Bytes(ctx, linked, 0)
	return &linkv1.CreateResponse{Link: spec.ID, Generation: int32(claim.Generation), ExpiresAt: timestamppb.New(expires)}, nil
}

// notCreated makes the store's errors faults. A link that was revoked while its copies went into Drive must not stay
// shared there, whoever repeats the call.
func (s *Server) notCreated(ctx context.Context, spec store.Spec, err error) error {
	switch {
	case errors.Is(err, store.ErrRevoked):
		if spec.Mode == store.ModeDrive {
			undoErr := s.revokeInDriveByID(ctx, spec.Production, spec.ID)
			if undoErr != nil {
				return undoErr
			}
		}
		return fault.New(fault.Conflict, "LINK_REVOKED", "the link of this recipient was revoked and stays so; send to them again for a new one").Because(err)
	case errors.Is(err, store.ErrOther):
		return fault.New(fault.Conflict, "LINK_DIFFERENT", "there is a link with this id for another person, distribution or mode; send to them again for a new one").Because(err)
	}
	return err
}

func content(req *linkv1.CreateRequest) store.Content {
	c := store.Content{
		Name: clean(req.GetName()), Title: clean(req.GetTitle()), Sender: clean(req.GetProductionName()),
		Text: req.GetText(), Locked: req.GetLocked(),
	}
	for _, name := range req.GetMissing() {
		c.Missing = append(c.Missing, clean(name))
	}
	for _, d := range req.GetDocuments() {
		c.Documents = append(c.Documents, store.Document{
			Name: fileName(d.GetName()), Key: d.GetKey(), SHA256: d.GetSha256(), Size: d.GetSize(),
			Pages: int(d.GetPages()), MediaType: mediaType(d.GetMediaType()), Thumbnail: d.GetThumbnail(),
		})
	}
	return c
}

// token derives a link's token. Each production has a key of its own, so that equal link ids of two make different ones.
func (s *Server) token(production, link string, key, generation int) (token.Token, error) {
	secret, err := s.keys.Derive(key, keyring.Link, production)
	if err != nil {
		return token.Token{}, fault.New(fault.Internal, "LINK_KEY_MISSING", "a link's key is not in the key ring any more; put it back").Because(err)
	}
	return token.Make(secret, link, generation), nil
}

// Urls tells the addresses of links that are active.
func (s *Server) Urls(ctx context.Context, req *linkv1.UrlsRequest) (*linkv1.UrlsResponse, error) {
	claims, links, err := s.byID(ctx, req.GetProduction(), req.GetLinks())
	if err != nil {
		return nil, err
	}
	urls := make(map[string]string, len(links))
	for i, l := range links {
		if l.ID == "" || l.Err() != nil {
			continue
		}
		if l.Mode == store.ModeDrive {
			d, err := s.store.Drive(ctx, l.Hash)
			if err != nil {
				return nil, err
			}
			if d.URL != "" {
				urls[l.ID] = d.URL
			}
			continue
		}
		t, err := s.token(l.Production, l.ID, claims[i].Key, claims[i].Generation)
		if err != nil {
			return nil, err
		}
		urls[l.ID] = s.base.String() + linkPrefix + t.Reveal()
	}
	return &linkv1.UrlsResponse{Urls: urls}, nil
}

// GetLinks tells the state of links, in the order asked for.
func (s *Server) GetLinks(ctx context.Context, req *linkv1.GetLinksRequest) (*linkv1.GetLinksResponse, error) {
	_, links, err := s.byID(ctx, req.GetProduction(), req.GetLinks())
	if err != nil {
		return nil, err
	}
	resp := &linkv1.GetLinksResponse{}
	for i, l := range links {
		state := &linkv1.LinkState{Link: req.GetLinks()[i]}
		if l.ID != "" {
			state.Access = access(l)
			state.ExpiresAt = timestamppb.New(l.Expires)
			state.FirstViewedAt, state.FirstDownloadedAt = stamp(l.FirstViewed), stamp(l.FirstDownloaded)
			state.Views, state.Downloads = int32(l.Views), int32(l.Downloads)
		}
		resp.Links = append(resp.Links, state)
	}
	return resp, nil
}

func access(l store.Link) string {
	switch {
	case errors.Is(l.Err(), store.ErrRevoked):
		return "revoked"
	case l.Err() != nil:
		return "expired"
	}
	return "active"
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// byID returns what is known of a production's links, in the order of ids.
func (s *Server) byID(ctx context.Context, production string, ids []string) ([]store.Claim, []store.Link, error) {
	claims, err := s.store.Claims(ctx, production, ids)
	if err != nil {
		return nil, nil, err
	}
	hashes := make([]string, len(claims))
	for i, c := range claims {
		hashes[i] = c.Hash
	}
	links, err := s.store.Find(ctx, hashes...)
	return claims, links, err
}
