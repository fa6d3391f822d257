package e2e_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// The same key and request give the same distribution, however often and at once; another request with it is refused.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	s := installation(t)
	c := s.api("coordinator")
	docs, _ := sampleDocuments(t)
	f, err := c.upload(docs[1].name, docs[1].data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.upload("another name.pdf", docs[1].data)
	if err != nil || again.GetSha256() != f.GetSha256() {
		t.Errorf("the same bytes again: got %s, %v; want the file there is", again.GetSha256(), err)
	}
	req := &distributionv1.CreateDistributionRequest{Title: t.Name() + rand.Text(), Recipients: crowd(2), Files: []*distributionv1.FileRef{{Sha256: f.GetSha256()}}}
	key := rand.Text()
	var mu sync.Mutex
	ids := map[string]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			d, err := c.create(req, key)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("create: %v", err)
			}
			ids[d.GetId()]++
		})
	}
	all.Wait()
	if len(ids) != 1 {
		t.Fatalf("8 requests with one key made %v, want one distribution", ids)
	}
	other := proto.CloneOf(req)
	other.Recipients = crowd(3)
	_, err = c.create(other, key)
	refusedAs(t, "another request with the key", err, 409, "IDEMPOTENCY_CONFLICT", "Idempotency-Key")

	var id string
	for id = range ids {
		break
	}
	a := judged(t, s, req, id, time.Minute)
	if len(a.Mails) != 2 {
		t.Errorf("%d mails, want 2", len(a.Mails))
	}
	d, err := c.create(req, key)
	if err != nil || d.GetId() != id || d.GetState() != "completed" {
		t.Errorf("the request after the end: got %s %s, %v; want %s completed", d.GetId(), d.GetState(), err, id)
	}
	list, err := c.distributions(1000)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range list {
		if d.GetTitle() == req.GetTitle() {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d distributions of that title, want 1", n)
	}
	_, err = c.cancel(id)
	refusedAs(t, "cancelling a completed one", err, 409, "DISTRIBUTION_ENDED", id)
}

// Lists come in pages: all of them, once, in order, whatever the size of a page.
func TestPaging(t *testing.T) {
	t.Parallel()
	s := installation(t)
	c := s.api("coordinator")
	docs, _ := sampleDocuments(t)
	var ids []string
	for range 7 {
		_, id := order(t, c, docs[1:2], &distributionv1.CreateDistributionRequest{Recipients: crowd(1)})
		ids = append(ids, id)
	}
	req, id := order(t, c, docs[1:], &distributionv1.CreateDistributionRequest{Recipients: crowd(13)})
	ids = append(ids, id)
	a := judged(t, s, req, id, time.Minute)

	for _, size := range []int{1, 3, 100} {
		list, err := c.distributions(size)
		if err != nil {
			t.Fatal(err)
		}
		mine := map[string]int{}
		for n, d := range list {
			mine[d.GetId()]++
			if n > 0 && d.GetCreatedAt().AsTime().After(list[n-1].GetCreatedAt().AsTime()) {
				t.Errorf("pages of %d: %s is newer than the one listed before it", size, d.GetId())
			}
		}
		for _, id := range ids {
			if mine[id] != 1 {
				t.Errorf("pages of %d: distribution %s is listed %d times, want once", size, id, mine[id])
			}
		}
	}
	for _, size := range []int{1, 7, 26, 1000} {
		items, errItems := c.items(id, size)
		recipients, errRecipients := c.recipients(id, size)
		events, errEvents := c.events(id, size)
		err := errors.Join(errItems, errRecipients, errEvents)
		if err != nil {
			t.Fatal(err)
		}
		if len(items) != len(a.Items) || len(recipients) != len(a.Recipients) || len(events) != len(a.Events) {
			t.Fatalf("pages of %d: %d items, %d recipients, %d events; want %d, %d, %d", size, len(items), len(recipients), len(events), len(a.Items), len(a.Recipients), len(a.Events))
		}
		for n := range items {
			if items[n].GetId() != a.Items[n].GetId() {
				t.Errorf("pages of %d: item %d is %s, want %s", size, n, items[n].GetId(), a.Items[n].GetId())
			}
		}
		for n := range events {
			if events[n].GetId() != a.Events[n].GetId() {
				t.Errorf("pages of %d: event %d is %s, want %s", size, n, events[n].GetId(), a.Events[n].GetId())
			}
		}
	}
	done := &distributionv1.ListItemsResponse{}
	err := c.get("/distributions/"+id+"/items?state=done&page_size=5", done)
	if err != nil || len(done.GetItems()) != 5 || done.GetNextPageToken() == "" {
		t.Errorf("done items: got %d and next %q, %v; want a page of 5 and a next one", len(done.GetItems()), done.GetNextPageToken(), err)
	}
	err = c.get("/distributions/"+id+"/items?state=failed", done)
	if err != nil || len(done.GetItems()) != 0 {
		t.Errorf("failed items: got %d, %v; want none", len(done.GetItems()), err)
	}
	for _, list := range []string{"/distributions", "/distributions/" + id + "/items", "/distributions/" + id + "/recipients", "/distributions/" + id + "/events"} {
		_, err := c.call(http.MethodGet, list+"?page_size=1001", nil, nil)
		refusedAs(t, list+" by 1001", err, 400, "INVALID", "page_size")
		_, err = c.call(http.MethodGet, list+"?page_token=elsewhere", nil, nil)
		refusedAs(t, list+" from nowhere", err, 400, "PAGE_TOKEN_INVALID")
	}
}
