package ses_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/email/internal/ses"
)

func TestMain(m *testing.M) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		err := os.Setenv(name, value)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// sent is what SES was asked to send.
type sent struct {
	From string
	To   []string
	Set  string
	Data string
}

// fake is Amazon SES. It answers as answer says, after it took the message.
type fake struct {
	url    string
	answer http.HandlerFunc

	mu       sync.Mutex
	requests int
	took     []sent
	head     http.Header
}

func newFake(t *testing.T, answer http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{answer: answer}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		FromEmailAddress     string
		ConfigurationSetName string
		Destination          struct{ ToAddresses []string }
		Content              struct{ Raw struct{ Data []byte } }
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	f.mu.Lock()
	f.requests++
	f.head = r.Header
	if err == nil && r.Method == http.MethodPost && r.URL.Path == "/v2/email/outbound-emails" {
		f.took = append(f.took, sent{body.FromEmailAddress, body.Destination.ToAddresses, body.ConfigurationSetName, string(body.Content.Raw.Data)})
	}
	f.mu.Unlock()
	if f.answer != nil {
		f.answer(w, r)
		return
	}
	_, _ = io.WriteString(w, `{"MessageId":"0102-a"}`) // the client may have gone
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// refuse answers as SES does.
func refuse(status int, code, words string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if code != "" {
			w.Header().Set("X-Amzn-Errortype", code+":http://internal.amazon.com/")
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"message":%q}`, words) // the client may have gone
	}
}

func client(t *testing.T, cfg ses.Config) *ses.Client {
	t.Helper()
	cfg.Region, cfg.Requests, cfg.Dial, cfg.Idle = "eu-central-1", 2, time.Second, time.Second
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	c, err := ses.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const text = "From: copies@films.example\r\nTo: ada@example.com\r\n\r\nPlease read.\r\n"

var envelope = ses.Envelope{From: "copies@films.example", To: "ada@example.com", Size: int64(len(text))}

func write(w io.Writer) error {
	_, err := io.WriteString(w, text)
	return err
}

func goOn(context.Context) error { return nil }

func TestOneMessageGoesToOnePerson(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	var order []string
	reply, err := client(t, ses.Config{Endpoint: f.url, Set: "copies"}).Send(t.Context(), envelope,
		func(w io.Writer) error {
			order = append(order, "write")
			return write(w)
		},
		func(context.Context) error {
			order = append(order, fmt.Sprintf("checkpoint after %d requests", f.count()))
			return nil
		})
	if err != nil || !strings.Contains(reply, "0102-a") {
		t.Errorf("got %q %v", reply, err)
	}
	diff := cmp.Diff([]sent{{"copies@films.example", []string{"ada@example.com"}, "copies", text}}, f.took)
	diff += cmp.Diff([]string{"write", "checkpoint after 0 requests"}, order)
	if diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(f.head.Get("Authorization"), "Credential=key/") {
		t.Errorf("authorization %q", f.head.Get("Authorization"))
	}
}

func TestWhatSESRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		code   string
		want   ses.Outcome
	}{
		{400, "MessageRejected", ses.Rejected},
		{400, "BadRequestException", ses.Invalid},
		{400, "ValidationException", ses.Invalid},
		{400, "MailFromDomainNotVerifiedException", ses.Misconfigured},
		{404, "NotFoundException", ses.Misconfigured},
		{400, "AccountSuspendedException", ses.Suspended},
		{400, "SendingPausedException", ses.Deferred},
		{400, "LimitExceededException", ses.Deferred},
		{429, "TooManyRequestsException", ses.Deferred},
		{400, "ThrottlingException", ses.Deferred},
		{429, "", ses.Deferred},
		{400, "RequestExpired", ses.Deferred},
		{500, "InternalFailure", ses.Deferred},
		{500, "", ses.Deferred},
		{503, "ServiceUnavailable", ses.Deferred},
		{503, "", ses.Deferred},
		{403, "AccessDeniedException", ses.AuthFailed},
		{403, "OptInRequired", ses.AuthFailed},
		{400, "NotAuthorized", ses.AuthFailed},
		{400, "IncompleteSignature", ses.AuthFailed},
		{403, "InvalidClientTokenId", ses.AuthFailed},
		{403, "UnrecognizedClientException", ses.AuthFailed},
		{403, "SignatureDoesNotMatch", ses.AuthFailed},
		{403, "InvalidSignatureException", ses.AuthFailed},
		{403, "ExpiredTokenException", ses.AuthFailed},
		{403, "MissingAuthenticationToken", ses.AuthFailed},
		{401, "", ses.AuthFailed},
		{413, "", ses.TooBig},
		{418, "SomethingNew", ses.Invalid},
		// From something in between, which passed the request on, or did not.
		{502, "", ses.Uncertain},
		{504, "", ses.Uncertain},
		{200, "", ses.Uncertain},
	} {
		t.Run(fmt.Sprintf("%d %s", c.status, c.code), func(t *testing.T) {
			t.Parallel()
			f := newFake(t, refuse(c.status, c.code, "words of\r\nAmazon's"))
			_, err := client(t, ses.Config{Endpoint: f.url}).Send(t.Context(), envelope, write, goOn)
			var e *ses.Error
			if !errors.As(err, &e) || e.Outcome != c.want {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.code != "" && !strings.Contains(e.Reply(), "words of Amazon's") {
				t.Errorf("reply %q", e.Reply())
			}
			if f.requests != 1 {
				t.Errorf("%d requests, want one: SES may have taken the first", f.requests)
			}
		})
	}
}

func TestNoAnswerToACompleteRequestIsUncertain(t *testing.T) {
	t.Parallel()
	hangUp := func(half string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, half) // it breaks off either way
			_ = conn.Close()
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"hangs up":               hangUp(""),
		"hangs up in the head":   hangUp("HTTP/1.1 200 OK\r\nContent-Le"),
		"hangs up in the answer": hangUp("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{\"MessageId\""),
		"says nothing":           func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"says nonsense":          hangUp("220 mail.example ESMTP\r\n"),
		"answers half":           func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"MessageId":`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, answer)
			_, err := client(t, ses.Config{Endpoint: f.url, Timeout: 300 * time.Millisecond}).Send(t.Context(), envelope, write, goOn)
			var e *ses.Error
			if !errors.As(err, &e) || e.Outcome != ses.Uncertain || f.count() != 1 {
				t.Errorf("got %v after %d requests, want one that is uncertain", err, f.count())
			}
		})
	}
}

