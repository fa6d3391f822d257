package e2e_test

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filigreehq/filigree/loadtest/internal/ledger"
)

// A turn is what the mail server does to one attempt at one recipient. The zero value takes the mail.
type turn struct {
	rcpt string // answer to RCPT; empty accepts. One that begins with 421 is followed by hanging up
	data string // answer to DATA; empty is 354
	dot  string // answer to the final dot; empty is 250, and the mail is in the ledger
	// What happens after the final dot instead of an answer; the mail is in the ledger.
	silent, broken bool
	// lost: as broken, but the mail is not in the ledger.
	lost bool
	// gate holds the answer to DATA back until it is closed.
	gate <-chan struct{}
}

// mailServer speaks SMTP by a script for each recipient: what is done to the first attempt, the second and so on; the
// last turn repeats. Recipients without a script get their mail. Its ledger has what a recipient could have got.
type mailServer struct {
	lis    net.Listener
	script map[string][]turn
	box    *ledger.Memory
	// greet answers connections, the first, the second and so on; empty is 220.
	greet []string

	mu      sync.Mutex
	conns   map[net.Conn]bool
	greeted int
	tried   map[string]int // attempts by recipient
	waiting int            // mails that wait at a gate
	slow    time.Duration  // what each DATA and each final dot takes
	door    chan struct{}  // while it is there, every third mail that begins waits for its end
	begun   []*sending
	closed  bool
	done    sync.WaitGroup
}

// sending is one mail that was begun.
type sending struct {
	to, by    string // the recipient; the name that the sender greeted with
	data, dot time.Time
}

// serveMail starts a mail server that ends with the test.
func serveMail(t *testing.T, script map[string][]turn, greet ...string) *mailServer {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{lis: lis, script: script, greet: greet, box: &ledger.Memory{}, conns: map[net.Conn]bool{}, tried: map[string]int{}}
	s.done.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

func (s *mailServer) url() string { return "smtp://" + s.lis.Addr().String() }

func (s *mailServer) close() {
	_ = s.lis.Close() // it was only listened on
	s.open()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.Close() // the other side sees a broken connection, as it should
	}
	s.mu.Unlock()
	s.done.Wait()
}

func (s *mailServer) accept() {
	for {
		c, err := s.lis.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = c.Close() // nobody is served any more
			return
		}
		s.conns[c] = true
		greeting := "220 mail.test ready"
		if s.greeted < len(s.greet) && s.greet[s.greeted] != "" {
			greeting = s.greet[s.greeted]
		}
		s.greeted++
		s.mu.Unlock()
		s.done.Go(func() {
			s.talk(c, greeting)
			_ = c.Close() // either side may have ended it
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// attempts is how often a mail for to was begun.
func (s *mailServer) attempts(to string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried[to]
}

// slowly makes each DATA and each final dot take so long from now on.
func (s *mailServer) slowly(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow = d
}

// shut keeps every third mail that begins waiting for the answer to DATA, until open.
func (s *mailServer) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.door = make(chan struct{})
}

func (s *mailServer) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.door != nil {
		close(s.door)
		s.door = nil
	}
}

// sendings are all mails that were begun, in the order of their DATA.
func (s *mailServer) sendings() []sending {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []sending
	for _, m := range s.begun {
		all = append(all, *m)
	}
	return all
}

// begin notes that a mail begins, and returns when it may go on.
func (s *mailServer) begin(to, by string) *sending {
	s.mu.Lock()
	m := &sending{to: to, by: by, data: time.Now()}
	s.begun = append(s.begun, m)
	slow, door := s.slow, s.door
	if len(s.begun)%3 != 0 {
		door = nil
	}
	s.mu.Unlock()
	<-time.After(slow)
	if door != nil {
		<-door
	}
	return m
}

// dotted notes that a mail is complete, and returns how long the answer takes.
func (s *mailServer) dotted(m *sending) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.dot = time.Now()
	return s.slow
}

// held is how many mails wait at a gate.
func (s *mailServer) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

func (s *mailServer) next(to string) turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tried[to]
	s.tried[to]++
	turns := s.script[to]
	if len(turns) == 0 {
		return turn{}
	}
	return turns[min(n, len(turns)-1)]
}

// talk is one connection's conversation.
func (s *mailServer) talk(c net.Conn, greeting string) {
	r := bufio.NewReader(c)
	say := func(line string) bool {
		_, err := c.Write([]byte(line + "\r\n"))
		return err == nil && !strings.HasPrefix(line, "421")
	}
	if !say(greeting) {
		return
	}
	var now turn
	var to, by string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		answer := "250 2.0.0 fine"
		switch strings.ToUpper(verb) {
		case "EHLO":
			by = rest
			answer = "250-mail.test\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 50000000"
		case "RCPT":
			_, address, _ := strings.Cut(rest, "<")
			address, _, _ = strings.Cut(address, ">")
			now, to = s.next(address), address
			answer = or(now.rcpt, answer)
		case "DATA":
			if !s.data(r, c, say, now, to, by) {
				return
			}
			continue
		case "QUIT":
			say("221 2.0.0 bye")
			return
		}
		if !say(answer) {
			return
		}
	}
}

// data takes a mail; it reports whether the conversation goes on.
func (s *mailServer) data(r *bufio.Reader, c net.Conn, say func(string) bool, now turn, to, by string) bool {
	m := s.begin(to, by)
	if now.gate != nil {
		s.mu.Lock()
		s.waiting++
		s.mu.Unlock()
		<-now.gate
	}
	if now.data != "" {
		return say(now.data)
	}
	if !say("354 go on") {
		return false
	}
	var text bytes.Buffer
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false // broken off before the dot: no mail
		}
		if line == ".\r\n" {
			break
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
	slow := s.dotted(m)
	if now.dot == "" && !now.lost {
		s.box.Add(text.Bytes())
	}
	switch {
	case now.broken, now.lost:
		return false
	case now.silent:
		_, _ = c.Read(make([]byte, 1)) // until the other side has had enough
		return false
	}
	<-time.After(slow)
	return say(or(now.dot, "250 2.0.0 taken"))
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
