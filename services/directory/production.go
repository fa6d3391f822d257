package directory

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

// CreateProduction makes a production; making it again under the same name answers with the one there is.
func (s *Server) CreateProduction(ctx context.Context, req *directoryv1.CreateProductionRequest) (*directoryv1.CreateProductionResponse, error) {
	name := strings.TrimSpace(visible(req.GetName()))
	if name == "" {
		return nil, fault.New(fault.Invalid, "PRODUCTION_NAME_EMPTY", "a production needs a name that can be seen")
	}
	id := req.GetId()
	if id == "" {
		id = slug(name)
	}
	if id == "" {
		return nil, fault.New(fault.Invalid, "PRODUCTION_ID_MISSING", "no id can be made from the name %q: give one, of lower-case letters, digits and dashes", name)
	}
	if !rpc.MayActIn(ctx, id) {
		return nil, fault.New(fault.Denied, "PRODUCTION_NOT_YOURS", "this token may act in certain productions only, and %q is not one of them; creating it takes a token for all productions (*)", id)
	}
	p, err := s.createProduction(ctx, id, name, store.Settings{OpenRestricted: req.GetOpenRestricted()})
	if err != nil {
		return nil, err
	}
	return &directoryv1.CreateProductionResponse{Production: productionMessage(p)}, nil
}

func (s *Server) createProduction(ctx context.Context, id, name string, set store.Settings) (store.Production, error) {
	p, err := s.store.CreateProduction(ctx, id, name, set)
	if err != nil {
		return store.Production{}, err
	}
	if p.Name != name {
		return store.Production{}, fault.New(fault.Conflict, "PRODUCTION_EXISTS", "there is a production %q already, named %q; choose another id", id, p.Name)
	}
	if set.OpenRestricted && !p.OpenRestricted {
		return store.Production{}, fault.New(fault.Conflict, "PRODUCTION_EXISTS", "there is a production %q already, and it does not take documents with usage restrictions; change that in its settings", id)
	}
	return p, nil
}

// UpdateProduction changes a production's settings.
func (s *Server) UpdateProduction(ctx context.Context, req *directoryv1.UpdateProductionRequest) (*directoryv1.UpdateProductionResponse, error) {
	t, p, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	if req.OpenRestricted != nil {
		err = t.SetOpenRestricted(ctx, req.GetOpenRestricted(), rand.Text(), rpc.PrincipalFrom(ctx).GetSubject())
		if err != nil {
			return nil, answer(err, req.GetProduction())
		}
		p.OpenRestricted = req.GetOpenRestricted()
	}
	return &directoryv1.UpdateProductionResponse{Production: productionMessage(p)}, nil
}

// EnsureProduction makes the production id unless there is one, whatever it is named. It is for starting up.
func (s *Server) EnsureProduction(ctx context.Context, id, name string) error {
	_, err := s.store.CreateProduction(ctx, id, name, store.Settings{})
	return err
}

// GetProduction answers with one production.
func (s *Server) GetProduction(ctx context.Context, req *directoryv1.GetProductionRequest) (*directoryv1.GetProductionResponse, error) {
	_, p, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	return &directoryv1.GetProductionResponse{Production: productionMessage(p)}, nil
}

// ListProductions lists the productions that the caller may act in, in the order of their ids.
func (s *Server) ListProductions(ctx context.Context, req *directoryv1.ListProductionsRequest) (*directoryv1.ListProductionsResponse, error) {
	after, err := base64.RawURLEncoding.DecodeString(req.GetPageToken())
	if err != nil || len(after) > 0 && !store.ValidProduction(string(after)) {
		return nil, errPageToken()
	}
	page, next, err := s.store.Productions(ctx, grantOf(rpc.PrincipalFrom(ctx)), string(after), pageSize(req.GetPageSize()))
	if err != nil {
		return nil, err
	}
	resp := &directoryv1.ListProductionsResponse{NextPageToken: base64.RawURLEncoding.EncodeToString([]byte(next))}
	for _, p := range page {
		resp.Productions = append(resp.Productions, productionMessage(p))
	}
	return resp, nil
}

func productionMessage(p store.Production) *directoryv1.Production {
	return &directoryv1.Production{Id: p.ID, Name: p.Name, CreatedAt: timestamppb.New(p.Created), OpenRestricted: p.OpenRestricted}
}

// slug makes a production's id from its name: "Die Größte Show, 2" is "die-grosste-show-2". It is empty if the name has
// no letter or digit that comes down to ASCII.
func slug(name string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ReplaceAll(strings.ToLower(name), "ß", "ss")) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r): // the accent of the letter before
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	id := b.String()
	return strings.Trim(id[:min(len(id), 63)], "-")
}
