package smtp_test

import (
	"bufio"
	"cmp"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stage names a moment of a conversation at which the sink can misbehave.
type stage string

// The stages in their order. Each fault happens instead of the stage's proper answer; at body it happens after the
// first line of the message, at after right behind the 250 to the dot.
const (
	atConnect  stage = "connect"
	atBanner   stage = "banner"
	atHello    stage = "EHLO"
	atStartTLS stage = "STARTTLS"
	atAuth     stage = "AUTH"
	atMail     stage = "MAIL"
	atRcpt     stage = "RCPT"
	atData     stage = "DATA"
	atBody     stage = "body"
	atDot      stage = "dot"
	atAfter    stage = "after 250"
	atQuit     stage = "QUIT"
)

// misdeed is what the sink does at a stage.
type misdeed string

const (
	hang    misdeed = "timeout"
	reset   misdeed = "RST"
	fin     misdeed = "FIN"
	say421  misdeed = "421"
	say4xx  misdeed = "4xx"
	say5xx  misdeed = "5xx"
	garbage misdeed = "garbage"
	endless misdeed = "2 MB line"
)

// script makes connection n (from 0) misbehave at a stage; a stage not named is answered properly.
type script func(n int, at stage) (misdeed, bool)

func once(where stage, what misdeed) script {
	return func(_ int, at stage) (misdeed, bool) { return what, at == where }
}

// sink is a mail server on a raw socket that does what its script says and remembers what it saw.
type sink struct {
	lis    net.Listener
	script script
	ehlo   []string
	// replies, if set, answer a stage in other words.
	replies map[stage]string

	mu       sync.Mutex
	conns    []net.Conn
	commands []string // of all connections
	mails    []string // complete ones: the dot was seen
	accepted int      // of those, answered with 250
	broken   []string // messages that ended without a dot
	dots     int
	done     sync.WaitGroup
	over     chan struct{} // closed by stop
}

func newSink(t *testing.T, s script, ehlo ...string) *sink {
	t.Helper()
	return startSink(t, &sink{script: s, ehlo: ehlo})
}

func startSink(t *testing.T, k *sink) *sink {
	t.Helper()
	k.listen(t)
	k.done.Go(k.serve)
	return k
}

func (k *sink) listen(t *testing.T) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k.lis, k.over = lis, make(chan struct{})
	t.Cleanup(k.stop)
}

// newDeafSink is a sink that never sees a connection: a client's first packet is refused, or never answered because
// the queue of the listener is full.
func newDeafSink(t *testing.T, what misdeed) *sink {
	t.Helper()
	k := &sink{}
	k.listen(t)
	switch what {
	case reset:
		_ = k.lis.Close()
	case hang:
		k.fill(t)
	default:
		t.Fatalf("%s is nothing that happens before a connection", what)
	}
	return k
}

// fill makes the listener's queue short, and connects until there is no room in it.
func (k *sink) fill(t *testing.T) {
	t.Helper()
	raw, err := k.lis.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), 0) })
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	for range 16 {
		c, err := net.DialTimeout("tcp", k.lis.Addr().String(), 100*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the listener's queue is never full")
}

// stop ends everything and waits, so that what the sink saw is complete.
func (k *sink) stop() {
	_ = k.lis.Close()
	k.mu.Lock()
	select {
	case <-k.over:
	default:
		close(k.over)
	}
	for _, c := range k.conns {
		_ = c.Close()
	}
	k.mu.Unlock()
	k.done.Wait()
}

func (k *sink) serve() {
	for n := 0; ; n++ {
		c, err := k.lis.Accept()
		if err != nil {
			return
		}
		k.mu.Lock()
		k.conns = append(k.conns, c)
		k.mu.Unlock()
		k.done.Go(func() {
			defer c.Close()
			(&talk{sink: k, n: n, c: c, r: bufio.NewReader(c)}).run()
		})
	}
}

// talk is one connection of the sink.
type talk struct {
	sink *sink
	n    int
	c    net.Conn
	r    *bufio.Reader
}

// answer gives the proper answer to a stage, or does the script's misdeed. It is false when the talk is over.
func (k *talk) answer(at stage, proper string) bool {
	other, ok := k.sink.replies[at]
	if ok {
		proper = other
	}
	what, bad := k.sink.script(k.n, at)
	if !bad {
		return proper == "" || k.write(proper+"\r\n")
	}
	if at == atBanner && (what == hang || what == reset || what == fin) {
		_ = k.write("220 sink.exam") // else it were what happens at connect
	}
	switch what {
	case hang:
		if at == atBody {
			<-k.sink.over // takes nothing any more
			return false
		}
		_, _ = k.r.WriteTo(nothing{}) // until the client gives up
		return false
	case reset:
		_ = k.c.(*net.TCPConn).SetLinger(0)
		return false
	case fin:
		return false
	case say421:
		_ = k.write("421 4.3.2 shutting down\r\n")
		return false
	case say4xx:
		return k.write("451 4.7.1 greylisted, try later\r\n")
	case say5xx:
		return k.write("550 5.1.1 no such thing\r\n")
	case garbage:
		return k.write("\x00\xffHTTP/1.1 200 OK\r\n")
	case endless:
		_ = k.write("250 " + strings.Repeat("x", 2<<20))
		_, _ = k.r.WriteTo(nothing{})
		return false
	}
	panic("no such misdeed: " + what)
}

type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }

