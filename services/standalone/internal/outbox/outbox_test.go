package outbox_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/standalone/internal/outbox"
)

func start(t *testing.T) (*outbox.Server, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "outbox")
	s, err := outbox.Start(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := s.Close()
		if err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s, dir
}

func send(t *testing.T, addr, to, mail string) {
	t.Helper()
	err := smtp.SendMail(addr, nil, "office@example.com", []string{to}, []byte(mail))
	if err != nil {
		t.Fatalf("send to %s: %v", to, err)
	}
}

// mails returns the names and contents of all files that a person sees, sorted by name.
func mails(t *testing.T, dir string) (names []string, contents []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // coming in
		}
		names = append(names, e.Name())
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(b))
	}
	return names, contents
}

func TestEachMailIsOneFileWithItsExactBytes(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	mail := "Message-ID: <1@example.com>\r\nSubject: Call sheet\r\n\r\n.one dot\r\n..two\r\n.\ttab\r\n\r\n"
	send(t, s.Addr(), "ada.lovelace@example.com", mail)
	send(t, s.Addr(), "../../etc/passwd@example.com", mail)
	send(t, s.Addr(), "ada.lovelace@example.com", mail) // the same again
	names, contents := mails(t, dir)
	if len(names) != 3 {
		t.Fatalf("got files %q, want three", names)
	}
	for i := range names {
		diff := cmp.Diff(mail, contents[i])
		if diff != "" {
			t.Errorf("%s differs from what was sent:\n%s", names[i], diff)
		}
	}
	want := regexp.MustCompile(`^\d{8}T\d{6}\.\d{3}Z-[a-z_.]+-[a-z2-7]{8}\.eml$`)
	for _, name := range names {
		if !want.MatchString(name) || strings.Contains(name, "/") {
			t.Errorf("file name %q", name)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("names do not sort by time: %q", names)
	}
	info, err := os.Stat(filepath.Join(dir, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v lets others read confidential mail", info.Mode())
	}
}

func TestMailIsThereWhenTheSenderHasItsAnswer(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	c, err := textproto.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	talk(t, c, 220, "")
	talk(t, c, 250, "EHLO localhost")
	for i := range 3 { // the connection is used again
		talk(t, c, 250, "MAIL FROM:<office@example.com>")
		talk(t, c, 250, "RCPT TO:<ada@example.com>")
		talk(t, c, 354, "DATA")
		names, _ := mails(t, dir)
		if len(names) != i {
			t.Fatalf("before the dot there are %q, want %d", names, i)
		}
		talk(t, c, 250, fmt.Sprintf("Subject: %d\r\n\r\nHello\r\n.", i))
		names, _ = mails(t, dir)
		if len(names) != i+1 {
			t.Fatalf("after the answer there are %q, want %d", names, i+1)
		}
	}
}

func TestBrokenMailLeavesNothing(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	c, err := textproto.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	talk(t, c, 220, "")
	talk(t, c, 250, "EHLO localhost")
	talk(t, c, 250, "MAIL FROM:<office@example.com>")
	talk(t, c, 250, "RCPT TO:<ada@example.com>")
	talk(t, c, 354, "DATA")
	err = c.PrintfLine("Subject: half\r\n\r\nHello")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	send(t, s.Addr(), "bob@example.com", "Subject: whole\r\n\r\nHello\r\n")
	err = s.Close() // waits for the broken session
	if err != nil {
		t.Fatal(err)
	}
	names, contents := mails(t, dir)
	if len(names) != 1 || !strings.Contains(contents[0], "whole") {
		t.Errorf("got %q, want only the complete mail", names)
	}
	all, err := os.ReadDir(dir)
	if err != nil || len(all) != 1 {
		t.Errorf("the broken mail left something: %v, %v", all, err)
	}
}

func TestTooLargeMailIsRefused(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	c, err := textproto.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	talk(t, c, 220, "")
	talk(t, c, 250, "EHLO localhost")
	talk(t, c, 552, "MAIL FROM:<office@example.com> SIZE=104857601")
	talk(t, c, 250, "MAIL FROM:<office@example.com> SIZE=104857600")
	names, _ := mails(t, dir)
	if len(names) != 0 {
		t.Errorf("got %q, want nothing", names)
	}
}

func TestManySendersAtOnce(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			to := fmt.Sprintf("person%d@example.com", i)
			err := smtp.SendMail(s.Addr(), nil, "office@example.com", []string{to}, []byte("To: "+to+"\r\n\r\nHello\r\n"))
			if err != nil {
				t.Errorf("send: %v", err)
			}
		})
	}
	wg.Wait()
	_, contents := mails(t, dir)
	slices.Sort(contents)
	if len(slices.Compact(contents)) != 20 {
		t.Errorf("got %d different mails, want 20", len(contents))
	}
}

func TestStartRemovesHalfMailsAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{".incoming-123", "20261121T214412.123Z-ada-abcdefgh.eml", "notes.txt"} {
		err := os.WriteFile(filepath.Join(dir, name), nil, 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := outbox.Start(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	names, _ := mails(t, dir)
	want := []string{"20261121T214412.123Z-ada-abcdefgh.eml", "notes.txt"}
	diff := cmp.Diff(want, names)
	if diff != "" {
		t.Error(diff)
	}
}

func TestCloseDoesNotWaitForIdleConnections(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := textproto.NewConn(c)
	talk(t, text, 220, "")
	begun := time.Now()
	err = s.Close()
	if err != nil || time.Since(begun) > 10*time.Second {
		t.Errorf("close took %v: %v", time.Since(begun), err)
	}
}

// talk says one thing, unless it is empty, and expects code.
func talk(t *testing.T, c *textproto.Conn, code int, say string) {
	t.Helper()
	if say != "" {
		err := c.PrintfLine("%s", say)
		if err != nil {
			t.Fatalf("say %q: %v", say, err)
		}
	}
	_, _, err := c.ReadResponse(code)
	if err != nil {
		t.Fatalf("after %q: %v", say, err)
	}
}
