package cli

import (
	"bytes"
	"context"
	"time"
)

// Run runs a command line whose standard error is a terminal if live is set, and both colour and bars are wanted.
func Run(args []string, live bool, now time.Time) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	t := &term{out: &out, err: &err, colour: live, live: live, now: func() time.Time { return now }}
	code = run(context.Background(), args, t)
	return code, out.String(), err.String()
}

// LateBar returns what a terminal shows of progress that is told once before and once after a bar's time has come.
func LateBar() (before, after string) {
	var out bytes.Buffer
	t := &term{err: &out, live: true}
	b := t.later(time.Hour, barPages, "looking at pages")
	b.set(20, 120)
	before = out.String()
	b.since = b.since.Add(-2 * time.Hour)
	b.set(40, 120)
	after = b.bar.pb.String()
	b.finish()
	return before, after
}

// Clean is clean.
func Clean(s string) string { return clean(s) }

// OutNames names the copies of source for people, in order.
func OutNames(source string, people ...string) []string {
	o := newOutNames(source)
	var names []string
	for _, p := range people {
		names = append(names, o.next(p))
	}
	return names
}

// Moment reads a moment and returns it as counted on from now and back from now.
func Moment(text string, now time.Time) (after, before time.Time, err error) {
	var m moment
	err = m.UnmarshalText([]byte(text))
	return m.after(now), m.before(now), err
}
