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

// Clean is clean.
func Clean(s string) string { return clean(s) }

// OutNames names the copies of base for people, in order.
func OutNames(base string, people ...string) []string {
	o := newOutNames(base)
	var names []string
	for _, p := range people {
		names = append(names, o.next(p))
	}
	return names
}
