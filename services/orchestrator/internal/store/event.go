package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Event is one line of what happened. Fields that do not apply are empty.
type Event struct {
	ID      string // Redis stream id: milliseconds, dash, sequence
	Kind    string
	Step    string
	Unit    string
	Attempt int
	Worker  string
	Started time.Time
	State   string
	Code    string
	Message string
	Text    string // what was asked for
	// RetryAt is when an attempt is followed by another.
	RetryAt time.Time
	// Limit held the attempt up before it began, for LimitWait.
	Limit     string
	LimitWait time.Duration
	Figures   Figures
	// Delivery is the state that the delivery of an attempt that failed for good entered.
	Delivery string
	// Again names steps that run or wait again, as unit/step.
	Again []string
}

// Time is when the event was written.
func (e Event) Time() time.Time {
	ms, _, _ := strings.Cut(e.ID, "-")
	return at(ms)
}

// Events returns at most n events after the one that cursor names ("" for the first page), oldest first, and the cursor
// of the next page, empty at the end. ErrArchived: some of them are in the archive, and not here any more.
func (s *Store) Events(ctx context.Context, production, id, cursor string, n int) ([]Event, string, error) {
	start := "-"
	if cursor != "" {
		start = "(" + cursor
	}
	// In this order: what was deleted before the list was read is told of after it. No transaction, which a user that may
	// only read does not have.
	sh := s.shardOf(production)
	pipe := s.c.Pipeline()
	list := pipe.XRangeN(ctx, sh.events(id), start, "+", int64(n+1))
	archived := pipe.HGet(ctx, sh.dist(id), "arc")
	_, err := pipe.Exec(ctx)
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, "", fmt.Errorf("read events: %w", err)
	}
	if up := archived.Val(); up != "" && (cursor == "" || before(cursor, up)) {
		return nil, "", ErrArchived
	}
	msgs := list.Val()
	next := ""
	if len(msgs) > n {
		msgs = msgs[:n]
		next = msgs[n-1].ID
	}
	out := make([]Event, len(msgs))
	for i, m := range msgs {
		f := func(key string) string { v, _ := m.Values[key].(string); return v }
		out[i] = Event{ID: m.ID, Kind: f("k"), Step: f("s"), Unit: f("u"), Attempt: number(f("a")), Worker: f("w"),
			Started: at(f("st")), State: f("to"), Code: f("c"), Message: f("m"), Text: f("t"), RetryAt: at(f("d")), Figures: figuresOf(f("x")),
			Delivery: f("v"), Again: strings.Fields(f("r"))}
		out[i].Limit, out[i].LimitWait = heldUp(f("l"))
		// The end of an attempt is one field, as settle.lua writes it; earlier versions wrote several, as of other events.
		ended := strings.SplitN(f("e"), " ", 6)
		if len(ended) == 6 {
			e := &out[i]
			e.Kind, e.Step, e.Unit, e.Attempt = "attempt", ended[0], ended[1], number(ended[2])
			e.State, e.Worker = ended[4], ended[5]
			if ended[3] != "0" {
				e.Started = at(ended[3])
			}
		}
	}
	return out, next, nil
}

// LastEvent is the id of what happened to a distribution last, be it here or archived, and of the last that is archived; ""
// when nothing did that is known, or is.
func (s *Store) LastEvent(ctx context.Context, production, id string) (last, archived string, err error) {
	sh := s.shardOf(production)
	pipe := s.c.Pipeline()
	list := pipe.XRevRangeN(ctx, sh.events(id), "+", "-", 1)
	arc := pipe.HGet(ctx, sh.dist(id), "arc")
	_, err = pipe.Exec(ctx)
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", "", fmt.Errorf("read events: %w", err)
	}
	if msgs := list.Val(); len(msgs) > 0 {
		return msgs[0].ID, arc.Val(), nil
	}
	return arc.Val(), arc.Val(), nil
}

// Figures are what a function gave with an attempt beside its answer; they stand in the attempt's event.
type Figures struct {
	In      int64    `json:"i,omitempty"` // bytes read
	Out     int64    `json:"o,omitempty"` // bytes made
	Metrics []Metric `json:"m,omitempty"`
	Lines   []Line   `json:"l,omitempty"`
}

// Metric is a number of a function's own.
type Metric struct {
	Name   string            `json:"n"`
	Value  float64           `json:"v"`
	Labels map[string]string `json:"l,omitempty"`
}

// Line is what it logged; Time is in ms.
type Line struct {
	Time  int64  `json:"t"`
	Level string `json:"v"`
	Text  string `json:"x"`
}

// text is f as it stands in an event; empty when there is nothing.
func (f Figures) text() string {
	if f.In == 0 && f.Out == 0 && len(f.Metrics) == 0 && len(f.Lines) == 0 {
		return ""
	}
	if len(f.Metrics) == 0 && len(f.Lines) == 0 {
		// Most have bytes and nothing else, and there are many.
		return `{"i":` + strconv.FormatInt(f.In, 10) + `,"o":` + strconv.FormatInt(f.Out, 10) + `}`
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return "" // a number that is none; workers send no such thing
	}
	return string(raw)
}

// figuresOf is the reverse of text; of a newer release what is known of it.
func figuresOf(text string) Figures {
	var f Figures
	if text != "" {
		_ = json.Unmarshal([]byte(text), &f) // what cannot be read is not shown
	}
	return f
}

// heldUp reads "name ms": the limit that an attempt waited for, and for how long.
func heldUp(text string) (limit string, wait time.Duration) {
	limit, ms := cutLast(text, " ")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return "", 0
	}
	return limit, time.Duration(n) * time.Millisecond
}

// cutLast is strings.Cut at the last sep.
func cutLast(s, sep string) (before, after string) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+len(sep):]
}
