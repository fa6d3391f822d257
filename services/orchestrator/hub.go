package orchestrator

import "sync"

// hub tells waiting pulls that something became ready for a function.
type hub struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool // by function
}

func newHub() *hub { return &hub{waiting: map[string]map[chan struct{}]bool{}} }

// wait returns a channel that receives when something becomes ready for one of functions, from now on: take it before
// looking, so that nothing that happens in between is missed. stop ends the waiting.
func (h *hub) wait(functions []string) (woken <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range functions {
		if h.waiting[f] == nil {
			h.waiting[f] = map[chan struct{}]bool{}
		}
		h.waiting[f][c] = true
	}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, f := range functions {
			delete(h.waiting[f], c)
			if len(h.waiting[f]) == 0 {
				delete(h.waiting, f)
			}
		}
	}
}

// wake wakes everybody who waits for function.
func (h *hub) wake(function string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.waiting[function] {
		select {
		case c <- struct{}{}:
		default: // it was woken and has not looked yet
		}
	}
}
