package e2e_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// A blow is something that is killed at a moment of a distribution.
type blow struct {
	// after so many steps are over, and a little later, so that all of a step's inside is hit in time
	after int32
	delay time.Duration
	what  string
}

const (
	killProcess = "the whole process, and its redis-server lives on"
	killBoth    = "the whole process and its redis-server"
	killRedis   = "redis-server alone"
)

// blows are a seed's three: one of each kind, in some order, at some moments of a distribution of n steps.
func blows(seed uint64, n int32) []blow {
	r := mathrand.New(mathrand.NewPCG(seed, 2))
	kinds := []string{killProcess, killBoth, killRedis}
	r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	var list []blow
	for i, kind := range kinds {
		// A third of the way for each, so that there is something left to be hit.
		third := n / 3
		list = append(list, blow{int32(i)*third + r.Int32N(third-2), time.Duration(r.IntN(120)) * time.Millisecond, kind})
	}
	return list
}

// Three documents to 20 people while everything is killed: whatever was running, each item has one final state in the
// end, everybody has their mail with three copies, and who has it twice is flagged.
func TestChaos(t *testing.T) {
	for seed := range size(t, "FILIGREE_CHAOS_SEEDS", 1) {
		t.Run(fmt.Sprintf("seed %d", seed+1), func(t *testing.T) {
			t.Parallel()
			chaos(t, uint64(seed+1))
		})
	}
}

func chaos(t *testing.T, seed uint64) {
	site := start(t)
	docs, _ := sampleDocuments(t)
	req, id := order(t, site.system().api("coordinator"), docs, &distributionv1.CreateDistributionRequest{Recipients: crowd(20)})
	steps := int32(3 + 60 + 20)
	struck := 0
	for _, b := range blows(seed, steps) {
		over := reach(t, site, id, b)
		if over {
			t.Errorf("the distribution ended before the blow after %d steps: nothing was hit", b.after)
			break
		}
		strike(t, site, b)
		struck++
	}
	a := judged(t, site.system(), req, id, 3*time.Minute)
	if struck != 3 || a.Distribution.GetState() != "completed" || a.Distribution.GetItems().GetDone() != 60 {
		t.Errorf("%d blows; it ended %s with items %v, want completed and all 60 done", struck, a.Distribution.GetState(), a.Distribution.GetItems())
	}
	for _, m := range a.Mails {
		if len(m.Attachments) != 3 {
			t.Errorf("the mail to %s has %d documents, want 3", m.To, len(m.Attachments))
		}
	}
	all, err := site.box.Mails()
	if err != nil || len(all) != len(a.Mails) {
		t.Errorf("%d mails of %d are of this distribution, the only one there is: %v", len(a.Mails), len(all), err)
	}
}

// reach waits until the moment of a blow has come; over says that the distribution has ended before.
func reach(t *testing.T, site *site, id string, b blow) (over bool) {
	t.Helper()
	c := site.system().api("coordinator")
	await(t, 2*time.Minute, fmt.Sprintf("%d steps that are over", b.after), func() (bool, error) {
		d, err := c.distribution(id)
		if err != nil {
			return false, err
		}
		n := int32(0)
		for _, s := range d.GetSteps() {
			n += s.GetDone() + s.GetFailed()
		}
		over = d.GetEndedAt() != nil
		return over || n >= b.after, fmt.Errorf("%d are over", n)
	})
	if !over {
		<-time.After(b.delay)
	}
	return over
}

func strike(t *testing.T, site *site, b blow) {
	t.Helper()
	begin := time.Now()
	switch b.what {
	case killProcess:
		pid := site.redis()
		site.kill()
		if pid == 0 || !alive(pid) {
			t.Errorf("redis-server %d did not outlive the process", pid)
		}
		site.up()
	case killBoth:
		pid := site.redis()
		site.kill()
		if pid != 0 && alive(pid) {
			site.killRedis()
		}
		site.up()
	case killRedis:
		site.killRedis()
		c := site.system().api("coordinator")
		await(t, 30*time.Second, "an answer after redis-server was killed", func() (bool, error) {
			_, err := c.distributions(1)
			return err == nil, err
		})
	}
	t.Logf("after %d steps and %s: killed %s; back after %.2f s", b.after, b.delay, b.what, time.Since(begin).Seconds())
}

// A request whose answer never came is repeated with its key, and starts one distribution all the same.
func TestCreateWhileKilled(t *testing.T) {
	t.Parallel()
	site := start(t)
	docs, _ := sampleDocuments(t)
	f, err := site.system().api("coordinator").upload(docs[1].name, docs[1].data)
	if err != nil {
		t.Fatal(err)
	}
	r := mathrand.New(mathrand.NewPCG(7, 7))
	var want []string
	for round := range 4 {
		req := &distributionv1.CreateDistributionRequest{
			Title: fmt.Sprintf("%s %d", t.Name(), round), Recipients: crowd(3), Files: []*distributionv1.FileRef{{Sha256: f.GetSha256(), Name: docs[1].name}},
		}
		key := rand.Text()
		c := site.system().api("coordinator")
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			_, _ = c.create(req, key) // the answer may get lost: that is the point
		}()
		<-time.After(time.Duration(r.IntN(20)) * time.Millisecond)
		site.kill()
		<-asked
		site.up()
		c = site.system().api("coordinator")
		var id string
		await(t, 20*time.Second, "an answer to the repeated request", func() (bool, error) {
			d, err := c.create(req, key)
			var answer *answerError
			if errors.As(err, &answer) && !answer.retryable {
				t.Fatal(err)
			}
			id = d.GetId()
			return err == nil, err
		})
		want = append(want, id)
	}
	c := site.system().api("coordinator")
	list, err := c.distributions(100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range slices.Backward(list) {
		got = append(got, d.GetId())
	}
	if !slices.Equal(got, want) {
		t.Errorf("there are distributions %v, want one of each request: %v", got, want)
	}
	for _, id := range want {
		d := c.ended(t, id, time.Minute)
		if d.GetState() != "completed" {
			t.Errorf("distribution %s ended %s", id, d.GetState())
		}
	}
}
