package limit_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/limit"
)

func TestMisses(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	m := limit.New(3, func() time.Time { return now })
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for i := range 3 {
		if wait := m.Wait(a); wait != 0 {
			t.Errorf("before miss %d: told to wait %s", i+1, wait)
		}
		if wait := m.Miss(a); wait != 0 {
			t.Errorf("miss %d: told to wait %s", i+1, wait)
		}
	}
	now = now.Add(20 * time.Second)
	if wait := m.Wait(a); wait != 40*time.Second || m.Wait(b) != 0 {
		t.Errorf("after three misses it must wait %s, and who had none %s", wait, m.Wait(b))
	}
	if wait := m.Miss(netip.MustParseAddr("::ffff:192.0.2.1")); wait != 40*time.Second {
		t.Errorf("got %s, want the rest of the minute, also for the address in its other spelling", wait)
	}
	for range 3 {
		m.Miss(b)
	}
	if m.Miss(netip.MustParseAddr("2001:db8::ffff")) == 0 {
		t.Error("another address of the same customer was let through")
	}
	if m.Miss(netip.MustParseAddr("2001:db8:0:1::1")) != 0 || m.Miss(netip.Addr{}) != 0 {
		t.Error("somebody else was made to wait")
	}
	now = now.Add(40 * time.Second)
	if wait := m.Miss(a); wait != 0 {
		t.Errorf("a minute later: told to wait %s", wait)
	}
}
