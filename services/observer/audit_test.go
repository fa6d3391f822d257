package observer_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer"
)

func TestTheAuditIsListedFromRedisAndArchiveAndSaysWhereItWasAltered(t *testing.T) {
	t.Parallel()
	b := blobs(t)
	w := newWorld(t, func(d *observer.Deps) { d.Blobs = b })
	record := func(batch string, at time.Time, n int) {
		req := &observerv1.RecordAccessRequest{Batch: batch}
		for i := range n {
			req.Lines = append(req.Lines, &observerv1.AuditLine{Time: timestamppb.New(at), Production: []string{"default", "other"}[i%2],
				Subject: "token:1", Action: "copy.download", Object: fmt.Sprint("D", i%10, ".1.2")})
		}
		_, err := w.observer.RecordAccess(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
	}
	record("a", time.Now().Add(-40*24*time.Hour), 1000)
	record("b", time.Now().Add(-31*24*time.Hour), 1000)
	record("c", time.Now(), 500)
	record("c", time.Now(), 500) // asked twice
	admin := w.as(accessv1.Role_ROLE_ADMIN, "*")
	all := func(req *observerv1.ListAuditRequest) (numbers []int64, intact bool, broken int64) {
		for more := true; more; more = req.GetPageToken() != "" {
			resp, err := w.observer.ListAudit(admin, req)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range resp.GetLines() {
				numbers = append(numbers, l.GetNumber())
			}
			intact, broken, req.PageToken = resp.GetIntact(), resp.GetBrokenAt(), resp.GetNextPageToken()
		}
		return numbers, intact, broken
	}
	check := func() {
		t.Helper()
		numbers, intact, broken := all(&observerv1.ListAuditRequest{PageSize: 700})
		if len(numbers) != 2500 || numbers[0] != 2500 || numbers[2499] != 1 || !intact || broken != 0 {
			t.Errorf("%d lines, intact %v, broken at %d", len(numbers), intact, broken)
		}
		numbers, _, _ = all(&observerv1.ListAuditRequest{PageSize: 10, Production: "default", Distribution: "D4"})
		if len(numbers) != 250 {
			t.Errorf("%d lines of D4, want 250", len(numbers))
		}
	}
	check()
	// The next one archives what is old when it begins.
	w.stopObserver()
	w.startObserver(func(d *observer.Deps) { d.Blobs = b })
	w.until(func() bool {
		n, err := w.redis.Client.XLen(t.Context(), "{obs}:audit").Result()
		return err == nil && n == 500
	}, func() any { return "nothing is archived" })
	check()
	admin = w.as(accessv1.Role_ROLE_ADMIN, "other")
	numbers, _, _ := all(&observerv1.ListAuditRequest{PageSize: 1000})
	if len(numbers) != 1250 {
		t.Errorf("an administrator of one production sees %d lines, want 1250", len(numbers))
	}
	admin = w.as(accessv1.Role_ROLE_ADMIN, "*")
	err := w.redis.Client.XDel(t.Context(), "{obs}:audit", "2300-0").Err()
	if err != nil {
		t.Fatal(err)
	}
	_, intact, broken := all(&observerv1.ListAuditRequest{PageSize: 1000})
	if intact || broken != 2300 {
		t.Errorf("without line 2300: intact %v, broken at %d", intact, broken)
	}
	err = b.Delete(t.Context(), "arc/audit/1001")
	if err != nil {
		t.Fatal(err)
	}
	_, intact, broken = all(&observerv1.ListAuditRequest{PageSize: 1000})
	if intact || broken != 1001 {
		t.Errorf("without a segment: intact %v, broken at %d", intact, broken)
	}
}
