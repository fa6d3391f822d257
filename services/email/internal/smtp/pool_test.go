package smtp_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/email/internal/smtp"
)

// first makes the first connection misbehave in another way than later ones, which do not.
func first(where stage, what misdeed) script {
	return func(n int, at stage) (misdeed, bool) { return what, n == 0 && at == where }
}

func count(list []string, prefix string) int {
	n := 0
	for _, s := range list {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	k := newSink(t, once("", ""))
	p := newPool(t, config(t, k.lis.Addr().String()))
	for range 5 {
		_, err := p.Send(t.Context(), envelope(), content, ok)
		if err != nil {
			t.Fatal(err)
		}
	}
	err := p.Close()
	if err != nil {
		t.Fatal(err)
	}
	k.stop()
	if len(k.conns) != 1 || k.accepted != 5 || count(k.commands, "RSET") != 4 || count(k.commands, "QUIT") != 1 {
		t.Errorf("%d connections, %d accepted, commands %q", len(k.conns), k.accepted, k.commands)
	}
}

func TestConnectionsAreReplacedAfterSoManyMessages(t *testing.T) {
	t.Parallel()
	k := newSink(t, once("", ""))
	cfg := config(t, k.lis.Addr().String())
	cfg.PerConn = 2
	p := newPool(t, cfg)
	for range 5 {
		_, err := p.Send(t.Context(), envelope(), content, ok)
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = p.Close()
	k.stop()
	if len(k.conns) != 3 {
		t.Errorf("%d connections, want 3", len(k.conns))
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	k := newSink(t, once("", ""))
	cfg := config(t, k.lis.Addr().String())
	cfg.Idle = 10 * time.Millisecond
	_, err := newPool(t, cfg).Send(t.Context(), envelope(), content, ok)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		k.mu.Lock()
		quits := count(k.commands, "QUIT")
		k.mu.Unlock()
		if quits == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the idle connection did not end")
		}
		<-tick.C
	}
}

// A server may hang up on, or refuse, a connection that was kept; that says nothing of the next message.
func TestAFailureOnAKeptConnectionIsTriedOnAFreshOne(t *testing.T) {
	t.Parallel()
	for _, what := range []misdeed{hang, reset, fin, say421, say4xx, say5xx, garbage} {
		for _, where := range []stage{atAfter, atMail} {
			t.Run(string(what)+" at "+string(where), func(t *testing.T) {
				t.Parallel()
				mails := 0
				var mu sync.Mutex
				k := newSink(t, func(n int, at stage) (misdeed, bool) {
					mu.Lock()
					defer mu.Unlock()
					if at == atMail {
						mails++
					}
					return what, n == 0 && at == where && mails == map[stage]int{atAfter: 1, atMail: 2}[where]
				})
				p := newPool(t, config(t, k.lis.Addr().String()))
				for i := range 2 {
					checkpoints := 0
					_, err := p.Send(t.Context(), envelope(), content, func(context.Context) error { checkpoints++; return nil })
					if err != nil || checkpoints != 1 {
						t.Fatalf("message %d: %v, %d checkpoints", i, err, checkpoints)
					}
				}
				k.stop()
				if k.accepted != 2 || len(k.conns) > 2 {
					t.Errorf("%d accepted over %d connections", k.accepted, len(k.conns))
				}
			})
		}
	}
}

func TestAFailureAfterMailIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	k := newSink(t, first(atRcpt, fin))
	p := newPool(t, config(t, k.lis.Addr().String()))
	_, err := p.Send(t.Context(), envelope(), content, ok)
	k.stop()
	if outcomeOf(err) != "unreachable" || len(k.conns) != 1 {
		t.Errorf("got %v over %d connections", err, len(k.conns))
	}
}

