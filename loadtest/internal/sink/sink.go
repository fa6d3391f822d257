// Package sink is a mail server that takes every mail, hashes it and keeps nothing but when it was taken and for whom.
package sink

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"net"
	"strings"
	"sync"
	"time"
)

// Sink listens on a loopback address until Close.
type Sink struct {
	lis   net.Listener
	conns sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
	taken  map[string][]Mail // by recipient's address
	mails  int
	bytes  int64
}

// Mail is what is kept of a mail.
type Mail struct {
	// At is when its last byte had come; the answer followed.
	At     time.Time
	SHA256 [sha256.Size]byte
	Size   int64
}

// Start starts a sink.
func Start() (*Sink, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for mails: %w", err)
	}
	s := &Sink{lis: lis, open: map[net.Conn]bool{}, taken: map[string][]Mail{}}
	s.conns.Go(s.accept)
	return s, nil
}

// URL is what mail programs are to be told.
func (s *Sink) URL() string { return "smtp://" + s.lis.Addr().String() }

// Close ends all conversations and returns when they have ended.
func (s *Sink) Close() error {
	err := s.lis.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		_ = c.Close() // the other side sees a broken connection, as it should
	}
	s.mu.Unlock()
	s.conns.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// To is what address was sent, in the order of coming.
func (s *Sink) To(address string) []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[address]
}

// Total is how many mails were taken, and how many bytes.
func (s *Sink) Total() (mails int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mails, s.bytes
}

func (s *Sink) accept() {
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
		s.open[c] = true
		s.mu.Unlock()
		s.conns.Go(func() {
			talk(c, s.take)
			_ = c.Close() // either side may have ended it
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.open, c)
		})
	}
}

func (s *Sink) take(to []string, m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, address := range to {
		s.taken[address] = append(s.taken[address], m)
	}
	s.mails++
	s.bytes += m.Size
}

// talk is one conversation, until either side ends it.
func talk(c net.Conn, take func(to []string, m Mail)) {
	r := bufio.NewReaderSize(c, 64<<10)
	say := func(line string) bool {
		_, err := c.Write([]byte(line + "\r\n"))
		return err == nil
	}
	var to []string
	sum := sha256.New()
	for going := say("220 sink ready"); going; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		answer := "250 2.0.0 fine"
		switch strings.ToUpper(verb) {
		case "EHLO":
			answer = "250-sink\r\n250-8BITMIME\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 50000000"
		case "MAIL", "RSET":
			to = nil
		case "RCPT":
			_, address, _ := strings.Cut(rest, "<")
			address, _, _ = strings.Cut(address, ">")
			to = append(to, address)
		case "DATA":
			if !say("354 go on") {
				return
			}
			size, err := body(r, sum)
			if err != nil {
				return // broken off before the dot: no mail
			}
			m := Mail{At: time.Now(), Size: size}
			sum.Sum(m.SHA256[:0])
			take(to, m)
			to, answer = nil, "250 2.0.0 taken"
		case "QUIT":
			say("221 2.0.0 bye")
			return
		}
		going = say(answer)
	}
}

// body reads a mail up to the line that is a dot, into sum, and returns how long it was.
func body(r *bufio.Reader, sum hash.Hash) (size int64, err error) {
	sum.Reset()
	start := true
	for {
		piece, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, err
		}
		if start && bytes.Equal(piece, []byte(".\r\n")) {
			return size, nil
		}
		if start && piece[0] == '.' {
			piece = piece[1:]
		}
		start = err == nil
		_, _ = sum.Write(piece) // never fails (hash.Hash)
		size += int64(len(piece))
	}
}
