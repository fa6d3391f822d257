package smtp

import (
	"context"
	"errors"
	"io"
	"net/textproto"
	"os"
	"strconv"
	"time"

	"github.com/filigreehq/filigree/pkg/telemetry"
)

// Content writes the message, lines ending in CRLF and the last one, too.
type Content func(io.Writer) error

// Checkpoint is asked right before the final dot; unless it returns nil the dot is not sent.
type Checkpoint func(context.Context) error

// verdict is what deliver learned about the connection beside the message's fate.
type verdict struct {
	begun  bool // the server accepted MAIL: a failure from here on is about this message
	usable bool // the next message may use the connection
}

// deliver runs one message's conversation. Errors of content and checkpoint come back as they are.
func (c *conn) deliver(ctx context.Context, env Envelope, content Content, checkpoint Checkpoint) (reply string, v verdict, err error) {
	release := c.wire.follow(ctx)
	defer release()
	if c.sent > 0 {
		// The server may have hung up meanwhile, or not have forgotten the last message.
		err = c.say(Reset, 250, "RSET")
		if err != nil {
			return "", v, err
		}
	}
	c.sent++
	limit := c.limit()
	if limit > 0 && env.Size > limit {
		return "", verdict{begun: true, usable: true}, &Error{Outcome: TooBig, Phase: Mail}
	}
	utf8, _ := c.Extension("SMTPUTF8")
	if env.UTF8 && !utf8 {
		return "", verdict{begun: true, usable: true}, &Error{Outcome: Unsupported, Phase: Mail}
	}
	err = c.say(Mail, 250, "MAIL FROM:<%s>%s", env.From, c.mailParams(env))
	if err != nil {
		v.usable = answered(err)
		return "", v, err
	}
	v.begun = true
	err = c.say(Rcpt, 25, "RCPT TO:<%s>", env.To)
	if err == nil {
		err = c.say(Data, 354, "DATA")
	}
	if err != nil {
		v.usable = answered(err)
		return "", v, err
	}
	reply, v.usable, err = c.transmit(ctx, release, content, checkpoint)
	return reply, v, err
}

// transmit writes the message and the dot.
func (c *conn) transmit(ctx context.Context, release func() bool, content Content, checkpoint Checkpoint) (reply string, usable bool, err error) {
	c.wire.stream(c.cfg.Data)
	watch := c.watch()
	dot := c.Text.DotWriter()
	err = c.write(dot, content)
	if err == nil {
		c.passed(Body)
		err = checkpoint(ctx)
		if err != nil {
			_ = watch.stop(0) // nothing was sent, whatever the server thinks of it
			return "", false, err
		}
	}
	var failed *writeError
	lost := errors.As(err, &failed)
	var grace time.Duration
	if lost && ctx.Err() == nil {
		grace = lastWords
	}
	early := watch.stop(grace)
	switch {
	case err != nil && !lost:
		return "", false, err
	case early != nil: // says more than a write that failed because of it
		return "", false, early
	case err != nil:
		return "", false, classify(Body, err)
	}
	if !release() {
		return "", false, classify(Body, context.Cause(ctx))
	}
	return c.dot(dot)
}

// write writes the whole message and flushes it. What fails on our side of the connection is a writeError.
func (c *conn) write(dot io.Writer, content Content) error {
	body := &bodyWriter{w: dot}
	err := content(body)
	if err != nil {
		return err
	}
	err = body.end()
	if err != nil {
		return err
	}
	err = c.Text.W.Flush()
	if err != nil {
		return &writeError{err}
	}
	return nil
}

// dot sends the final dot and waits for the answer. The context no longer matters: to walk away now would make a known
// outcome an unknown one.
func (c *conn) dot(w io.Closer) (reply string, usable bool, err error) {
	c.wire.begin(c.cfg.Dot)
	before := c.wire.written.Load()
	err = w.Close()
	if err != nil && c.wire.written.Load() == before {
		return "", false, classify(Body, err) // not a byte of it left this machine
	}
	if err != nil {
		return "", false, &Error{Outcome: Uncertain, Phase: Dot, cause: err}
	}
	code, text, err := c.Text.ReadResponse(2)
	if err == nil {
		return line(code, text), true, nil
	}
	e := classify(Dot, err)
	if e.Code/100 != 4 && e.Code/100 != 5 {
		e.Outcome = Uncertain
		return "", false, e
	}
	return "", !e.closing(), e
}

