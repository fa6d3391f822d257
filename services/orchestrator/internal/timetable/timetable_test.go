package timetable_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/orchestrator/internal/timetable"
)

func parse(t *testing.T, expr, zone string) timetable.Timetable {
	t.Helper()
	tt, err := timetable.Parse(expr, zone)
	if err != nil {
		t.Fatal(err)
	}
	return tt
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Runs between two moments, each with its offset from UTC: what happens when clocks are put forward and back.
func TestRuns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		expr, zone, after, until string
		want                     string
	}{
		"daily in UTC":                      {"@daily", "", "2026-03-01T00:00:00Z", "2026-03-03T00:00:00Z", "02T00:00Z 03T00:00Z"},
		"a moment within a second":          {"* * * * *", "", "2026-03-01T00:00:00.5Z", "2026-03-01T00:02:00Z", "01T00:01Z 01T00:02Z"},
		"just before":                       {"* * * * *", "", "2026-03-01T00:00:59.9Z", "2026-03-01T00:01:00Z", "01T00:01Z"},
		"day of month or of week":           {"0 6 13 * 5", "", "2026-02-01T00:00:00Z", "2026-02-14T00:00:00Z", "06T06:00Z 13T06:00Z"},
		"spring: a time that is skipped":    {"30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z", "28T02:30+01:00 29T03:00+02:00 30T02:30+02:00"},
		"spring: several that are skipped":  {"*/20 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z", "29T03:00+02:00 29T03:20+02:00 29T03:40+02:00"},
		"spring: the gap's first minute":    {"0 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z", "29T03:00+02:00"},
		"spring: seen from within":          {"30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-30T12:00:00Z", "30T02:30+02:00"},
		"spring: every hour":                {"30 * * * *", "Europe/Berlin", "2026-03-28T23:45:00Z", "2026-03-29T02:45:00Z", "29T01:30+01:00 29T03:30+02:00 29T04:30+02:00"},
		"spring: on a restricted day":       {"*/30 * 29 3 *", "Europe/Berlin", "2026-03-29T00:15:00Z", "2026-03-29T01:45:00Z", "29T01:30+01:00 29T03:00+02:00 29T03:30+02:00"},
		"autumn: a time that comes twice":   {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", "25T02:30+02:00 26T02:30+01:00"},
		"autumn: several that come twice":   {"*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", "25T02:00+02:00 25T02:30+02:00"},
		"autumn: seen from the second time": {"30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", "2026-10-26T12:00:00Z", "26T02:30+01:00"},
		"autumn: the hour after":            {"0 3 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T12:00:00Z", "25T03:00+01:00"},
		"autumn: every hour":                {"30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", "2026-10-25T02:45:00Z", "25T02:30+02:00 25T02:30+01:00 25T03:30+01:00"},
		"half an hour forward":              {"10 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-04T12:00:00Z", "04T02:30+11:00"},
		"half an hour back":                 {"40 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-05T12:00:00Z", "05T01:40+11:00"},
		"midnight is skipped":               {"0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", "2026-04-25T12:00:00Z", "24T01:00+03:00 25T00:00+03:00"},
		"a whole day is skipped":            {"0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2011-12-31T12:00:00Z", "29T12:00-10:00 31T00:00+14:00 31T12:00+14:00"},
		"leap day":                          {"0 0 29 2 *", "Europe/Berlin", "2024-03-01T00:00:00Z", "2029-01-01T00:00:00Z", "29T00:00+01:00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt := parse(t, c.expr, c.zone)
			var got []string
			for next := tt.Next(at(t, c.after)); !next.IsZero() && !next.After(at(t, c.until)); next = tt.Next(next) {
				if next.Second() != 0 || next.Nanosecond() != 0 {
					t.Errorf("%s is no whole minute", next)
				}
				got = append(got, next.In(tt.Zone()).Format("02T15:04Z07:00"))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
		})
	}
}

