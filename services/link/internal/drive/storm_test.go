package drive_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/link/internal/drive"
)

// storm spoils more than half of all requests, in every way there is.
func storm(seed uint64) func(int, string) *trouble {
	random := rand.New(rand.NewPCG(seed, seed))
	limits := []string{"userRateLimitExceeded", "rateLimitExceeded", "sharingRateLimitExceeded"}
	return func(int, string) *trouble {
		switch n := random.IntN(100); {
		case n < 30:
			return &trouble{status: 403, reason: limits[n%3]}
		case n < 37:
			return &trouble{status: 429, reason: "rateLimitExceeded", retryAfter: "0"}
		case n < 47:
			return &trouble{status: 500 + 3*(n%2), reason: "backendError"}
		case n < 52:
			return &trouble{status: 403, reason: limits[n%3], done: true}
		case n < 57:
			return &trouble{done: true, hang: true}
		}
		return nil
	}
}

func TestStorm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	quick := func(c *drive.Config) { c.Timeout, c.UploadTimeout = 300*time.Millisecond, 300*time.Millisecond }
	clients := []*drive.Client{w.another(quick), w.another(quick)}
	var folders []drive.Folder
	for i := range 12 {
		folders = append(folders, w.folder(fmt.Sprintf("p%d@example.com", i), 1000, 2000))
	}
	w.mu.Lock()
	w.spoil = storm(11)
	w.mu.Unlock()
	var wg sync.WaitGroup
	for i, f := range folders {
		wg.Go(func() {
			err := errors.New("not tried")
			for attempt := 0; err != nil && attempt < 30; attempt++ { // as the orchestrator does
				_, err = clients[(i+attempt)%2].Put(t.Context(), f)
				if err != nil && !fault.Transient(err) {
					t.Errorf("%s: %v", f.Email, err)
					return
				}
			}
			if err == nil && i%3 == 0 {
				err = errors.New("not tried")
				for attempt := 0; err != nil && attempt < 30; attempt++ {
					err = clients[i%2].Revoke(t.Context(), "default", []string{f.ID, f.Files[0].ID, f.Files[1].ID})
				}
			}
			if err != nil {
				t.Errorf("%s: %v", f.Email, err)
			}
		})
	}
	wg.Wait()
	for i, f := range folders {
		made := w.counts(f)
		if made["files.create"] != 3 || made["permissions.create"] != 1 {
			t.Errorf("%s: %v", f.Email, made)
		}
		if i%3 == 0 {
			continue
		}
		err := w.check(f)
		if err != nil {
			t.Errorf("%s: %v", f.Email, err)
		}
	}
	if len(w.files) != 8*3 {
		t.Errorf("%d files and folders, want %d", len(w.files), 8*3)
	}
	t.Logf("%d requests for %d changes", w.n, len(w.log))
}

func TestThePaceSettlesAtTheQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *drive.Config) { c.Attempts = 20 })
	ask := func(calls int) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range calls / 8 {
					_, err := w.client.IDs(t.Context(), "default", 1)
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	w.rate = 100
	ask(160) // so that it has found its pace
	w.mu.Lock()
	asked, served := w.n, w.served
	w.mu.Unlock()
	ask(240)
	asked, served = w.n-asked, w.served-served
	t.Logf("%d requests, %d served", asked, served)
	if float64(asked) > 1.35*float64(served) {
		t.Errorf("%d requests for %d served", asked, served)
	}
}

func TestACallerThatGivesUpIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.folder("ada@example.com", 10)
	why := errors.New("cancelled by the orchestrator")
	ctx, cancel := context.WithCancelCause(t.Context())
	w.spoil = func(int, string) *trouble {
		cancel(why)
		return &trouble{status: 503}
	}
	_, err := w.client.Put(ctx, f)
	if !errors.Is(err, why) {
		t.Errorf("got %v, want why it was cancelled", err)
	}
}