// say is one command and its answer.
func (c *conn) say(phase Phase, expect int, format string, args ...any) error {
	c.wire.begin(c.cfg.Command)
	id, err := c.Text.Cmd(format, args...)
	if err != nil {
		return classify(phase, err)
	}
	c.Text.StartResponse(id)
	defer c.Text.EndResponse(id)
	_, _, err = c.Text.ReadResponse(expect)
	if err != nil {
		return classify(phase, err)
	}
	c.passed(phase)
	return nil
}

// passed notes in the span of the Send under way that a phase is over.
func (c *conn) passed(phase Phase) {
	ctx := c.wire.ctx.Load()
	if ctx != nil {
		telemetry.Event(*ctx, string(phase))
	}
}

func (c *conn) mailParams(env Envelope) string {
	var params string
	if ok, _ := c.Extension("SIZE"); ok {
		params += " SIZE=" + strconv.FormatInt(env.Size, 10)
	}
	if env.UTF8 {
		// The rest of the message is 7 bits; only such an address makes it 8.
		if ok, _ := c.Extension("8BITMIME"); ok {
			params += " BODY=8BITMIME"
		}
		params += " SMTPUTF8"
	}
	return params
}

// answered reports whether err is a proper refusal after which the conversation can go on.
func answered(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Code/100 == 4 || e.Code/100 == 5) && !e.closing()
}

// watcher listens while we write: a server that says something before the dot, or hangs up, has not taken the message,
// however far we came.
type watcher struct {
	c    *conn
	done chan struct{}
	err  error
}

func (c *conn) watch() *watcher {
	w := &watcher{c: c, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		_, w.err = c.Text.R.Peek(1)
	}()
	return w
}

// lastWords is how long to look for the reason when a server broke the connection off.
const lastWords = time.Second

// stop ends the watch, after grace if nothing comes before, and returns what the server did meanwhile; nil if it kept
// quiet.
func (w *watcher) stop(grace time.Duration) error {
	deadline := past
	if grace > 0 {
		deadline = time.Now().Add(grace)
	}
	_ = w.c.wire.SetReadDeadline(deadline) // wakes the watcher
	<-w.done
	if w.err == nil {
		w.c.wire.begin(w.c.cfg.Command)
		code, text, err := w.c.Text.ReadResponse(0)
		if err == nil {
			err = &textproto.Error{Code: code, Msg: text}
		}
		return classify(Body, err)
	}
	if errors.Is(w.err, os.ErrDeadlineExceeded) {
		return nil
	}
	return classify(Body, w.err)
}

// bodyWriter tells our failure to write from the content's failure to read, and refuses what would be no clean message:
// a bare CR or LF, a NUL, a line of more than 998 bytes.
type bodyWriter struct {
	w    io.Writer
	line int
	cr   bool
}

type writeError struct{ err error }

func (e *writeError) Error() string { return "write message: " + e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

var errUnclean = errors.New("the message is not clean: a bare CR or LF, a NUL, or a line that is too long")

func (b *bodyWriter) Write(p []byte) (int, error) {
	for _, ch := range p {
		switch {
		case ch == 0, (ch == '\n') != b.cr:
			return 0, errUnclean
		case ch == '\r':
			b.cr = true
			continue
		case ch == '\n':
			b.cr, b.line = false, 0
			continue
		}
		b.line++
		if b.line > 998 {
			return 0, errUnclean
		}
	}
	n, err := b.w.Write(p)
	if err != nil {
		return n, &writeError{err}
	}
	return n, nil
}

// end checks that the last line had its end: the dot must stand on a line of its own.
func (b *bodyWriter) end() error {
	if b.cr || b.line > 0 {
		return errUnclean
	}
	return nil
}
