package sink_test

import (
	"crypto/sha256"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/loadtest/internal/sink"
)

func TestSink(t *testing.T) {
	t.Parallel()
	s, err := sink.Start()
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	address := strings.TrimPrefix(s.URL(), "smtp://")
	long := strings.Repeat("x", 200_000) // longer than what is read at once
	text := "Subject: one\r\n\r\n.a line that begins with a dot\r\n" + long + "\r\n"
	for range 2 {
		err = smtp.SendMail(address, nil, "office@example.com", []string{"a@example.com", "b@example.com"}, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []string{"a@example.com", "b@example.com"} {
		got := s.To(to)
		if len(got) != 2 {
			t.Fatalf("%s: got %d mails, want 2", to, len(got))
		}
		for _, m := range got {
			if m.SHA256 != sha256.Sum256([]byte(text)) || m.Size != int64(len(text)) {
				t.Errorf("%s: got a mail of %d bytes with digest %x, want the %d that were sent", to, m.Size, m.SHA256, len(text))
			}
			if m.At.Before(before) || m.At.After(time.Now()) {
				t.Errorf("%s: got a mail of %s, want it taken since %s", to, m.At, before)
			}
		}
	}
	mails, bytes := s.Total()
	if mails != 2 || bytes != 2*int64(len(text)) {
		t.Errorf("got %d mails of %d bytes, want 2 of %d", mails, bytes, 2*len(text))
	}
	open, err := smtp.Dial(address) // somebody who says nothing does not hold up the end
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	err = s.Close()
	if err != nil {
		t.Error(err)
	}
	err = smtp.SendMail(address, nil, "office@example.com", []string{"a@example.com"}, []byte(text))
	if err == nil {
		t.Error("a mail was taken after Close")
	}
}
