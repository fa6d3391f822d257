package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

const (
	// silence is how long an event stream may bring nothing: the server sends something every 15 seconds, so that
	// whoever hears nothing has lost it, or has something in between that holds events back.
	silence = 45 * time.Second
	// maxLine bounds one line of an event stream: a distribution of 100 files is well below.
	maxLine = 4 << 20
)

var (
	errSilent = fmt.Errorf("it sent nothing for %s", silence)
	errCut    = errors.New("it ended the connection")
)

// Follow watches a distribution through the server's event stream. It calls seen with its present state and each time it
// changed, as message and as the server wrote it, and returns nil once seen says that it is enough or the server says
// that nothing more comes.
//
// A stream that breaks is made again for as long as ctx lasts, with growing pauses, from where it broke. Before that,
// one plain question finds out whether the server is back and what happened meanwhile: a stream that goes on stays silent
// until something changes. lost is called with what went wrong, as often as it does; a call of seen is the all-clear.
// What trying again cannot help, a refusal, ends Follow; so does the end of ctx, with its error.
func (c *Client) Follow(ctx context.Context, production, id string, seen func(*distributionv1.Distribution, json.RawMessage) (enough bool), lost func(error)) error {
	w := watcher{client: c, production: production, id: id, seen: seen}
	failures := 0
	for {
		heard, err := w.stream(ctx)
		if err == nil {
			return nil
		}
		if heard {
			failures = 0
		}
		for err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			again, after := passing(err)
			if !again {
				return err
			}
			lost(err)
			failures++
			err = c.pause(ctx, max(backoff(failures), after))
			if err != nil {
				return err
			}
			var enough bool
			enough, err = w.ask(ctx)
			if enough {
				return nil
			}
		}
	}
}

// watcher follows one distribution.
type watcher struct {
	client         *Client
	production, id string
	seen           func(*distributionv1.Distribution, json.RawMessage) bool
	last           string // id of the last event
}

// ask asks for the distribution once.
func (w *watcher) ask(ctx context.Context) (enough bool, err error) {
	data, err := w.client.once(ctx, call{method: http.MethodGet, path: join("productions", w.production, "distributions", w.id)})
	if err != nil {
		return false, err
	}
	return w.tell(data)
}

func (w *watcher) tell(data []byte) (enough bool, err error) {
	d := &distributionv1.Distribution{}
	err = decode(data, nil, d)
	if err != nil {
		return false, err
	}
	return w.seen(d, data), nil
}

// stream reads one event stream. It returns nil when there is nothing more to see, and whether the server was heard.
func (w *watcher) stream(ctx context.Context) (heard bool, err error) {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer alarm.Stop()
	req, err := w.client.request(within, call{method: http.MethodGet, path: join("productions", w.production, "distributions", w.id, "watch")})
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Accept-Encoding", "identity") // what compresses gathers first
	req.Header.Set("Cache-Control", "no-store")
	if w.last != "" {
		req.Header.Set("Last-Event-ID", w.last)
	}
	resp, err := w.client.http.Do(req)
	if err != nil {
		return false, w.gone(ctx, within, err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing of it is wanted any more
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return true, nil
	case resp.StatusCode != http.StatusOK:
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		if err != nil {
			return false, w.gone(ctx, within, err)
		}
		return false, refusal(resp, data)
	case kind != "text/event-stream":
		return false, unreadable(fmt.Errorf("it is %q and no event stream", kind))
	}
	events := bufio.NewScanner(resp.Body)
	events.Buffer(nil, maxLine)
	var e event
	for events.Scan() {
		heard = true
		alarm.Reset(silence)
		if !e.line(events.Text()) {
			continue
		}
		over, err := w.take(e)
		if over || err != nil {
			return true, err
		}
		e = event{}
	}
	err = events.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return heard, unreadable(err)
	case err == nil:
		err = errCut // what came of an event without its end does not count
	}
	return heard, w.gone(ctx, within, err)
}

// take deals with one event; one of a kind it does not know is for newer clients.
func (w *watcher) take(e event) (over bool, err error) {
	switch e.kind {
	case "distribution":
		over, err = w.tell([]byte(e.data))
	case "end":
		over = true
	}
	if err == nil && e.id != "" {
		w.last = e.id
	}
	return over, err
}

// gone tells the silence that we ended ourselves from a connection that broke.
func (w *watcher) gone(ctx, within context.Context, err error) error {
	if ctx.Err() == nil && errors.Is(context.Cause(within), errSilent) {
		return &UnreachableError{Base: w.client.base, cause: errSilent}
	}
	return w.client.unreachable(ctx, err)
}

// event is a server-sent event (HTML Living Standard, 9.2) as far as Filigree's server uses them: lines end with LF or
// CRLF.
type event struct {
	id, kind, data string
}

// line takes the event's next line and reports whether it was its end.
func (e *event) line(text string) (whole bool) {
	if text == "" {
		if e.kind == "" && e.data == "" {
			*e = event{} // a comment's
			return false
		}
		e.data = strings.TrimSuffix(e.data, "\n")
		return true
	}
	field, value, _ := strings.Cut(text, ":") // a comment is a field without name
	value = strings.TrimPrefix(value, " ")
	switch field {
	case "id":
		e.id = value
	case "event":
		e.kind = value
	case "data":
		e.data += value + "\n"
	}
	return false
}
