// Package cache keeps the latest of what is dear to make, within a number of bytes, and makes each thing once however
// many ask for it at the same time.
package cache

import (
	"container/list"
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// Cache maps keys to values. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	max int64
	// keep says whether a failure is remembered like a value.
	keep func(error) bool

	mu      sync.Mutex
	size    int64
	entries map[K]*list.Element
	recent  *list.List // of *entry, the one used last in front; those under way are not in it
	loading map[K]*entry[K, V]
}

type entry[K comparable, V any] struct {
	key   K
	done  chan struct{} // closed when what follows is set
	value V
	cost  int64
	err   error
}

// failureCost is what a remembered failure counts for, in bytes.
const failureCost = 1 << 10

// New returns a cache of at most max bytes. Failures that keep says yes to are remembered, too.
func New[K comparable, V any](max int64, keep func(error) bool) *Cache[K, V] {
	return &Cache[K, V]{max: max, keep: keep, entries: map[K]*list.Element{}, recent: list.New(), loading: map[K]*entry[K, V]{}}
}

// Get returns the value of key, made by load if it is not there; load also says how many bytes the value takes. Callers
// that come while it is being made wait for the same load. It goes on when they do not: its context carries the values
// of the first caller's, and none of its ends.
func (c *Cache[K, V]) Get(ctx context.Context, key K, load func(context.Context) (V, int64, error)) (V, error) {
	c.mu.Lock()
	if el, ok := c.entries[key]; ok {
		c.recent.MoveToFront(el)
		c.mu.Unlock()
		e := el.Value.(*entry[K, V])
		return e.value, e.err
	}
	e, ok := c.loading[key]
	if !ok {
		e = &entry[K, V]{key: key, done: make(chan struct{})}
		c.loading[key] = e
		go c.load(context.WithoutCancel(ctx), e, load)
	}
	c.mu.Unlock()
	select {
	case <-e.done:
		return e.value, e.err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}

func (c *Cache[K, V]) load(ctx context.Context, e *entry[K, V], load func(context.Context) (V, int64, error)) {
	e.value, e.cost, e.err = contained(ctx, load)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loading, e.key)
	close(e.done)
	if e.err != nil {
		if !c.keep(e.err) {
			return
		}
		e.cost = failureCost
	}
	c.entries[e.key] = c.recent.PushFront(e)
	c.size += e.cost
	for c.size > c.max {
		last := c.recent.Back()
		old := c.recent.Remove(last).(*entry[K, V])
		delete(c.entries, old.key)
		c.size -= old.cost
	}
}

// contained calls load; a panic in this goroutine, which nobody guards, would end the process.
func contained[V any](ctx context.Context, load func(context.Context) (V, int64, error)) (value V, cost int64, err error) {
	defer func() {
		p := recover()
		if p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return load(ctx)
}

// Size is how many bytes the values take that are kept.
func (c *Cache[K, V]) Size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}
