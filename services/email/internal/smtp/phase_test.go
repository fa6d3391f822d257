package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/email/internal/smtp"
)

const mail = "Subject: hello\r\n\r\n.a line with a dot\r\n"

// config is for a sink; its waits are short.
func config(t *testing.T, addr string) smtp.Config {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	const wait = 300 * time.Millisecond
	return smtp.Config{
		Host: host, Port: port, StartTLS: smtp.Opportunistic, PlainAuth: true, Hello: "test.example",
		Connections: 2, PerConn: 100, Dial: 5 * time.Second, Command: wait, Data: wait, Dot: wait, Idle: time.Minute,
	}
}

func newPool(t *testing.T, cfg smtp.Config) *smtp.Pool {
	t.Helper()
	p := smtp.New(cfg)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func envelope() smtp.Envelope {
	return smtp.Envelope{From: "office@example.com", To: "ada@example.com", Size: int64(len(mail))}
}

func content(w io.Writer) error {
	_, err := io.WriteString(w, mail)
	return err
}

func ok(context.Context) error { return nil }

func outcomeOf(err error) string {
	var e *smtp.Error
	switch {
	case err == nil:
		return "accepted"
	case errors.As(err, &e):
		return e.Outcome.String()
	}
	return err.Error()
}

// An ending is what one fault at one stage comes to: what Send says became of the message, and how far the sink saw it
// come.
type ending struct{ outcome, saw string }

// What outcomes mean to the caller.
const (
	unreachable = "unreachable" // retry
	deferred    = "deferred"    // retry, when the server likes
	noSignIn    = "auth failed" // retry, when somebody has mended the settings
	rejected    = "rejected"    // permanent
	uncertain   = "uncertain"   // ambiguous
	accepted    = "accepted"    // sent
)

var misdeeds = [...]misdeed{hang, reset, fin, say421, say4xx, say5xx, garbage, endless}

// endings has each misdeed at each stage, in the order of misdeeds: timeout RST FIN 421 / 4xx 5xx garbage 2MB.
//
// Not every misdeed can happen at every stage in the same way; what stands for it:
//   - connect: timeout is a first packet that is not answered (the listener's queue is full), RST a port on which nobody
//     listens. The others come at once with a connection that is then closed, as a limiter of connections does it.
//   - banner: timeout, RST and FIN come in the middle of the banner's line.
//   - STARTTLS and AUTH: the server offers them, and we require them.
//   - body: the misdeed comes while we are still writing, after the first line; a timeout is a server that takes nothing
//     any more. A reply there is one that nobody asked for.
//   - after 250: the message is the server's. What it does then concerns the next one, which is tried on a fresh connection:
//     TestAFailureOnAKeptConnectionIsTriedOnAFreshOne.
//   - QUIT: so does this.
var endings = []struct {
	at   stage
	ends [len(misdeeds)]ending
}{
	{atConnect, [...]ending{
		{unreachable, "nothing"}, {unreachable, "nothing"}, {unreachable, "connection"}, {deferred, "connection"},
		{deferred, "connection"}, {unreachable, "connection"}, {unreachable, "connection"}, {unreachable, "connection"},
	}},
	{atBanner, [...]ending{
		{unreachable, "connection"}, {unreachable, "connection"}, {unreachable, "connection"}, {deferred, "connection"},
		{deferred, "connection"}, {unreachable, "connection"}, {unreachable, "connection"}, {unreachable, "connection"},
	}},
	{atHello, [...]ending{ // whoever does not know EHLO is asked by HELO
		{unreachable, "EHLO"}, {unreachable, "EHLO"}, {unreachable, "EHLO"}, {deferred, "EHLO"},
		{deferred, "HELO"}, {unreachable, "HELO"}, {unreachable, "HELO"}, {unreachable, "EHLO"},
	}},
	{atStartTLS, [...]ending{
		{unreachable, "STARTTLS"}, {unreachable, "STARTTLS"}, {unreachable, "STARTTLS"}, {deferred, "STARTTLS"},
		{deferred, "STARTTLS"}, {unreachable, "STARTTLS"}, {unreachable, "STARTTLS"}, {unreachable, "STARTTLS"},
	}},
	{atAuth, [...]ending{ // a refused sign-in is taken back properly
		{unreachable, "AUTH"}, {unreachable, "AUTH"}, {unreachable, "AUTH"}, {deferred, "AUTH"},
		{deferred, "QUIT"}, {noSignIn, "QUIT"}, {unreachable, "AUTH"}, {unreachable, "AUTH"},
	}},
	{atMail, [...]ending{
		{unreachable, "MAIL"}, {unreachable, "MAIL"}, {unreachable, "MAIL"}, {deferred, "MAIL"},
		{deferred, "MAIL"}, {rejected, "MAIL"}, {unreachable, "MAIL"}, {unreachable, "MAIL"},
	}},
	{atRcpt, [...]ending{
		{unreachable, "RCPT"}, {unreachable, "RCPT"}, {unreachable, "RCPT"}, {deferred, "RCPT"},
		{deferred, "RCPT"}, {rejected, "RCPT"}, {unreachable, "RCPT"}, {unreachable, "RCPT"},
	}},
	{atData, [...]ending{
		{unreachable, "DATA"}, {unreachable, "DATA"}, {unreachable, "DATA"}, {deferred, "DATA"},
		{deferred, "DATA"}, {rejected, "DATA"}, {unreachable, "DATA"}, {unreachable, "DATA"},
	}},
	{atBody, [...]ending{
		{unreachable, "part"}, {unreachable, "part"}, {unreachable, "part"}, {deferred, "part"},
		{deferred, "part"}, {rejected, "part"}, {unreachable, "part"}, {unreachable, "part"},
	}},
	{atDot, [...]ending{
		{uncertain, "dot"}, {uncertain, "dot"}, {uncertain, "dot"}, {deferred, "dot"},
		{deferred, "dot"}, {rejected, "dot"}, {uncertain, "dot"}, {uncertain, "dot"},
	}},
	{atAfter, [...]ending{
		{accepted, "all"}, {accepted, "all"}, {accepted, "all"}, {accepted, "all"},
		{accepted, "all"}, {accepted, "all"}, {accepted, "all"}, {accepted, "all"},
	}},
	{atQuit, [...]ending{
		{accepted, "all, QUIT"}, {accepted, "all, QUIT"}, {accepted, "all, QUIT"}, {accepted, "all, QUIT"},
		{accepted, "all, QUIT"}, {accepted, "all, QUIT"}, {accepted, "all, QUIT"}, {accepted, "all, QUIT"},
	}},
}

// TestEveryFaultAtEveryPhase: what the server does, what we say became of the message, and whether the server can have
// it.
func TestEveryFaultAtEveryPhase(t *testing.T) {
	t.Parallel()
	cases := map[string]bool{}
	for _, row := range endings {
		for i, want := range row.ends {
			what := misdeeds[i]
			name := fmt.Sprintf("%s at %s", what, row.at)
			if want == (ending{}) {
				t.Errorf("%s: nothing is said about it", name)
			}
			cases[name] = true
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				faultAt(t, row.at, what, want)
			})
		}
	}
	if len(cases) != 96 {
		t.Errorf("the table has %d cases, want 8 misdeeds at 12 stages: 96", len(cases))
	}
}

