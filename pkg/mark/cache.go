package mark

import "sync"

// cache remembers values by key, at most about twice limit of them: when the new ones are as many, those that nobody has
// asked for since then are forgotten. It is safe for concurrent use.
type cache[K comparable, V any] struct {
	limit int
	mu    sync.RWMutex
	young map[K]V
	old   map[K]V
}

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{limit: limit, young: map[K]V{}}
}

func (c *cache[K, V]) get(key K) (V, bool) {
	c.mu.RLock()
	v, ok := c.young[key]
	c.mu.RUnlock()
	if ok {
		return v, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok = c.old[key]
	if ok {
		c.add(key, v)
	}
	return v, ok
}

// put remembers v and returns what is remembered: of two at once the first.
func (c *cache[K, V]) put(key K, v V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range []map[K]V{c.young, c.old} {
		earlier, ok := known[key]
		if ok {
			v = earlier
			break
		}
	}
	c.add(key, v)
	return v
}

func (c *cache[K, V]) add(key K, v V) {
	if len(c.young) >= c.limit {
		c.old, c.young = c.young, make(map[K]V, c.limit)
	}
	c.young[key] = v
}
