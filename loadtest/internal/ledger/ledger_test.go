package ledger_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/loadtest/internal/ledger"
)

const letter = `From: "Office" <office@example.com>
To: =?utf-8?q?J=C3=BCrgen?= <juergen@example.com>
Subject: =?utf-8?q?Drehbuch_=E2=80=93_neu?=
Message-ID: <one@example.com>
X-Filigree-Attempt: 2
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

--outer
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain

Hello
--inner--
--outer
Content-Type: application/pdf
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename*=utf-8''Dreh%C3%BCbuch.pdf

YW
Jj
--outer--
`

func TestRead(t *testing.T) {
	t.Parallel()
	var kept bytes.Buffer
	text := strings.ReplaceAll(letter, "\n", "\r\n")
	m, err := ledger.Read(strings.NewReader(text), func(string) io.Writer { return &kept })
	if err != nil {
		t.Fatal(err)
	}
	if m.To != "juergen@example.com" || m.ToName != "Jürgen" || m.Subject != "Drehbuch – neu" || m.MessageID != "one@example.com" || m.Attempt != 2 {
		t.Errorf("got %+v", m)
	}
	want := ledger.Attachment{Name: "Drehübuch.pdf", SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Size: 3}
	if len(m.Attachments) != 1 || m.Attachments[0] != want || kept.String() != "abc" {
		t.Errorf("got attachments %+v with %q, want %+v with abc", m.Attachments, kept.String(), want)
	}
}

func TestBoxes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"2.eml", "1.eml", ".incoming-3"} {
		err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(letter, "one@", name[:1]+"@")), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	memory := &ledger.Memory{}
	memory.Add([]byte(strings.ReplaceAll(letter, "one@", "1@")))
	memory.Add([]byte(strings.ReplaceAll(letter, "one@", "2@")))
	for name, box := range map[string]ledger.Box{"folder": ledger.NewFolder(dir), "memory": memory} {
		mails, err := box.Mails()
		if err != nil || len(mails) != 2 || mails[0].MessageID != "1@example.com" || mails[1].MessageID != "2@example.com" {
			t.Errorf("%s: got %+v, %v; want the two mails in order", name, mails, err)
			continue
		}
		r, err := box.Open(mails[1].Where)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m, err := ledger.Read(r, nil)
		if err != nil || m.MessageID != "2@example.com" || r.Close() != nil {
			t.Errorf("%s: opening a mail gives %+v, %v", name, m, err)
		}
		_, err = box.Open("../ledger_test.go")
		if err == nil {
			t.Errorf("%s: opens what is no mail of its", name)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no mail":           "nothing",
		"no recipient":      strings.Replace(letter, "To:", "Cc:", 1),
		"cut":               strings.Replace(letter, "--outer--", "", 1),
		"broken attachment": strings.Replace(letter, "YW", "Y!", 1),
		"not base64":        strings.Replace(letter, "Encoding: base64", "Encoding: 8bit", 1),
		"no parts":          strings.Replace(letter, "multipart/mixed", "text/plain", 1),
	} {
		_, err := ledger.Read(strings.NewReader(text), nil)
		if err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