func faultAt(t *testing.T, at stage, what misdeed, want ending) {
	t.Helper()
	var k *sink
	if at == atConnect && (what == hang || what == reset) {
		k = newDeafSink(t, what)
	} else {
		k = newSink(t, once(at, what), offers[at]...)
	}
	cfg := config(t, k.lis.Addr().String())
	write := content
	switch at {
	case atConnect:
		cfg.Dial = 300 * time.Millisecond
	case atStartTLS:
		cfg.StartTLS = smtp.Required
	case atAuth:
		cfg.User, cfg.Password = "office", "secret"
	case atBody:
		write = long
	case atQuit:
		cfg.PerConn = 1
	}
	p := newPool(t, cfg)
	checkpoints := 0
	reply, err := p.Send(t.Context(), envelope(), write, func(context.Context) error { checkpoints++; return nil })
	if at == atQuit {
		// Taking leave is nobody's concern, but it must come to an end.
		closed := p.Close()
		if closed != nil {
			t.Errorf("close: %v", closed)
		}
	}
	k.stop()
	got := ending{outcomeOf(err), k.saw()}
	if got != want {
		t.Errorf("got %+v, want %+v (%v)", got, want, err)
	}
	if got.outcome == accepted && reply != "250 2.0.0 ok: queued as 4F2A" {
		t.Errorf("reply %q", reply)
	}
	if k.dots > 0 && checkpoints != 1 {
		t.Errorf("%d checkpoints before the dot, want 1", checkpoints)
	}
	if k.dots > 0 && k.mails[0] != mail {
		t.Errorf("the server got %q", k.mails[0])
	}
	// The promise that counts, whatever the table says: only where we say accepted or uncertain can the server have it.
	if k.accepted > 0 && got.outcome != accepted && got.outcome != uncertain {
		t.Errorf("the server accepted it, outcome %s", got.outcome)
	}
}

