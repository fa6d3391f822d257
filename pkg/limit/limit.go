// Package limit counts misses per address and minute, in memory, within bounds, and finds the address that a request comes
// from behind proxies.
package limit

import (
	"net/netip"
	"sync"
	"time"
)

const (
	window = time.Minute
	// most is how many addresses are told apart in one window; those beyond share one count.
	most = 100_000
)

// Misses counts. It is safe for concurrent use; make it with New.
type Misses struct {
	limit int
	now   func() time.Time

	mu     sync.Mutex
	start  time.Time
	counts map[netip.Prefix]int
}

// New returns a counter that allows limit misses per address and minute.
func New(limit int, now func() time.Time) *Misses {
	return &Misses{limit: limit, now: now, counts: map[netip.Prefix]int{}}
}

// Miss counts one by addr. It returns 0 while they are within the limit, else how long to wait.
func (m *Misses) Miss(addr netip.Addr) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, left := m.look(addr)
	m.counts[from]++
	if m.counts[from] <= m.limit {
		return 0
	}
	return left
}

// Wait is how long addr must wait, 0 while it may miss once more. It counts nothing.
func (m *Misses) Wait(addr netip.Addr) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, left := m.look(addr)
	if m.counts[from] < m.limit {
		return 0
	}
	return left
}

// look is as whom addr is counted, and how long the window still is.
func (m *Misses) look(addr netip.Addr) (from netip.Prefix, left time.Duration) {
	now := m.now()
	age := now.Sub(m.start)
	if age < 0 || age >= window {
		m.start, age = now, 0
		m.counts = map[netip.Prefix]int{}
	}
	from = network(addr)
	_, known := m.counts[from]
	if !known && len(m.counts) >= most {
		from = netip.Prefix{}
	}
	return from, max(window-age, time.Second)
}

// network is what one customer has: an IPv4 address, or the /64 of an IPv6 one.
func network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address at all
	}
	return p
}
