package engine

import (
	"sync"
	"time"
)

// probe watches steps run, from inside of their handlers.
type probe struct {
	mu    sync.Mutex
	paced bool                // what items wait between steps is noted, too: at full speed that would be load
	ended map[place]time.Time // steps whose next has not begun
	waits []time.Duration     // from the end of a step to the start of the next
	steps int                 // how many have ended
	last  map[string]time.Time
	joins map[string]time.Duration
}

// place is a step of an item.
type place struct {
	item string
	step int
}

func newProbe() *probe {
	return &probe{ended: map[place]time.Time{}, last: map[string]time.Time{}, joins: map[string]time.Duration{}}
}

// begin notes that a step of item begins, the step-th of its chain from 0 on.
func (p *probe) begin(item string, step int) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.paced {
		return
	}
	before, ok := p.ended[place{item, step - 1}]
	if ok {
		p.waits = append(p.waits, now.Sub(before))
		delete(p.ended, place{item, step - 1})
	}
}

// end notes that it ends; last is whether no step of the item comes after it.
func (p *probe) end(distribution, item string, step int, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps++
	now := time.Now()
	if last {
		p.last[distribution] = now
		return
	}
	if p.paced {
		p.ended[place{item, step}] = now
	}
}

// join notes that the step begins that waits for all items of a distribution.
func (p *probe) join(distribution string) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.joins[distribution] = now.Sub(p.last[distribution])
}

// pace notes from now on what items wait between steps.
func (p *probe) pace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paced = true
}

// take returns what was seen since the last take.
func (p *probe) take() seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := seen{steps: p.steps, waits: p.waits, joins: p.joins}
	p.steps, p.waits, p.joins = 0, nil, map[string]time.Duration{}
	clear(p.ended)
	clear(p.last)
	return s
}

// seen is what a probe saw.
type seen struct {
	steps int
	waits []time.Duration
	joins map[string]time.Duration // by distribution
}
