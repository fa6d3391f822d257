package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	"github.com/filigreehq/filigree/services/gateway"
)

// While the directory does not answer, a token that was good may look, for a while, and do nothing else; one that was refused
// since may not.
func TestWhoWasKnownMayLookWhileTheDirectoryIsSilent(t *testing.T) {
	clk := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w := newWorld(t, func(c *gateway.Config, d *gateway.Deps) { c.TokenCache, d.Now = time.Second, clk.Now })
	look := func(token string) answer { return w.call(http.MethodGet, "/v1/productions/red", token, "") }
	if a := look(coordinator); a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	for _, silent := range []error{fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the store does not answer"), fault.New(fault.Internal, "INTERNAL", "something went wrong")} {
		w.directory.answerWith(silent)
		clk.advance(time.Minute)
		if a := look(coordinator); a.status != http.StatusOK {
			t.Errorf("somebody who was known looks while the directory says %v: got %d %s, want 200", silent, a.status, a.body)
		}
		if a := look(oncall); a.status == http.StatusOK {
			t.Error("somebody who was never known may look")
		}
		if a := w.call(http.MethodPost, "/v1/productions/red:pause", coordinator, "{}"); a.status == http.StatusOK {
			t.Error("somebody who was known may pause a production while nobody says who they are")
		}
	}
	clk.advance(time.Hour)
	if a := look(coordinator); a.status == http.StatusOK {
		t.Error("somebody who was known an hour ago may look still")
	}

	w.directory.answerWith(nil)
	look(coordinator)
	w.directory.take(coordinator)
	clk.advance(time.Minute)
	look(coordinator) // refused
	w.directory.answerWith(fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the store does not answer"))
	if a := look(coordinator); a.status == http.StatusOK {
		t.Error("a token that was refused is believed when the directory falls silent")
	}
	w.directory.answerWith(nil)
	w.directory.give(coordinator, accessv1.Role_ROLE_COORDINATOR, "red")
	if a := look(coordinator); a.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", a.status, a.body)
	}
}
