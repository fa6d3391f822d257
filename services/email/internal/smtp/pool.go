package smtp

import (
	"context"
	"errors"
	"sync"
	"time"
)

var errClosed = errors.New("the pool is closed")

// Pool sends messages over at most Config.Connections connections, each used by one message at a time. It is safe for
// concurrent use.
type Pool struct {
	cfg   Config
	slots chan struct{}

	mu     sync.Mutex
	idle   []*conn // the last is the freshest
	closed bool
	leave  sync.WaitGroup // connections taking leave in the background
}

// New makes a pool; it connects when there is something to send.
func New(cfg Config) *Pool {
	return &Pool{cfg: cfg, slots: make(chan struct{}, cfg.Connections)}
}

// Server is the name of the server that messages are handed to.
func (p *Pool) Server() string { return p.cfg.Host }

// Send hands content to the server. It returns the server's answer to the final dot ("250 2.0.0 Ok: queued as 4F2A"),
// an *Error, or the error of content or checkpoint as it is; see the package's promises. Content is called at most
// once. When ctx ends before the dot nothing is sent; after it, Send waits for the answer for Config.Dot.
func (p *Pool) Send(ctx context.Context, env Envelope, content Content, checkpoint Checkpoint) (string, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return "", classify(Connect, context.Cause(ctx))
	}
	c := p.take()
	if c != nil {
		reply, v, err := c.deliver(ctx, env, content, checkpoint)
		p.settle(c, v)
		if err == nil || v.begun || ctx.Err() != nil {
			return reply, err
		}
		// The connection failed, not the message.
	}
	c, err := dial(ctx, p.cfg)
	if err != nil {
		return "", err
	}
	reply, v, err := c.deliver(ctx, env, content, checkpoint)
	p.settle(c, v)
	return reply, err
}

// take returns the idle connection used last, nil if there is none.
func (p *Pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	c.timer.Stop() // if it fires all the same it finds the connection gone from idle
	return c
}

// settle keeps a connection for the next message, or ends it.
func (p *Pool) settle(c *conn, v verdict) {
	if !v.usable || c.Text.R.Buffered() > 0 {
		c.wire.abort()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		c.wire.abort()
	case c.sent >= p.cfg.PerConn:
		p.leave.Go(c.quit)
	default:
		p.idle = append(p.idle, c)
		c.timer = time.AfterFunc(p.cfg.Idle, func() { p.expire(c) })
	}
}

// expire ends a connection that nobody used for long.
func (p *Pool) expire(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.idle {
		if other == c {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			p.leave.Go(c.quit)
			return
		}
	}
}

// Close ends idle connections and waits for them; those in use end with their message.
func (p *Pool) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return errClosed
	}
	p.closed = true
	for _, c := range p.idle {
		c.timer.Stop()
		p.leave.Go(c.quit)
	}
	p.idle = nil
	p.mu.Unlock()
	p.leave.Wait()
	return nil
}