func TestAConnectionCarriesOneMessageAtATime(t *testing.T) {
	t.Parallel()
	k := newSink(t, once("", ""))
	p := newPool(t, config(t, k.lis.Addr().String()))
	var wg sync.WaitGroup
	var mu sync.Mutex
	open, most := 0, 0
	for range 20 {
		wg.Go(func() {
			_, err := p.Send(t.Context(), envelope(), content, func(context.Context) error {
				mu.Lock()
				open++
				most = max(most, open)
				mu.Unlock()
				mu.Lock()
				open--
				mu.Unlock()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_ = p.Close()
	k.stop()
	if k.accepted != 20 || len(k.conns) > 2 || most > 2 {
		t.Errorf("%d accepted over %d connections, %d at once", k.accepted, len(k.conns), most)
	}
	for _, m := range k.mails {
		if m != mail {
			t.Errorf("a message was mixed up: %q", m)
		}
	}
}

func TestRefusalsByKind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at       stage
		reply    string
		want     string
		enhanced string
	}{
		{atRcpt, "550 5.1.1 no such user", "rejected", "5.1.1"},
		{atRcpt, "550 no such user", "rejected", ""},
		{atRcpt, "552 5.2.2 mailbox full", "rejected", "5.2.2"},
		{atRcpt, "552 mailbox full", "rejected", ""},
		{atRcpt, "452 4.2.2 mailbox full", "deferred", "4.2.2"},
		{atRcpt, "450-4.2.1 too\r\n450 4.2.1 fast", "deferred", "4.2.1"},
		{atMail, "530 5.7.0 authentication required", "auth failed", "5.7.0"},
		{atMail, "552 5.3.4 too big", "too big", "5.3.4"},
		{atDot, "554 5.7.1 spam", "rejected", "5.7.1"},
		{atDot, "552 message size exceeds limit", "too big", ""},
		{atDot, "550 5.2.3 message too long for the mailbox", "too big", "5.2.3"},
		{atDot, "251 fine", "accepted", ""},
		{atDot, "354 what", "uncertain", ""},
		{atDot, "999 what", "uncertain", ""},
	} {
		t.Run(c.reply, func(t *testing.T) {
			t.Parallel()
			k := startSink(t, &sink{script: once("", ""), replies: map[stage]string{c.at: c.reply}})
			_, err := newPool(t, config(t, k.lis.Addr().String())).Send(t.Context(), envelope(), content, ok)
			if outcomeOf(err) != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			e, isError := err.(*smtp.Error)
			if isError && (e.Enhanced != c.enhanced || strings.ContainsAny(e.Reply(), "\r\n")) {
				t.Errorf("enhanced %q, reply %q", e.Enhanced, e.Reply())
			}
		})
	}
}

func TestLimitsOfTheServer(t *testing.T) {
	t.Parallel()
	k := newSink(t, once("", ""), "SIZE 1000", "8BITMIME")
	p := newPool(t, config(t, k.lis.Addr().String()))
	env := envelope()
	env.Size = 1001
	_, err := p.Send(t.Context(), env, content, ok)
	if outcomeOf(err) != "too big" {
		t.Errorf("got %v, want too big", err)
	}
	env = envelope()
	env.UTF8 = true
	_, err = p.Send(t.Context(), env, content, ok)
	if outcomeOf(err) != "unsupported" {
		t.Errorf("got %v, want unsupported", err)
	}
	_, err = p.Send(t.Context(), envelope(), content, ok)
	if err != nil {
		t.Error(err)
	}
	k.stop()
	if len(k.conns) != 1 || count(k.commands, "DATA") != 1 || count(k.commands, "MAIL") != 1 || count(k.commands, "MAIL FROM:<office@example.com> SIZE=") != 1 {
		t.Errorf("%d connections, commands %q", len(k.conns), k.commands)
	}

	k = newSink(t, once("", ""), "8BITMIME", "SMTPUTF8")
	_, err = newPool(t, config(t, k.lis.Addr().String())).Send(t.Context(), env, content, ok)
	k.stop()
	if err != nil || count(k.commands, "MAIL FROM:<office@example.com> BODY=8BITMIME SMTPUTF8") != 1 {
		t.Errorf("%v, commands %q", err, k.commands)
	}
}
