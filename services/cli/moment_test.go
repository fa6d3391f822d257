package cli_test

import (
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/cli"
)

func TestAMomentIsATimeOrHowFarItIsFromNow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)
	fixed := time.Date(2026, 11, 30, 17, 0, 0, 0, time.UTC)
	midnight := time.Date(2026, 11, 30, 0, 0, 0, 0, time.Local)
	for text, want := range map[string]struct{ after, before time.Time }{
		"90m":                       {now.Add(90 * time.Minute), now.Add(-90 * time.Minute)},
		"2d":                        {now.Add(48 * time.Hour), now.Add(-48 * time.Hour)},
		"0s":                        {now, now},
		"2026-11-30T18:00:00+01:00": {fixed, fixed},
		"2026-11-30":                {midnight, midnight},
	} {
		after, before, err := cli.Moment(text, now)
		if err != nil || !after.Equal(want.after) || !before.Equal(want.before) {
			t.Errorf("%s: got %s and %s (%v), want %s and %s", text, after, before, err, want.after, want.before)
		}
	}
	for _, text := range []string{"", "-1h", "soon", "18:00", "2026-11-31"} {
		_, _, err := cli.Moment(text, now)
		if err == nil {
			t.Errorf("%q was taken for a moment", text)
		}
	}
}
