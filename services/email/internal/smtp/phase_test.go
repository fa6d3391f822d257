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

// TestEveryFaultAtEveryPhase: what the server does, what we say became of the message, and whether the server can have
// it. Rows are complete: each misdeed at each stage.
func TestEveryFaultAtEveryPhase(t *testing.T) {
	t.Parallel()
	misdeeds := []misdeed{hang, reset, fin, say421, say4xx, say5xx, garbage, endless}
	const (
		u, d, r, a = "unreachable", "deferred", "rejected", "accepted"
		x          = "uncertain"
	)
	table := []struct {
		at   stage
		want []string // by misdeed
	}{
		//         timeout RST FIN 421 4xx 5xx garbage 2MB
		{atBanner, []string{u, u, u, d, d, u, u, u}},
		{atHello, []string{u, u, u, d, d, u, u, u}},
		{atMail, []string{u, u, u, d, d, r, u, u}},
		{atRcpt, []string{u, u, u, d, d, r, u, u}},
		{atData, []string{u, u, u, d, d, r, u, u}},
		{atBody, []string{a, u, u, d, d, r, u, u}},
		{atDot, []string{x, x, x, d, d, r, x, x}},
		{atQuit, []string{a, a, a, a, a, a, a, a}},
	}
	for _, row := range table {
		for i, what := range misdeeds {
			want := row.want[i]
			if row.at == atBody && what == hang {
				want = x // a message this small fits the buffers: it is complete, and no answer comes
			}
			t.Run(fmt.Sprintf("%s at %s", what, row.at), func(t *testing.T) {
				t.Parallel()
				k := newSink(t, once(row.at, what))
				checkpoints := 0
				write := content
				if row.at == atBody && what != hang {
					write = long // the server's misdeed comes while we are still writing
				}
				reply, err := newPool(t, config(t, k.lis.Addr().String())).Send(t.Context(), envelope(),
					write, func(context.Context) error { checkpoints++; return nil })
				k.stop()
				got := outcomeOf(err)
				if got != want {
					t.Errorf("outcome %s, want %s (%v)", got, want, err)
				}
				if got == a && reply != "250 2.0.0 ok: queued as 4F2A" {
					t.Errorf("reply %q", reply)
				}
				k.mu.Lock()
				defer k.mu.Unlock()
				// The promise that counts: the server has seen the dot only where we say accepted, uncertain, or where
				// it answered the dot with a refusal.
				dot := got == a || got == x && row.at != atBody || row.at == atDot
				if (k.dots > 0) != dot || k.dots > 1 {
					t.Errorf("the server saw %d dots, outcome %s", k.dots, got)
				}
				if k.dots > 0 && checkpoints != 1 {
					t.Errorf("%d checkpoints before the dot, want 1", checkpoints)
				}
				if k.dots > 0 && k.mails[0] != mail {
					t.Errorf("the server got %q", k.mails[0])
				}
				if (k.accepted > 0) != (got == a) {
					t.Errorf("the server accepted %d, outcome %s", k.accepted, got)
				}
			})
		}
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
