package e2e_test

import (
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// A hundred requests at once with one key start one distribution and are all answered with it, whatever is killed
// meanwhile, and so is who comes later; another request with the key is refused.
func TestOneKeyForAHundredRequests(t *testing.T) {
	t.Parallel()
	site := start(t)
	docs, _ := sampleDocuments(t)
	f, err := site.system().api("coordinator").upload(docs[1].name, docs[1].data)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]string{} // key by distribution
	requests := map[string]*distributionv1.CreateDistributionRequest{}
	for _, kill := range []string{"nothing", killRedis, killBoth} {
		key := rand.Text()
		requests[key] = &distributionv1.CreateDistributionRequest{
			Title: t.Name() + " " + kill, Recipients: crowd(3), Files: []*distributionv1.FileRef{{Sha256: f.GetSha256(), Name: docs[1].name}},
		}
		answers := hundredfold(t, site, requests[key], key, kill)
		first := answers[0]
		for n, d := range answers {
			// What has become of it meanwhile may differ.
			if d.GetId() != first.GetId() || d.GetTitle() != requests[key].GetTitle() || !proto.Equal(d.GetCreatedAt(), first.GetCreatedAt()) || d.GetItems().GetTotal() != 3 {
				t.Errorf("%s killed: answer %d is %v, the first %v", kill, n+1, d, first)
			}
		}
		if made[first.GetId()] != "" {
			t.Errorf("%s killed: the distribution is that of another key", kill)
		}
		made[first.GetId()] = key
	}
	c := site.system().api("coordinator")
	list, err := c.distributions(100)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != len(made) {
		t.Errorf("there are %d distributions, want one for each of %d keys", len(list), len(made))
	}
	for id, key := range made {
		d, err := c.create(requests[key], key)
		if err != nil || d.GetId() != id {
			t.Errorf("the request once more: got %s, %v; want %s", d.GetId(), err, id)
		}
		other := proto.CloneOf(requests[key])
		other.Recipients = crowd(4)
		_, err = c.create(other, key)
		refusedAs(t, "another request with the key", err, 409, "IDEMPOTENCY_CONFLICT", "Idempotency-Key")
		d = c.ended(t, id, time.Minute)
		if d.GetState() != "completed" || d.GetRecipients().GetSent() != 3 {
			t.Errorf("it ended %s with recipients %v, want all 3 sent", d.GetState(), d.GetRecipients())
		}
	}
}

// hundredfold makes a request a hundred times at once, while something is killed, and returns what was answered; who
// gets no answer, or is told that trying again helps, tries again.
func hundredfold(t *testing.T, site *site, req *distributionv1.CreateDistributionRequest, key, kill string) []*distributionv1.Distribution {
	t.Helper()
	answers := make([]*distributionv1.Distribution, 100)
	errs := make([]error, len(answers))
	var where sync.RWMutex // held while the address changes
	var all sync.WaitGroup
	some := make(chan struct{}, len(answers))
	for n := range answers {
		all.Go(func() {
			for late := time.Now().Add(time.Minute); time.Now().Before(late); <-time.After(50 * time.Millisecond) {
				where.RLock()
				c := site.system().api("coordinator")
				where.RUnlock()
				some <- struct{}{}
				answers[n], errs[n] = c.create(req, key)
				<-some
				var answer *answerError
				if errs[n] == nil || errors.As(errs[n], &answer) && !answer.retryable {
					return
				}
			}
		})
	}
	await(t, time.Minute, "requests under way", func() (bool, error) { return len(some) > 20, nil })
	switch kill {
	case killRedis:
		site.killRedis()
	case killBoth:
		where.Lock()
		pid := site.redis()
		site.kill()
		if pid != 0 && alive(pid) {
			site.killRedis()
		}
		site.up()
		where.Unlock()
	}
	all.Wait()
	for n, err := range errs {
		if err != nil {
			t.Fatalf("%s killed: request %d: %v", kill, n+1, err)
		}
	}
	return answers
}
