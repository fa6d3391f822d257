package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// maxAnswer bounds what a server may say in one phase: a line without an end must not fill the memory. A TLS handshake
// with its certificates fits.
const maxAnswer = 128 << 10

var errEndlessAnswer = errors.New("the server's answer has no end")

// wire is the network connection, below TLS. It keeps deadlines that the end of a context cuts short, bounds what is
// read, and knows whether anything was written.
type wire struct {
	net.Conn
	ctx     atomic.Pointer[context.Context] // of the Send under way
	read    atomic.Int64                    // bytes since begin
	written atomic.Int64
	// each, if positive, gives every write its own time.
	each atomic.Int64
}

var past = time.Unix(1, 0)

// follow makes the connection end with ctx. It returns false from release if ctx ended before.
func (w *wire) follow(ctx context.Context) (release func() bool) {
	w.ctx.Store(&ctx)
	stop := context.AfterFunc(ctx, func() { _ = w.SetDeadline(past) }) // a closed connection needs none
	return func() bool {
		going := stop()
		w.ctx.Store(nil)
		return going
	}
}

// begin gives the next exchange its time and its budget.
func (w *wire) begin(d time.Duration) {
	w.read.Store(0)
	w.each.Store(0)
	_ = w.SetDeadline(time.Now().Add(d)) // a closed connection needs none
	w.heed()
}

// stream gives every following write d, and reading no end.
func (w *wire) stream(d time.Duration) {
	w.read.Store(0)
	w.each.Store(int64(d))
	_ = w.SetDeadline(time.Time{})
	w.heed()
}

// heed repeats what the end of the context did, if a deadline was set after it.
func (w *wire) heed() {
	ctx := w.ctx.Load()
	if ctx != nil && (*ctx).Err() != nil {
		_ = w.SetDeadline(past)
	}
}

func (w *wire) Read(p []byte) (int, error) {
	room := maxAnswer - w.read.Load()
	if room <= 0 {
		return 0, errEndlessAnswer
	}
	n, err := w.Conn.Read(p[:min(int64(len(p)), room)])
	w.read.Add(int64(n))
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	d := w.each.Load()
	if d > 0 {
		_ = w.SetWriteDeadline(time.Now().Add(time.Duration(d)))
		w.heed()
	}
	n, err := w.Conn.Write(p)
	w.written.Add(int64(n))
	return n, err
}

// abort ends the connection with a reset, so that nothing written before it can look like the end of a message.
func (w *wire) abort() {
	tcp, ok := w.Conn.(*net.TCPConn)
	if ok {
		_ = tcp.SetLinger(0) // best effort; closing follows
	}
	_ = w.Close()
}

// flusher makes a larger buffer over a smaller one useful: what it is given goes out whole.
type flusher interface {
	io.Writer
	Flush() error
}

type through struct{ flusher }

func (t through) Write(p []byte) (int, error) {
	n, err := t.flusher.Write(p)
	if err != nil {
		return n, err
	}
	return n, t.Flush()
}
