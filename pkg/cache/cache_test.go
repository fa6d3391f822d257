package cache_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filigreehq/filigree/pkg/cache"
)

var errKept, errPassing = errors.New("kept"), errors.New("passing")

func newCache(max int64) *cache.Cache[string, int] {
	return cache.New[string, int](max, func(err error) bool { return errors.Is(err, errKept) })
}

// give is a load that counts its calls.
func give(calls *int, value int, cost int64, err error) func(context.Context) (int, int64, error) {
	return func(context.Context) (int, int64, error) {
		*calls++
		return value, cost, err
	}
}

func TestTheLeastRecentlyUsedGoes(t *testing.T) {
	t.Parallel()
	c := newCache(10)
	loads := map[string]*int{"a": new(int), "b": new(int), "c": new(int)}
	for _, key := range strings.Split("a b a c a b", " ") { // c puts b out, b puts c out
		got, err := c.Get(t.Context(), key, give(loads[key], int(key[0]), 5, nil))
		if err != nil || got != int(key[0]) {
			t.Fatalf("%s: %d, %v", key, got, err)
		}
		if c.Size() > 10 {
			t.Errorf("%d bytes are kept, want at most 10", c.Size())
		}
	}
	if *loads["a"] != 1 || *loads["b"] != 2 || *loads["c"] != 1 {
		t.Errorf("loads: a %d, b %d, c %d; want 1, 2, 1", *loads["a"], *loads["b"], *loads["c"])
	}
}

func TestWhatIsTooLargeIsGivenAndNotKept(t *testing.T) {
	t.Parallel()
	c := newCache(10)
	var calls int
	for range 2 {
		got, err := c.Get(t.Context(), "k", give(&calls, 7, 11, nil))
		if err != nil || got != 7 {
			t.Errorf("got %d, %v", got, err)
		}
	}
	if calls != 2 || c.Size() != 0 {
		t.Errorf("%d loads, %d bytes kept", calls, c.Size())
	}
}

func TestSomeFailuresAreKept(t *testing.T) {
	t.Parallel()
	c := newCache(1 << 20)
	for err, want := range map[error]int{errKept: 1, errPassing: 3} {
		var calls int
		for range 3 {
			_, got := c.Get(t.Context(), err.Error(), give(&calls, 0, 0, err))
			if !errors.Is(got, err) {
				t.Errorf("got %v, want %v", got, err)
			}
		}
		if calls != want {
			t.Errorf("%v: %d loads, want %d", err, calls, want)
		}
	}
}

func TestManyAtOnceAreOneLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(10)
		var loads atomic.Int32
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				got, err := c.Get(t.Context(), "k", func(context.Context) (int, int64, error) {
					loads.Add(1)
					time.Sleep(time.Second)
					return 7, 1, nil
				})
				if err != nil || got != 7 {
					t.Errorf("got %d, %v", got, err)
				}
			})
		}
		wg.Wait()
		if loads.Load() != 1 {
			t.Errorf("%d loads, want 1", loads.Load())
		}
	})
}

func TestALoadOutlivesWhoAskedForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var calls int
		slow := func(ctx context.Context) (int, int64, error) {
			calls++
			time.Sleep(time.Minute)
			return 7, 1, ctx.Err()
		}
		_, err := c.Get(ctx, "k", slow)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		got, err := c.Get(t.Context(), "k", slow)
		if err != nil || got != 7 || calls != 1 {
			t.Errorf("got %d, %v after %d loads", got, err, calls)
		}
	})
}

func TestAPanicEndsTheLoadOnly(t *testing.T) {
	t.Parallel()
	c := newCache(10)
	_, err := c.Get(t.Context(), "k", func(context.Context) (int, int64, error) { panic("oh") })
	if err == nil || !strings.Contains(err.Error(), "oh") {
		t.Errorf("got %v", err)
	}
	var calls int
	got, err := c.Get(t.Context(), "k", give(&calls, 7, 1, nil))
	if err != nil || got != 7 {
		t.Errorf("afterwards: %d, %v", got, err)
	}
}