func (k *talk) write(s string) bool {
	_, err := k.c.Write([]byte(s))
	return err == nil
}

func (k *talk) run() {
	_, bad := k.sink.script(k.n, atConnect)
	if bad {
		k.answer(atConnect, "")
		return
	}
	if !k.answer(atBanner, "220 sink.example ESMTP") {
		return
	}
	for {
		line, err := k.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		k.sink.mu.Lock()
		k.sink.commands = append(k.sink.commands, line)
		k.sink.mu.Unlock()
		verb, _, _ := strings.Cut(line, " ")
		more := false
		switch verb {
		case "EHLO":
			more = k.answer(atHello, k.hello())
		case "STARTTLS":
			more = k.answer(atStartTLS, "454 4.7.0 no certificate")
		case "AUTH":
			more = k.answer(atAuth, "235 2.7.0 welcome")
		case "MAIL":
			more = k.answer(atMail, "250 2.1.0 ok")
		case "RCPT":
			more = k.answer(atRcpt, "250 2.1.5 ok")
		case "DATA":
			more = k.data()
		case "RSET", "NOOP":
			more = k.write("250 2.0.0 ok\r\n")
		case "QUIT":
			_ = k.answer(atQuit, "221 2.0.0 bye")
		default:
			more = k.write("502 5.5.2 what?\r\n")
		}
		if !more {
			return
		}
	}
}

func (k *talk) hello() string {
	lines := append([]string{"sink.example"}, k.sink.ehlo...)
	var b strings.Builder
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		b.WriteString("250" + sep + l + "\r\n")
	}
	return strings.TrimSuffix(b.String(), "\r\n")
}

func (k *talk) data() bool {
	what, bad := k.sink.script(k.n, atData)
	if !k.answer(atData, "354 go on") {
		return false
	}
	if bad && what != "" {
		return true // refused: no message follows
	}
	var mail strings.Builder
	for first := true; ; first = false {
		line, err := k.r.ReadString('\n')
		if err == nil && line == ".\r\n" {
			break
		}
		if err == nil {
			mail.WriteString(strings.TrimPrefix(line, "."))
		}
		if err != nil || first && !k.answer(atBody, "") {
			k.sink.mu.Lock()
			k.sink.broken = append(k.sink.broken, mail.String())
			k.sink.mu.Unlock()
			return false
		}
	}
	k.sink.mu.Lock()
	k.sink.dots++
	k.sink.mails = append(k.sink.mails, mail.String())
	k.sink.mu.Unlock()
	if !k.answer(atDot, "250 2.0.0 ok: queued as 4F2A") {
		return false
	}
	_, bad = k.sink.script(k.n, atDot)
	if !bad {
		k.sink.mu.Lock()
		k.sink.accepted++
		k.sink.mu.Unlock()
	}
	return k.answer(atAfter, "")
}

// saw sums up how far a client came that sends one message. The sink must have been stopped.
func (k *sink) saw() string {
	var last string
	if len(k.commands) > 0 {
		last, _, _ = strings.Cut(k.commands[len(k.commands)-1], " ")
	}
	switch {
	case k.dots > 1 || len(k.conns) > 1:
		return fmt.Sprintf("%d dots over %d connections", k.dots, len(k.conns))
	case k.accepted == 1 && last == "QUIT":
		return "all, QUIT"
	case k.accepted == 1:
		return "all"
	case k.dots == 1:
		return "dot"
	case len(k.broken) == 1:
		return "part"
	case len(k.conns) == 1:
		return cmp.Or(last, "connection")
	}
	return "nothing"
}
