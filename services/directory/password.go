package directory

import (
	"context"
	"crypto/rand"
	"regexp"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

// recipientID is "<distribution>.r<number>".
var recipientID = regexp.MustCompile(`^[A-Za-z0-9_-]+\.r[0-9]+$`)

// RevealPassword tells a recipient's password, once it is recorded who asked. It derives the password and so cannot
// know whether the distribution has such a recipient: for one it has not, the answer opens nothing.
func (s *Server) RevealPassword(ctx context.Context, req *directoryv1.RevealPasswordRequest) (*directoryv1.RevealPasswordResponse, error) {
	t, p, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	if !recipientID.MatchString(req.GetRecipient()) {
		return nil, fault.New(fault.NotFound, "RECIPIENT_UNKNOWN", "%q is no recipient's id; they look like \"<distribution>.r7\"", req.GetRecipient())
	}
	password, err := s.keys.PasswordFor(0, p.ID, req.GetRecipient(), 1)
	if err != nil {
		return nil, err
	}
	err = t.Record(ctx, store.Line{
		Call: rand.Text(), Who: rpc.PrincipalFrom(ctx).GetSubject(), What: "reveal_password", About: req.GetRecipient(),
	})
	if err != nil {
		return nil, answer(err, req.GetProduction())
	}
	return &directoryv1.RevealPasswordResponse{Password: password}, nil
}
