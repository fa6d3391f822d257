package directory

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

// auditEvery is how often one service's opening of one credential gets a line in the audit. Services open what they need
// each time they need it, and a line for each would soon leave the audit no room for anything else.
const auditEvery = time.Minute

// PutCredential seals a production's secret, in place of the one there was.
func (s *Server) PutCredential(ctx context.Context, req *credentialv1.PutCredentialRequest) (*credentialv1.PutCredentialResponse, error) {
	t, p, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	c, err := s.putCredential(ctx, t.Safe(), p.ID, req.GetName(), req.GetSecret())
	if err != nil {
		return nil, answer(err, req.GetProduction())
	}
	return &credentialv1.PutCredentialResponse{Credential: c}, nil
}

// ListCredentials lists what secrets a production has.
func (s *Server) ListCredentials(ctx context.Context, req *credentialv1.ListCredentialsRequest) (*credentialv1.ListCredentialsResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	list, err := credentials(ctx, t.Safe())
	if err != nil {
		return nil, err
	}
	return &credentialv1.ListCredentialsResponse{Credentials: list}, nil
}

// DeleteCredential removes a production's secret; one that is not there is removed already.
func (s *Server) DeleteCredential(ctx context.Context, req *credentialv1.DeleteCredentialRequest) (*credentialv1.DeleteCredentialResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	err = t.Safe().Delete(ctx, req.GetName(), rpc.PrincipalFrom(ctx).GetSubject(), rand.Text())
	if err != nil {
		return nil, err
	}
	return &credentialv1.DeleteCredentialResponse{}, nil
}

// PutStudioCredential seals a secret for all productions, in place of the one there was.
func (s *Server) PutStudioCredential(ctx context.Context, req *credentialv1.PutStudioCredentialRequest) (*credentialv1.PutStudioCredentialResponse, error) {
	err := studioWide(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.putCredential(ctx, s.store.StudioSafe(), "", req.GetName(), req.GetSecret())
	if err != nil {
		return nil, err
	}
	return &credentialv1.PutStudioCredentialResponse{Credential: c}, nil
}

// ListStudioCredentials lists what secrets there are for all productions.
func (s *Server) ListStudioCredentials(ctx context.Context, _ *credentialv1.ListStudioCredentialsRequest) (*credentialv1.ListStudioCredentialsResponse, error) {
	err := studioWide(ctx)
	if err != nil {
		return nil, err
	}
	list, err := credentials(ctx, s.store.StudioSafe())
	if err != nil {
		return nil, err
	}
	return &credentialv1.ListStudioCredentialsResponse{Credentials: list}, nil
}

// DeleteStudioCredential removes a secret that was for all productions; one that is not there is removed already.
func (s *Server) DeleteStudioCredential(ctx context.Context, req *credentialv1.DeleteStudioCredentialRequest) (*credentialv1.DeleteStudioCredentialResponse, error) {
	err := studioWide(ctx)
	if err != nil {
		return nil, err
	}
	err = s.store.StudioSafe().Delete(ctx, req.GetName(), rpc.PrincipalFrom(ctx).GetSubject(), rand.Text())
	if err != nil {
		return nil, err
	}
	return &credentialv1.DeleteStudioCredentialResponse{}, nil
}

// OpenCredential tells a secret to a service. The audit gets a line of it once a minute for each service and name.
func (s *Server) OpenCredential(ctx context.Context, req *credentialv1.OpenCredentialRequest) (*credentialv1.OpenCredentialResponse, error) {
	safe := s.store.StudioSafe()
	if req.GetProduction() != "" {
		t, _, err := s.tenant(ctx, req.GetProduction())
		if err != nil {
			return nil, err
		}
		safe = t.Safe()
	}
	who := rpc.PrincipalFrom(ctx).GetSubject()
	minute := strconv.FormatInt(s.now().Truncate(auditEvery).Unix(), 10)
	sealed, err := safe.Open(ctx, req.GetName(), who, strings.Join([]string{"open", req.GetName(), who, minute}, "/"))
	if errors.Is(err, store.ErrNoCredential) {
		return nil, fault.New(fault.NotFound, "CREDENTIAL_UNKNOWN", "there is no credential %q; an admin can put one", req.GetName())
	}
	if err != nil {
		return nil, err
	}
	secret, err := s.vault.Open(sealed, credentialContext(req.GetProduction(), req.GetName())...)
	if err != nil {
		return nil, fault.New(fault.Internal, "CREDENTIAL_UNREADABLE", "the credential %q cannot be opened: is its key missing in the key ring? Put it again", req.GetName()).Because(err)
	}
	return &credentialv1.OpenCredentialResponse{Secret: secret}, nil
}

func (s *Server) putCredential(ctx context.Context, safe store.Safe, production, name, secret string) (*credentialv1.Credential, error) {
	sealed, err := s.vault.Seal(secret, credentialContext(production, name)...)
	if err != nil {
		return nil, err
	}
	who := rpc.PrincipalFrom(ctx).GetSubject()
	changed, err := safe.Put(ctx, name, sealed, who, rand.Text())
	if errors.Is(err, store.ErrTooManyCredentials) {
		return nil, fault.New(fault.Conflict, "CREDENTIALS_FULL", "there are %d credentials already, and there may be no more; delete what is not needed any longer", store.MaxCredentials)
	}
	if err != nil {
		return nil, err
	}
	return &credentialv1.Credential{Name: name, ChangedAt: timestamppb.New(changed), ChangedBy: who}, nil
}

func credentials(ctx context.Context, safe store.Safe) ([]*credentialv1.Credential, error) {
	found, err := safe.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []*credentialv1.Credential
	for _, c := range found {
		list = append(list, &credentialv1.Credential{Name: c.Name, ChangedAt: timestamppb.New(c.Changed), ChangedBy: c.ChangedBy})
	}
	return list, nil
}

// studioWide refuses callers whose token is for certain productions only.
func studioWide(ctx context.Context) error {
	if rpc.MayActIn(ctx, everywhere) {
		return nil
	}
	return fault.New(fault.Denied, "STUDIO_NOT_YOURS", "this token may act in certain productions only; what belongs to the whole studio takes a token for all productions (*)")
}

// credentialContext is where a sealed secret belongs; the studio has no production.
func credentialContext(production, name string) []string {
	return []string{"credential", production, name}
}
