// Package outbox is the mail server of a machine that has none: it listens on a loopback port, takes mail for anybody
// and delivers it to nobody, but writes each one as a file that a mail reader opens.
//
// What it guarantees: when a sender has its 250, the mail is one complete .eml file in the folder, byte for byte as it
// was sent, and survives a crash of the machine. Mail that broke off on the way leaves nothing. A mail sent twice is two
// files, so that duplicates can be seen. Files sort by the time they came.
package outbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

const (
	maxSize = 100 << 20
	// waiting bounds how long a silent sender keeps its connection.
	waiting = 5 * time.Minute
	// leaving bounds how long Close waits for mails under way.
	leaving = 2 * time.Second
	partial = ".incoming-"
)

// Server is a running outbox.
type Server struct {
	dir    string
	log    *slog.Logger
	smtp   *smtp.Server
	lis    net.Listener
	served chan error

	mu    sync.Mutex
	conns map[net.Conn]bool // true: a mail is coming in

	close sync.Once
	err   error
}

// Start listens on a free loopback port and writes mails to dir, which is made if need be. What an earlier run left
// half-written there is removed.
func Start(dir string, log *slog.Logger) (*Server, error) {
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return nil, fmt.Errorf("start outbox: %w", err)
	}
	leftovers, err := filepath.Glob(filepath.Join(dir, partial+"*"))
	if err != nil {
		return nil, fmt.Errorf("start outbox: %w", err)
	}
	for _, name := range leftovers {
		err = os.Remove(name)
		if err != nil {
			return nil, fmt.Errorf("start outbox: remove what an earlier run left: %w", err)
		}
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start outbox: %w", err)
	}
	s := &Server{dir: dir, log: log, lis: lis, served: make(chan error, 1), conns: map[net.Conn]bool{}}
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, conn: c.Conn()}, nil
	}))
	s.smtp.Domain = "localhost"
	s.smtp.MaxMessageBytes = maxSize
	s.smtp.EnableSMTPUTF8 = true
	s.smtp.ReadTimeout, s.smtp.WriteTimeout = waiting, waiting
	s.smtp.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	go func() { s.served <- s.smtp.Serve(listener{lis, s}) }()
	return s, nil
}

// Addr is where it listens: "127.0.0.1:41234".
func (s *Server) Addr() string { return s.lis.Addr().String() }

// Close waits shortly for mails under way, then ends all connections. Closing twice is harmless.
func (s *Server) Close() error {
	s.close.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), leaving)
		defer cancel()
		s.hangUp(func(busy bool) bool { return !busy })
		err := s.smtp.Shutdown(ctx)
		_ = s.lis.Close() // in case Serve had not come to know it yet
		if errors.Is(err, context.DeadlineExceeded) {
			s.hangUp(func(bool) bool { return true })
			err = nil
		}
		s.err = errors.Join(err, <-s.served)
	})
	return s.err
}

// hangUp ends connections by whether a mail is coming in on them.
func (s *Server) hangUp(which func(busy bool) bool) {
	s.mu.Lock()
	var chosen []net.Conn
	for c, busy := range s.conns {
		if which(busy) {
			chosen = append(chosen, c)
		}
	}
	s.mu.Unlock()
	for _, c := range chosen {
		_ = c.Close() // it may have ended by itself
	}
}

func (s *Server) mark(c net.Conn, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, open := s.conns[c]
	if open {
		s.conns[c] = busy
	}
}

// listener knows the connections that are open.
type listener struct {
	net.Listener
	server *Server
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t := &tracked{Conn: c, server: l.server}
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	l.server.conns[t] = false
	return t, nil
}

type tracked struct {
	net.Conn
	server *Server
}

func (t *tracked) Close() error {
	t.server.mu.Lock()
	delete(t.server.conns, t)
	t.server.mu.Unlock()
	return t.Conn.Close()
}

// session is one connection's conversation.
type session struct {
	server *Server
	conn   net.Conn
	to     string // the first recipient
}

func (c *session) Mail(string, *smtp.MailOptions) error { return nil }

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if c.to == "" {
		c.to = to
	}
	return nil
}

func (c *session) Data(r io.Reader) error {
	c.server.mark(c.conn, true)
	defer c.server.mark(c.conn, false)
	name := fileName(time.Now(), c.to)
	err := c.server.write(name, r)
	var refused *smtp.SMTPError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused): // too large
		return refused
	case errors.Is(err, errBroken):
		c.server.log.Warn("mail broke off", "err", err)
	default:
		c.server.log.Error("mail not written to the outbox", "err", err)
	}
	return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "The outbox could not be written"}
}

func (c *session) Reset()        { c.to = "" }
func (c *session) Logout() error { return nil }

// errBroken: the sender did not send the end of the mail.
var errBroken = errors.New("sender broke off")

// write makes r the file name, all of it or nothing, and returns when that is durable.
func (s *Server) write(name string, r io.Reader) (err error) {
	f, err := os.CreateTemp(s.dir, partial+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()           // already failed
			_ = os.Remove(f.Name()) // the next start removes it
		}
	}()
	_, err = io.Copy(f, sender{r})
	if err != nil {
		return err
	}
	err = f.Sync()
	if err != nil {
		return err
	}
	err = f.Close()
	if err != nil {
		return err
	}
	err = os.Rename(f.Name(), filepath.Join(s.dir, name))
	if err != nil {
		return err
	}
	return syncDir(s.dir)
}

// sender tells a mail that breaks off from a disk that is full.
type sender struct{ r io.Reader }

func (s sender) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	var refused *smtp.SMTPError
	if err != nil && err != io.EOF && !errors.As(err, &refused) {
		err = fmt.Errorf("%w: %w", errBroken, err)
	}
	return n, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// fileName is the time, who it is for and something random: 20261121T214412.123Z-ada-k3v9x2pq.eml.
func fileName(now time.Time, to string) string {
	local, _, _ := strings.Cut(to, "@")
	return now.UTC().Format("20060102T150405.000Z") + "-" + safe(local) + "-" + strings.ToLower(rand.Text()[:8]) + ".eml"
}

// safe keeps letters, digits and a few signs, at most 40.
func safe(local string) string {
	var b strings.Builder
	for _, r := range local {
		if b.Len() == 40 {
			break
		}
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.' && b.Len() > 0, r == '_', r == '+':
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	if b.Len() == 0 {
		return "nobody"
	}
	return b.String()
}
