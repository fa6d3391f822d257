package observer

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/fault"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	"github.com/filigreehq/filigree/services/observer/internal/notify"
)

// post answers by address.
type post struct {
	emailv1.EmailServiceClient
	fails map[string]error
}

func (p post) Send(_ context.Context, r *emailv1.SendRequest, _ ...grpc.CallOption) (*emailv1.SendResponse, error) {
	return &emailv1.SendResponse{}, p.fails[r.GetTo().GetEmail()]
}

func TestAMailIsTriedAgainWhileAnyOfItsAddressesMayTakeIt(t *testing.T) {
	t.Parallel()
	never, later := fault.New(fault.Invalid, "EMAIL_REJECTED", "there is none"), fault.New(fault.Unavailable, "EMAIL_UNAVAILABLE", "later")
	s := &Server{deps: Deps{Email: post{fails: map[string]error{"never": never, "later": later}}}}
	for _, c := range []struct {
		to        []string
		transient bool
	}{
		{[]string{"never", "good", "later"}, true}, {[]string{"later", "never"}, true}, {[]string{"good", "never"}, false},
	} {
		err := s.mail(t.Context(), c.to, notify.Message{ID: "al_1"})
		if err == nil || fault.Transient(err) != c.transient {
			t.Errorf("%q: %v, tried again %v, want %v", c.to, err, fault.Transient(err), c.transient)
		}
	}
	if err := s.mail(t.Context(), []string{"good"}, notify.Message{}); err != nil {
		t.Error(err)
	}
}