// offers is what the sink must offer to be asked at a stage.
var offers = map[stage][]string{atStartTLS: {"STARTTLS"}, atAuth: {"AUTH PLAIN"}}

// A message that fits the buffers is complete before anybody notices that the server has stopped taking it.
func TestSilenceDuringASmallMessageIsUncertain(t *testing.T) {
	t.Parallel()
	k := newSink(t, once(atBody, hang))
	_, err := newPool(t, config(t, k.lis.Addr().String())).Send(t.Context(), envelope(), content, ok)
	if outcomeOf(err) != uncertain {
		t.Errorf("got %v, want %s", err, uncertain)
	}
}

// long writes 8 MB and then the mail, more than fits any buffer.
func long(w io.Writer) error {
	lines := strings.Repeat("Comment: a header that goes on\r\n", 4096)
	for range 64 {
		_, err := io.WriteString(w, lines)
		if err != nil {
			return err
		}
	}
	return content(w)
}

func TestNoConnection(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = lis.Close()
	_, err = newPool(t, config(t, lis.Addr().String())).Send(t.Context(), envelope(), content, ok)
	if outcomeOf(err) != "unreachable" {
		t.Errorf("got %v", err)
	}
}

func TestACheckpointThatRefusesSendsNoDot(t *testing.T) {
	t.Parallel()
	k := newSink(t, once("", ""))
	fenced := errors.New("fenced")
	_, err := newPool(t, config(t, k.lis.Addr().String())).Send(t.Context(), envelope(), content, func(context.Context) error { return fenced })
	if !errors.Is(err, fenced) {
		t.Errorf("got %v, want the checkpoint's error", err)
	}
	waitBroken(t, k)
	k.mu.Lock()
	defer k.mu.Unlock()
	// The whole message was written before the checkpoint was asked: only the dot is missing.
	if k.dots != 0 || k.broken[0] != mail {
		t.Errorf("dots %d, broken %q", k.dots, k.broken)
	}
}

// waitBroken waits until the sink saw a message end without a dot.
func waitBroken(t *testing.T, k *sink) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		k.mu.Lock()
		n := len(k.broken)
		k.mu.Unlock()
		if n > 0 {
			return
		}
		<-tick.C
	}
	t.Fatal("the sink saw no broken message")
}

func TestCancelBeforeTheDotSendsNothing(t *testing.T) {
	t.Parallel()
	k := newSink(t, once("", ""))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := newPool(t, config(t, k.lis.Addr().String())).Send(ctx, envelope(), content, func(context.Context) error {
		cancel()
		return nil
	})
	if outcomeOf(err) != "unreachable" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	waitBroken(t, k)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dots != 0 {
		t.Error("the dot was sent after the context had ended")
	}
}

func TestContentThatFailsSendsNothing(t *testing.T) {
	t.Parallel()
	damaged := errors.New("document is damaged")
	for name, broken := range map[string]struct {
		content smtp.Content
		want    error
	}{
		"error":     {func(w io.Writer) error { _ = content(w); return damaged }, damaged},
		"bare LF":   {func(w io.Writer) error { _, err := io.WriteString(w, "a\n.\nb\r\n"); return err }, nil},
		"bare CR":   {func(w io.Writer) error { _, err := io.WriteString(w, "a\rb\r\n"); return err }, nil},
		"NUL":       {func(w io.Writer) error { _, err := io.WriteString(w, "a\x00b\r\n"); return err }, nil},
		"long line": {func(w io.Writer) error { _, err := io.WriteString(w, strings.Repeat("x", 999)+"\r\n"); return err }, nil},
		"no end":    {func(w io.Writer) error { _, err := io.WriteString(w, "a\r\nb"); return err }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newSink(t, once("", ""))
			asked := false
			_, err := newPool(t, config(t, k.lis.Addr().String())).Send(t.Context(), envelope(), broken.content, func(context.Context) error {
				asked = true
				return nil
			})
			if err == nil || asked || broken.want != nil && !errors.Is(err, broken.want) {
				t.Errorf("got %v, checkpoint asked: %v", err, asked)
			}
			k.stop()
			if k.dots != 0 {
				t.Error("the dot was sent")
			}
		})
	}
}