// Over twenty years in zones of all kinds, each time of day that is due on the wall has one run a day, in order.
func TestEachDayHasItsRun(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Tehran", "Europe/Dublin"} {
		for _, expr := range []string{"30 2 * * *", "0 0 * * *", "59 23 * * *", "15 1 * * *"} {
			tt := parse(t, expr, zone)
			run := tt.Next(time.Date(2010, 1, 1, 12, 0, 0, 0, tt.Zone()))
			for range 20 * 365 {
				next := tt.Next(run)
				y, m, d := run.Date()
				if want := time.Date(y, m, d+1, 12, 0, 0, 0, tt.Zone()); next.Format(time.DateOnly) != want.Format(time.DateOnly) {
					t.Fatalf("%s in %s: after %s comes %s, want one a day", expr, zone, run, next)
				}
				run = next
			}
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"* * * * *", "*/5 6-22 * * MON-FRI", "0 6 1,15 jan-mar ?", "@hourly", "@weekly", "@yearly", " 0  6 * * * "} {
		_, err := timetable.Parse(good, "America/New_York")
		if err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, why := range map[string]string{
		"":                           "empty",
		"* * * *":                    "5 fields",
		"* * * * * *":                "5 fields",
		"61 * * * *":                 "61",
		"* 24 * * *":                 "24",
		"*/0 * * * *":                "0",
		"x * * * *":                  "x",
		"0 0 30 2 *":                 "no such day",
		"0 0 31 4,6,9,11 *":          "no such day",
		"@every 5m":                  "@every",
		"@reboot":                    "@reboot",
		"TZ=":                        "field of its own",
		"CRON_TZ=Asia/Tokyo 0 6 * *": "field of its own",
	} {
		_, err := timetable.Parse(bad, "")
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: got %v, want something with %q", bad, err, why)
		}
	}
	for _, zone := range []string{"Local", "Europe/Atlantis", "../etc/passwd", "CET+1"} {
		_, err := timetable.Parse("@daily", zone)
		if !errors.Is(err, timetable.ErrZone) {
			t.Errorf("%q: got %v, want ErrZone", zone, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"* * * * *", "@daily", "@every 1h", "TZ=UTC * * * * *", "0-59/7 1,2 L W #", "CRON_TZ="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		if len(expr) > 128 {
			return
		}
		tt, err := timetable.Parse(expr, "Europe/Berlin")
		if err != nil {
			return
		}
		now := time.Date(2026, 3, 29, 0, 59, 59, 0, time.UTC)
		next := tt.Next(now)
		if !next.IsZero() && !next.After(now) {
			t.Errorf("%q: %s is not after %s", expr, next, now)
		}
	})
}

func TestMissedRuns(t *testing.T) {
	t.Parallel()
	minutely, hourly := parse(t, "* * * * *", ""), parse(t, "0 * * * *", "")
	noon := at(t, "2026-05-01T12:00:00Z")
	for name, c := range map[string]struct {
		tt      timetable.Timetable
		late    time.Duration
		catchUp bool
		skipped int
		then    time.Duration // after noon
	}{
		"on time":                              {minutely, 0, false, 0, 0},
		"a restart":                            {hourly, time.Minute, false, 0, 0},
		"more than a restart":                  {hourly, time.Minute + time.Second, false, 1, time.Hour},
		"all but the last are left out":        {minutely, 10*time.Minute + 30*time.Second, false, 10, 10 * time.Minute},
		"a week of hours":                      {hourly, 7 * 24 * time.Hour, false, 168, 168 * time.Hour},
		"caught up with":                       {hourly, 5 * time.Hour, true, 0, 0},
		"caught up with a hundred":             {minutely, 99 * time.Minute, true, 0, 0},
		"caught up with the last hundred only": {minutely, 200 * time.Minute, true, 101, 101 * time.Minute},
	} {
		got := c.tt.Due(noon, noon.Add(c.late), c.catchUp)
		if got.Skipped != c.skipped || !got.Then.Equal(noon.Add(c.then)) {
			t.Errorf("%s: got %+v, want %d left out and then %s", name, got, c.skipped, noon.Add(c.then))
		}
	}
	// Applied again and again, nothing is left out twice and the last runs are all there.
	var started []time.Time
	now := noon.Add(5*time.Hour + 30*time.Second)
	for next := noon; !next.After(now); {
		s := minutely.Due(next, now, true)
		if s.Skipped > 0 {
			next = s.Then
			continue
		}
		started = append(started, next)
		next = minutely.Next(next)
	}
	if len(started) != timetable.Most || !started[0].Equal(now.Truncate(time.Minute).Add(-99*time.Minute)) || !slices.IsSortedFunc(started, time.Time.Compare) {
		t.Errorf("%d runs from %s, want the last hundred", len(started), started[0])
	}
}
