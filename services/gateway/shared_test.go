package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/gateway"
)

const shareToken = "a-token-that-opens-a-distribution"

func (a *auditor) GetShared(_ context.Context, req *observerv1.GetSharedRequest) (*observerv1.GetSharedResponse, error) {
	a.asked = req.GetPageToken()
	switch req.GetToken() {
	case shareToken:
		return &observerv1.GetSharedResponse{ExpiresAt: timestamppb.Now(), NextPageToken: "100",
			Distribution: &distributionv1.Distribution{Id: "D1", Production: "red", Title: "<Pages>", State: "completed"},
			Recipients:   []*distributionv1.Recipient{{Name: "A. L.", Email: "a…@example.com", Delivery: &distributionv1.Delivery{State: "sent"}}}}, nil
	case shareToken + "-expired":
		return nil, fault.New(fault.NotFound, "SHARE_EXPIRED", "this address worked until yesterday")
	case shareToken + "-revoked":
		return nil, fault.New(fault.NotFound, "SHARE_REVOKED", "this address was taken back")
	}
	return nil, fault.New(fault.NotFound, "SHARE_UNKNOWN", "there is nothing under this address")
}

func TestASharedAddressNeedsNoTokenOfTheAPI(t *testing.T) {
	t.Parallel()
	a := &auditor{batches: map[string]bool{}}
	conn := a.conn(t)
	w := newWorld(t, func(_ *gateway.Config, d *gateway.Deps) { d.Observer = conn })
	for _, path := range []string{"/v1/shared/", "/s/"} {
		for token, status := range map[string]int{"": 200, "-expired": 410, "-revoked": 410} {
			got := w.call(http.MethodGet, path+shareToken+token, "", "")
			if got.status != status || got.header.Get("Cache-Control") != "no-store" || !strings.Contains(got.header.Get("X-Robots-Tag"), "noindex") {
				t.Errorf("%s%s: %d %v", path, token, got.status, got.header)
			}
			if path == "/s/" && strings.Contains(got.body, "<Pages>") {
				t.Errorf("%s: a title is not escaped: %s", path, got.body)
			}
			if status == 410 && !strings.Contains(got.body, "this address w") {
				t.Errorf("%s%s says %s", path, token, got.body)
			}
		}
	}
	got := w.call(http.MethodGet, "/s/"+shareToken, "", "")
	if !strings.Contains(got.body, "A. L.") || !strings.Contains(got.body, "?page=100") || !strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the page is %s", got.body)
	}
	got = w.call(http.MethodGet, "/s/"+shareToken+"?page=%ff", "", "")
	if got.status != http.StatusOK || a.asked != "\ufffd" {
		t.Errorf("a page that is no UTF-8: %d, asked for as %q", got.status, a.asked)
	}
	refused(t, w.call(http.MethodPost, "/v1/shared/"+shareToken, "", ""), 405, "METHOD_UNKNOWN")
	refused(t, w.call(http.MethodGet, "/v1/shared/"+shareToken+"?a=b", "", ""), 400, "INVALID")
	for range 20 {
		refused(t, w.call(http.MethodGet, "/v1/shared/"+strings.Repeat("x", 40), "", ""), 404, "SHARE_UNKNOWN")
	}
	refused(t, w.call(http.MethodGet, "/v1/shared/"+strings.Repeat("x", 40), "", ""), 429, "SHARE_MISSES")
}
