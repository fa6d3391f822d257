// Package timetable says when a schedule's runs are. It is pure: the time is what it is told.
//
// A cron expression speaks of the time of day in a zone, and clocks are put forward and back. What becomes of that:
//   - A schedule of every hour ("*/15 * * * *") goes by elapsed time: it has no run in an hour that the clock skips, and
//     has its runs in both of two hours that are called the same.
//   - Any other ("30 2 * * *") goes by the clock on the wall, each time of day once a day: what the clock skips runs at
//     the moment after the gap (03:00), together with what is due then anyway; what comes twice runs the first time.
package timetable

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the same zones on every machine, also where none are installed

	"github.com/robfig/cron/v3"
)

const (
	// Late is how late a run may start and still not be missed: enough for a restart of everything.
	Late = time.Minute
	// Most is how many missed runs are caught up with.
	Most = 100
)

// ErrZone: there is no such time zone.
var ErrZone = errors.New("there is no such time zone")

// Timetable is a cron expression in a time zone. Make it with Parse.
type Timetable struct {
	// spec's own idea of zones is not used: it gets and gives times of day, written as UTC.
	spec *cron.SpecSchedule
	zone *time.Location
}

const fields = cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor

// Parse reads an expression of five fields, or @hourly, @daily, @weekly, @monthly or @yearly, in the zone of an IANA
// name; empty is UTC. Its error says what is wrong, or is ErrZone.
func Parse(expr, zone string) (Timetable, error) {
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return Timetable{}, ErrZone
	}
	// The library would take these: a zone of its own beside ours, and intervals that begin whenever somebody looks.
	if strings.Contains(expr, "TZ=") {
		return Timetable{}, errors.New("the time zone is not part of the expression, it has a field of its own")
	}
	if strings.HasPrefix(strings.TrimSpace(expr), "@every") {
		return Timetable{}, errors.New("@every says how often and not when; write for example */15 * * * *")
	}
	parsed, err := cron.NewParser(fields).Parse(expr)
	if err != nil {
		return Timetable{}, err
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Timetable{}, fmt.Errorf("%T is not a schedule by the clock", parsed)
	}
	spec.Location = time.UTC
	t := Timetable{spec, loc}
	// From the year 2000 every day of the calendar comes within the five years that the library looks ahead.
	if spec.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Timetable{}, errors.New("there is no such day in any year")
	}
	return t, nil
}

// Zone is the zone that times of day are in.
func (t Timetable) Zone() *time.Location { return t.zone }

// Next is the first run after a moment; zero if there is none within five years.
func (t Timetable) Next(after time.Time) time.Time {
	const everyHour = 1<<24 - 1
	if t.spec.Hour&everyHour == everyHour {
		return t.byElapsed(after)
	}
	return t.byWall(after)
}

// byWall looks through times of day. A later one is never an earlier moment, so none before after's own can be the next.
func (t Timetable) byWall(after time.Time) time.Time {
	for wall := wallOf(after.In(t.zone)); ; {
		wall = t.spec.Next(wall)
		if wall.IsZero() {
			return time.Time{}
		}
		at := moment(wall, t.zone)
		if at.After(after) {
			return at
		}
	}
}

// byElapsed takes the zone as what it is, one span of a fixed offset after the other.
func (t Timetable) byElapsed(after time.Time) time.Time {
	span := after.In(t.zone)
	wall := wallOf(span)
	for {
		_, offset := span.Zone()
		_, end := span.ZoneBounds()
		next := t.spec.Next(wall)
		if next.IsZero() {
			return time.Time{}
		}
		at := time.Unix(next.Unix()-int64(offset), 0).In(t.zone)
		if end.IsZero() || at.Before(end) {
			return at
		}
		span, wall = end, wallOf(end).Add(-time.Second)
	}
}

// wallOf is what the clock on the wall shows at t, written as UTC, without fractions.
func wallOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// moment is when the clock on the wall shows wall for the first time; if it never does, the moment after the gap.
func moment(wall time.Time, zone *time.Location) time.Time {
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone)
	start, end := at.ZoneBounds()
	switch shown := wallOf(at); {
	case shown.After(wall): // put forward before at
		return start
	case shown.Before(wall): // put forward after it
		return end
	}
	if start.IsZero() {
		return at
	}
	_, before := start.Add(-1).Zone()
	first := time.Unix(wall.Unix()-int64(before), 0).In(zone)
	if first.Before(start) {
		return first
	}
	return at
}

// Step is what is to be done about a schedule that is due.
type Step struct {
	// Skipped is how many runs, from the one that was next, are left out. Then says where the schedule stands after
	// that; zero: at its end.
	Skipped int
	Then    time.Time
}

// Due decides about runs that were missed: next is the run that is due, now is not before it. Without catchUp all are
// left out that would start more than Late too late, with it all but the last Most. If none is left out, next is to be
// started.
func (t Timetable) Due(next, now time.Time, catchUp bool) Step {
	if catchUp {
		due := 0
		for at := next; !at.IsZero() && !at.After(now); at = t.Next(at) {
			due++
		}
		return t.skip(next, func(_ time.Time, n int) bool { return n < due-Most })
	}
	return t.skip(next, func(at time.Time, _ int) bool { return now.Sub(at) > Late })
}

func (t Timetable) skip(next time.Time, missed func(at time.Time, n int) bool) Step {
	s := Step{Then: next}
	for !s.Then.IsZero() && missed(s.Then, s.Skipped) {
		s.Skipped++
		s.Then = t.Next(s.Then)
	}
	return s
}
