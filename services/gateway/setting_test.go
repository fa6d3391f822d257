package gateway_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

func TestASettingIsChangedOrLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for body, want := range map[string]*directoryv1.UpdateProductionRequest{
		`{"open_restricted":true}`:  {Production: "red", OpenRestricted: new(true)},
		`{"open_restricted":false}`: {Production: "red", OpenRestricted: new(false)},
		`{}`:                        {Production: "red"},
	} {
		a := w.call(http.MethodPatch, "/v1/productions/red", admin, body)
		if diff := cmp.Diff(want, w.directory.updated, protocmp.Transform()); a.status != http.StatusOK || diff != "" {
			t.Errorf("%s: %d %s, asked for (-want +got):\n%s", body, a.status, a.body, diff)
		}
	}
	refused(t, w.call(http.MethodPatch, "/v1/productions/red", coordinator, "{}"), http.StatusForbidden, "ROLE_MISSING")
	refused(t, w.call(http.MethodPatch, "/v1/productions/red", admin, `{"name":"Blue"}`), http.StatusBadRequest, "INVALID")
}

func TestAMarksStyleIsPassedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	body := `{"files":[` + someFile + `],"recipients":[{"name":"Ann","email":"ann@example.com"}],"mark":"{name}",
		"mark_style":{"layout":"corners","color":"#336699","opacity":40,"size":12,"pages":"2-"}}`
	a := w.call(http.MethodPost, "/v1/productions/red/distributions", coordinator, body)
	want := &distributionv1.MarkStyle{Layout: "corners", Color: "#336699", Opacity: 40, Size: 12, Pages: "2-"}
	if diff := cmp.Diff(want, w.distributions.created.GetMarkStyle(), protocmp.Transform()); a.status != http.StatusOK || diff != "" {
		t.Errorf("got %d %s, asked for (-want +got):\n%s", a.status, a.body, diff)
	}
}
