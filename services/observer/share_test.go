package observer_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer"
)

func TestAnAddressShowsOneDistributionUntilItExpiresOrIsTakenBack(t *testing.T) {
	t.Parallel()
	var late atomic.Int64
	w := newWorld(t, func(d *observer.Deps) { d.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) } })
	w.work("w1")
	id := w.create("default", 1, 101)
	w.ended("default", id)
	coordinator := w.as(accessv1.Role_ROLE_COORDINATOR, "default")
	token := func(masked bool) string {
		resp, err := w.observer.ShareDistribution(coordinator, &observerv1.ShareDistributionRequest{Production: "default", Distribution: id,
			ExpiresIn: durationpb.New(time.Hour), MaskNames: masked})
		if err != nil {
			t.Fatal(err)
		}
		_, token, ok := strings.Cut(resp.GetUrl(), "/s/")
		if !ok {
			t.Fatalf("the address is %s", resp.GetUrl())
		}
		return token
	}
	open, masked := token(false), token(true)
	get := func(token, page string) (*observerv1.GetSharedResponse, string) {
		resp, err := w.observer.GetShared(t.Context(), &observerv1.GetSharedRequest{Token: token, PageToken: page})
		if err != nil {
			return nil, fault.From(err).Reason
		}
		return resp, ""
	}
	resp, code := get(open, "")
	if code != "" || resp.GetDistribution().GetId() != id || len(resp.GetRecipients()) != 100 || resp.GetRecipients()[6].GetEmail() != "p7@example.com" {
		t.Errorf("%s, %v", code, resp)
	}
	resp, code = get(open, resp.GetNextPageToken())
	if code != "" || len(resp.GetRecipients()) != 1 || resp.GetNextPageToken() != "" {
		t.Errorf("the second page: %s, %v", code, resp)
	}
	resp, code = get(masked, "")
	if code != "" || strings.Contains(resp.String(), "p7@") || strings.Contains(resp.String(), "Person") {
		t.Errorf("names are not hidden: %s, %v", code, resp.GetRecipients()[6])
	}
	for n := range len(open) {
		wrong := []byte(open)
		wrong[n] ^= 1
		_, code = get(string(wrong), "")
		if code != "SHARE_UNKNOWN" {
			t.Fatalf("with its letter %d wrong: %q", n, code)
		}
	}
	_, err := w.observer.UnshareDistribution(w.as(accessv1.Role_ROLE_COORDINATOR, "other"), &observerv1.UnshareDistributionRequest{Production: "default", Distribution: id})
	if err == nil {
		t.Error("somebody of another production took it back")
	}
	_, err = w.observer.UnshareDistribution(coordinator, &observerv1.UnshareDistributionRequest{Production: "default", Distribution: id})
	if err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{open, masked} {
		_, code = get(old, "")
		if code != "SHARE_REVOKED" {
			t.Errorf("taken back: %q", code)
		}
	}
	fresh := token(false)
	_, code = get(fresh, "")
	if code != "" {
		t.Errorf("a new one: %q", code)
	}
	late.Store(int64(2 * time.Hour))
	_, code = get(fresh, "")
	if code != "SHARE_EXPIRED" {
		t.Errorf("two hours later: %q", code)
	}
}
