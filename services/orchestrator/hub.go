package orchestrator

import "sync"

// hub tells those who wait for a key that something happened to it: that a function has a ready step, that a distribution
// changed.
type hub struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool // by key
}

func newHub() *hub { return &hub{waiting: map[string]map[chan struct{}]bool{}} }

// wait returns a channel that receives when something happens to one of keys, from now on: take it before looking, so
// that nothing that happens in between is missed. stop ends the waiting.
func (h *hub) wait(keys []string) (woken <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range keys {
		if h.waiting[f] == nil {
			h.waiting[f] = map[chan struct{}]bool{}
		}
		h.waiting[f][c] = true
	}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, f := range keys {
			delete(h.waiting[f], c)
			if len(h.waiting[f]) == 0 {
				delete(h.waiting, f)
			}
		}
	}
}

// wake wakes everybody who waits for key.
func (h *hub) wake(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.waiting[key] {
		select {
		case c <- struct{}{}:
		default: // it was woken and has not looked yet
		}
	}
}
