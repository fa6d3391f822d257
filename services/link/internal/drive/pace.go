package drive

import (
	"context"
	"sync"
	"time"
)

// pace spaces requests out. There is no interval before Google first asks for one; then it doubles with each such
// answer and shrinks with each that is good, so that it settles near what is allowed.
type pace struct {
	longest time.Duration // that anyone waits
	slowest time.Duration // that interval gets

	mu       sync.Mutex
	interval time.Duration
	next     time.Time // nothing is sent before
	slowed   time.Time // when interval last grew
}

const (
	// firstInterval is the pace after the first refusal.
	firstInterval = 20 * time.Millisecond
	// leastInterval is no interval.
	leastInterval = time.Millisecond
	// slowest is the longest interval, in back-offs: refusals that do not depend on our pace must not bring us to a stop.
	slowest = 2
)

func newPace(longest, slowest time.Duration) *pace {
	return &pace{longest: longest, slowest: slowest}
}

// wait waits for the caller's turn; it returns how much longer that would take if it is longer than anyone waits here.
func (p *pace) wait(ctx context.Context) (tooLong time.Duration, err error) {
	p.mu.Lock()
	now := time.Now()
	turn := p.next
	if turn.Before(now) {
		turn = now
	}
	if turn.Sub(now) > p.longest {
		p.mu.Unlock()
		return turn.Sub(now), nil
	}
	p.next = turn.Add(p.interval)
	p.mu.Unlock()
	return 0, sleep(ctx, turn.Sub(now))
}

// slower takes a refusal in: the interval grows, once for all requests that were under way, and nobody asks again
// within after.
func (p *pace) slower(after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.slowed) >= p.interval {
		p.interval = min(max(2*p.interval, firstInterval), p.slowest)
		p.slowed = now
	}
	if until := now.Add(after); until.After(p.next) {
		p.next = until
	}
}

// faster takes a good answer in.
func (p *pace) faster() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interval -= p.interval / 10
	if p.interval < leastInterval {
		p.interval = 0
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
