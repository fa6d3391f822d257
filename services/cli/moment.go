package cli

import (
	"fmt"
	"time"
)

// moment is a point in time on the command line: a time, or how far it is from now.
type moment struct {
	at   time.Time
	away period
	set  bool
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) error {
	err := m.away.UnmarshalText(text)
	if err == nil {
		m.set = true
		return nil
	}
	m.at, err = time.Parse(time.RFC3339, string(text))
	if err != nil {
		m.at, err = time.ParseInLocation(time.DateOnly, string(text), time.Local)
	}
	if err != nil {
		return fmt.Errorf("%q is no time: write 30m, 12h or 14d from now, or 2026-11-30T18:00:00+01:00", text)
	}
	m.set = true
	return nil
}

// after is the moment when a span is counted from now on.
func (m moment) after(now time.Time) time.Time {
	if m.at.IsZero() {
		return now.Add(time.Duration(m.away))
	}
	return m.at
}

// before is the moment when a span is counted back from now.
func (m moment) before(now time.Time) time.Time {
	if m.at.IsZero() {
		return now.Add(-time.Duration(m.away))
	}
	return m.at
}
