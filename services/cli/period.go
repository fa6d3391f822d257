package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// period is a time span on the command line: 30s, 10m, 12h, and 14d, which Go's own has no word for.
type period time.Duration

const (
	day = 24 * time.Hour
	// maxPeriod is far beyond what any server takes; below it, days do not overflow.
	maxPeriod = 100 * 365 * day
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *period) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	count, inDays := strings.CutSuffix(string(text), "d")
	if inDays {
		var days uint64
		days, err = strconv.ParseUint(count, 10, 16)
		d = time.Duration(days) * day
	}
	if err != nil || d < 0 || d > maxPeriod {
		return fmt.Errorf("%q is no span of time: write 30s, 10m, 12h or 14d", text)
	}
	*p = period(d)
	return nil
}

// String writes it as it is read: "14d", "10m", "1m30s".
func (p period) String() string {
	d := time.Duration(p)
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	for _, tail := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, tail) {
			text = text[:len(text)-2]
		}
	}
	return text
}
