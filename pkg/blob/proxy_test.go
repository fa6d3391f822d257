package blob_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
)

// fault is what a proxy does to one request.
type fault int

const (
	none      fault = iota
	refused         // the server says 500 or 503, and does nothing
	brokenOff       // the connection is reset in the middle of the longer body
	lostReply       // the server does it, and the connection is reset before it can say so
	truncated       // the answer ends early
	shortened       // the answer ends early, and claims to be all
)

// proxy stands before an S3 server and spoils what choose says.
type proxy struct {
	URL    string // of the server's bucket, through here
	target string
	choose func(*http.Request) fault

	mu       sync.Mutex
	requests []*http.Request
	faults   map[fault]int
}

func newProxy(t *testing.T, target string, choose func(*http.Request) fault) *proxy {
	t.Helper()
	p := &proxy{target: target, choose: choose, faults: map[fault]int{}}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	p.URL = s.URL
	return p
}

// seeded chooses faults in fixed shares, one in three requests all in all.
func seeded(seed uint64) func(*http.Request) fault {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, seed))
	return func(r *http.Request) fault {
		mu.Lock()
		defer mu.Unlock()
		switch n := random.IntN(100); {
		case n < 20:
			return refused
		case n < 25:
			return brokenOff
		case n < 30:
			return lostReply
		case n < 35 && r.Method == http.MethodGet:
			return truncated
		}
		return none
	}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := p.choose(r)
	p.mu.Lock()
	p.requests = append(p.requests, r.Clone(r.Context()))
	p.faults[what]++
	count := len(p.requests)
	p.mu.Unlock()
	if what == refused {
		status, code := http.StatusInternalServerError, "InternalError"
		if count%2 == 0 {
			status, code = http.StatusServiceUnavailable, "SlowDown"
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>words</Message></Error>", code) // the client may have gone
		return
	}
	if what == brokenOff && r.Method == http.MethodPut {
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2) // that is all that anybody gets
		reset(w)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		reset(w)
		return
	}
	resp, answer, err := p.forward(r, body)
	if err != nil || what == lostReply {
		reset(w)
		return
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	switch what {
	case brokenOff, truncated:
		answer = answer[:len(answer)/2]
	case shortened:
		answer = answer[:len(answer)/2]
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer) // the client may have gone
	switch what {
	case brokenOff:
		reset(w)
	case truncated:
		panic(http.ErrAbortHandler) // net/http closes the connection
	}
}

func (p *proxy) forward(r *http.Request, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header, req.Host = r.Header, r.Host // both are signed
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp, answer, err
}

// reset breaks the connection off, so that the other side gets RST.
func reset(w http.ResponseWriter) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = buffered.Flush() // what was written is to arrive, if it can
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it breaks off either way
	}
	_ = conn.Close()
}