func TestWhatDidNotGoOutIsNotUncertain(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + nobody.Addr().String()
	_ = nobody.Close() // nobody answers there now
	// This one takes the head and a little, then breaks off: the rest of a large message never goes out.
	rude, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rude.Close() })
	go func() {
		for {
			conn, err := rude.Accept()
			if err != nil {
				return
			}
			_, _ = io.CopyN(io.Discard, conn, 1000) // then it has enough
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // it breaks off either way
			}
			_ = conn.Close()
		}
	}()
	for name, c := range map[string]struct {
		endpoint string
		size     int
	}{"nobody there": {closed, 10}, "broken off in the middle": {"http://" + rude.Addr().String(), 20 << 20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := envelope
			e.Size = int64(c.size)
			_, err := client(t, ses.Config{Endpoint: c.endpoint}).Send(t.Context(), e, func(w io.Writer) error {
				_, err := w.Write(make([]byte, c.size))
				return err
			}, goOn)
			var got *ses.Error
			if !errors.As(err, &got) || got.Outcome != ses.Unreachable {
				t.Errorf("got %v, want unreachable", err)
			}
		})
	}
}

func TestNothingIsSentAfterAFailureOfOurs(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	c := client(t, ses.Config{Endpoint: f.url})
	fenced, broken := errors.New("fenced"), errors.New("the document is another")
	_, err := c.Send(t.Context(), envelope, write, func(context.Context) error { return fenced })
	if !errors.Is(err, fenced) {
		t.Errorf("got %v", err)
	}
	_, err = c.Send(t.Context(), envelope, func(w io.Writer) error {
		_, err := io.Copy(w, io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)))
		return err
	}, goOn)
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	large := envelope
	large.Size = ses.MaxSize + 1
	_, err = c.Send(t.Context(), large, write, goOn)
	var e *ses.Error
	if !errors.As(err, &e) || e.Outcome != ses.TooBig {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Send(ctx, envelope, write, goOn)
	if !errors.As(err, &e) || e.Outcome != ses.Unreachable {
		t.Errorf("cancelled before: got %v", err)
	}
	if f.requests != 0 {
		t.Errorf("%d requests", f.requests)
	}
}
