package message_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/email/internal/message"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var date = time.Date(2026, 11, 21, 21, 44, 12, 0, time.UTC)

func mustAddress(t testing.TB, name, mailbox string) message.Address {
	t.Helper()
	a, err := message.ParseAddress(name, mailbox)
	if err != nil {
		t.Fatalf("address %q: %v", mailbox, err)
	}
	return a
}

func document(name, kind string, content []byte) message.Document {
	return message.Document{Name: name, MediaType: kind, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

func write(t testing.TB, m *message.Message) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(b.Len()) || m.Size() != n {
		t.Fatalf("size was %d, WriteTo said %d, wrote %d", m.Size(), n, b.Len())
	}
	return b.Bytes()
}

func TestMessagesReadAsTheyShould(t *testing.T) {
	t.Parallel()
	letter := func(change func(*message.Letter)) message.Letter {
		l := message.Letter{
			ID:   message.ID("default", "d1.r7", "films.example"),
			From: mustAddress(t, "Filigree", "copies@films.example"), To: mustAddress(t, "Ada Lovelace", "ada@example.com"),
			Date: date, Subject: "Scripts for Monday", Production: "The Analytical Engine",
			Documents: []message.Document{document("Script.pdf", "application/pdf", []byte("%PDF-1.7 not really\n"))},
		}
		change(&l)
		return l
	}
	replyTo := mustAddress(t, "Production office", "office@films.example")
	cases := map[string]message.Letter{
		"one-document": letter(func(*message.Letter) {}),
		"everything": letter(func(l *message.Letter) {
			l.To = mustAddress(t, "Zoë Müller-Größenwahn", "zoe@example.com")
			l.ReplyTo = &replyTo
			l.Subject = "Drehbücher für Montag, den 23. November: bitte bis Sonntagabend lesen und Änderungen melden"
			l.Text = "Dear all,\n\nplease read the script <b>before</b> Monday.\n.\nThe call sheet is final.\n\nBest,\nCharles & Co"
			l.Documents = append(l.Documents,
				document("Tagesdisposition März.pdf", "application/pdf", bytes.Repeat([]byte("0123456789"), 120)),
				document("Script.pdf", "application/pdf", []byte("another of the same name")))
			l.Missing = []string{"Storyboard.pdf"}
			l.Locked = true
			l.Attempt = 2
		}),
		"nothing-could-be-made": letter(func(l *message.Letter) {
			l.Documents, l.Missing = nil, []string{"Script.pdf", "Call sheet.pdf"}
		}),
	}
	for name, l := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := message.Compose(l)
			if err != nil {
				t.Fatal(err)
			}
			got := write(t, m)
			file := filepath.Join("testdata", name+".eml")
			if *update {
				err = os.WriteFile(file, got, 0o644)
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("no golden file; look at the message and run the test with -update: %v", err)
			}
			diff := cmp.Diff(string(want), string(got))
			if diff != "" {
				t.Errorf("differs from %s:\n%s", file, diff)
			}
		})
	}
}

func TestMessageIDBelongsToTheDelivery(t *testing.T) {
	t.Parallel()
	id := message.ID("default", "d1.r7", "films.example")
	const want = "feej3cmheyo6o32mm2ghxs7lmewznjt6@films.example" // a change of this sends every uncertain mail anew
	if id != want {
		t.Errorf("got %s, want %s", id, want)
	}
	for _, other := range []string{message.ID("default", "d1.r8", "films.example"), message.ID("other", "d1.r7", "films.example")} {
		if other == id {
			t.Error("two deliveries share an id")
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"ada@example.com":             "ada@example.com",
		"o'hara+films@EXAMPLE.com":    "o'hara+films@example.com",
		"ada@bücher.example":          "ada@xn--bcher-kva.example",
		"müller@example.com":          "müller@example.com",
		"root@localhost":              "root@localhost",
		"very.common{x}@example.info": "very.common{x}@example.info",
	}
	for in, want := range good {
		a, err := message.ParseAddress("", in)
		if err != nil || a.Mailbox() != want {
			t.Errorf("%q: got %q, %v, want %q", in, a.Mailbox(), err, want)
		}
	}
	bad := []string{
		"", "@", "ada", "ada@", "@example.com", "ada@example.com@", "ada lovelace@example.com", "ada@exam ple.com",
		"Ada <ada@example.com>", "<ada@example.com>", "ada@example.com, bob@example.com", "ada@example.com,bob@example.com",
		"ada@example.com\r\nBcc: eve@example.com", "ada\n@example.com", "ada@example.com\x00", "ada\u200b@example.com",
		"ada\u2028@example.com", "ada@[127.0.0.1]", `"ada lovelace"@example.com`, "ada(comment)@example.com",
		".ada@example.com", "ada.@example.com", "a..b@example.com", "ada@-example.com", "ada@example..com", "ada@.example.com",
		"@relay.example:ada@example.com", "team: ada@example.com;", "ada@example.com>", "ada\u202e@example.com", "a\xff@example.com",
		strings.Repeat("a", 65) + "@example.com", "ada@" + strings.Repeat("a.", 130) + "com", "ada@exa_mple.com", "ada@example.com ",
	}
	for _, in := range bad {
		a, err := message.ParseAddress("", in)
		var problem *message.AddressError
		if !errors.As(err, &problem) {
			t.Errorf("%q was taken as %q (%v)", in, a.Mailbox(), err)
		}
	}
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"Script.pdf":                      "Script.pdf",
		"../../etc/passwd":                "_._etc_passwd",
		`C:\temp\a.pdf`:                   "C__temp_a.pdf",
		"a\r\nContent-Type: text/html":    "a Content-Type_ text_html",
		"invoice\u202efdp.exe":            "invoicefdp.exe",
		"":                                "document",
		"...":                             "document",
		".pdf":                            "pdf",
		"con.pdf":                         "_con.pdf",
		"Lpt1":                            "_Lpt1",
		"नमस्ते क्‍ष.pdf":                 "नमस्ते क्‍ष.pdf",
		"x\x00y.pdf":                      "x y.pdf",
		strings.Repeat("é", 300) + ".pdf": strings.Repeat("é", 125) + ".pdf",
	}
	for in, want := range cases {
		got := message.FileName(in)
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestADocumentOfAnotherSizeIsAnError(t *testing.T) {
	t.Parallel()
	d := document("a.pdf", "application/pdf", []byte("12345"))
	d.Size = 6
	m, err := message.Compose(message.Letter{
		ID: "x@example.com", From: mustAddress(t, "", "a@example.com"), To: mustAddress(t, "", "b@example.com"),
		Subject: "x", Documents: []message.Document{d},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.WriteTo(io.Discard)
	if err == nil {
		t.Error("the document was shorter than announced, and nobody noticed")
	}
}

func TestASubjectWithoutLettersIsRefused(t *testing.T) {
	t.Parallel()
	_, err := message.Compose(message.Letter{Subject: "\r\n \u202e\u200b"})
	if !errors.Is(err, message.ErrNoSubject) {
		t.Errorf("got %v, want ErrNoSubject", err)
	}
}

// parsed is a message as the standard library reads it.
type parsed struct {
	header mail.Header
	text   string
	html   string
	names  []string
	bodies [][]byte
}

func parse(t testing.TB, raw []byte) parsed {
	t.Helper()
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("unclean line %q", line)
		}
	}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	p := parsed{header: msg.Header}
	mixed := parts(t, msg.Header.Get("Content-Type"), "multipart/mixed", msg.Body)
	outer, err := mixed.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	inner := parts(t, outer.Header.Get("Content-Type"), "multipart/alternative", outer)
	p.text = textPart(t, inner, "text/plain; charset=utf-8")
	p.html = textPart(t, inner, "text/html; charset=utf-8")
	_, err = inner.NextRawPart()
	if err != io.EOF {
		t.Fatalf("more than a text and an HTML part: %v", err)
	}
	for {
		part, err := mixed.NextRawPart()
		if err == io.EOF {
			return p
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(part.Header) != 3 {
			t.Fatalf("headers of an attachment: %q", part.Header)
		}
		disposition, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil || disposition != "attachment" || len(params) != 1 {
			t.Fatalf("disposition %q: %v", part.Header.Get("Content-Disposition"), err)
		}
		body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, part))
		if err != nil {
			t.Fatal(err)
		}
		p.names = append(p.names, params["filename"])
		p.bodies = append(p.bodies, body)
	}
}

func parts(t testing.TB, contentType, want string, r io.Reader) *multipart.Reader {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != want {
		t.Fatalf("content type %q, want %s: %v", contentType, want, err)
	}
	return multipart.NewReader(r, params["boundary"])
}

func textPart(t testing.TB, r *multipart.Reader, want string) string {
	t.Helper()
	part, err := r.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	if part.Header.Get("Content-Type") != want || len(part.Header) != 2 {
		t.Fatalf("headers of a text part: %q, want %s", part.Header, want)
	}
	b, err := io.ReadAll(quotedprintable.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// FuzzMessage: whatever people typed, the message has exactly the headers, the recipient and the parts that were meant.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		"Ada Lovelace", "Zoë \"Zo\" Müller", "a\r\nBcc: eve@example.com", "a\nb", "a\rb", "\x00", "a\u2028b\u2029c\u0085d",
		"=?utf-8?q?a=0D=0ABcc:_eve@example.com?=", "=?utf-8?b?YQ0KYg==?=", "=\u200b?utf-8?q?a?=", "\r\n.\r\n", "..", strings.Repeat("x", 1200),
		strings.Repeat("ß", 700), "\u202eevil", "\u200b", "--=_mixed_", "\xff\xfe", "<b>&amp;</b>", "👨‍👩‍👧", "\\\" <eve@example.com>",
		"a\t\vb", "\x1b[31m", "", " ", "a." + strings.Repeat("x", 300),
	} {
		f.Add(s, s, s, s, []byte(s))
		f.Add("Ada", "Subject", s, "a.pdf", []byte("x"))
	}
	f.Fuzz(checkMessage)
}

// TestManyHostileMessages is FuzzMessage over a fixed sequence of 10,000 cases made of what has hurt others.
func TestManyHostileMessages(t *testing.T) {
	t.Parallel()
	pieces := []string{
		"\r", "\n", "\r\n", "\r\n.\r\n", "\x00", "\u2028", "\u2029", "\u0085", "\u202e", "\u200f", "\u200b", "\ufeff", "=?", "?=", "=?utf-8?q?=0D=0A?=",
		"=?utf-8?b?DQo=?=", "Bcc: eve@example.com", ": ", "\"", "\\", "<", ">", ",", ";", "(", ")", "@", ".", "..", "/", "=_mixed_", "--", "%0d%0a", "'", "*", "%",
		"Ada", "Zoë", "名前", "עברית", "👨‍👩‍👧", "\xff", "\xc3", " ", "\t", "<script>", "<img src=x>", "&amp;", "{{.}}", ".pdf", "text/html", "\x7f", "\x1b[0m",
		strings.Repeat("x", 998), strings.Repeat("é", 500), strings.Repeat(" ", 80),
	}
	cases := 10_000
	if testing.Short() {
		cases = 500
	}
	rng := rand.New(rand.NewPCG(13, 24))
	some := func() string {
		var b strings.Builder
		for range rng.IntN(7) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		return b.String()
	}
	for i := range cases {
		name, subject, text, file := some(), some(), some(), some()
		checkMessage(t, name, subject, text, file, []byte(some()))
		if t.Failed() {
			t.Fatalf("case %d: %q", i, []string{name, subject, text, file})
		}
	}
}

func checkMessage(t *testing.T, name, subject, text, file string, body []byte) {
	from, to := mustAddress(t, name, "copies@films.example"), mustAddress(t, name, "ada@example.com")
	m, err := message.Compose(message.Letter{
		ID: "id@films.example", From: from, To: to, ReplyTo: &from, Date: date, Subject: subject, Text: text, Production: name,
		Documents: []message.Document{document(file, file, body), document(file, "application/pdf", body)}, Missing: []string{file}, Attempt: 3,
	})
	if errors.Is(err, message.ErrNoSubject) {
		if message.Line(subject, 255) != "" {
			t.Fatalf("subject %q refused", subject)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	raw := write(t, m)
	for i, c := range raw {
		if c >= 0x80 {
			t.Fatalf("byte %#x at %d is not 7 bits", c, i)
		}
	}
	p := parse(t, raw)

	var names []string
	for key, values := range p.header {
		if len(values) != 1 {
			t.Fatalf("%s occurs %d times", key, len(values))
		}
		names = append(names, key)
	}
	slices.Sort(names)
	diff := cmp.Diff([]string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Reply-To", "Subject", "To", "X-Filigree-Attempt"}, names)
	if diff != "" {
		t.Fatalf("headers: %s", diff)
	}
	for key, want := range map[string]message.Address{"To": to, "From": from, "Reply-To": from} {
		list, err := p.header.AddressList(key)
		if err != nil || len(list) != 1 || list[0].Address != want.Mailbox() || list[0].Name != want.Name() {
			t.Fatalf("%s: %q: got %v (%v), want %q <%s>", key, p.header.Get(key), list, err, want.Name(), want.Mailbox())
		}
	}
	decoded, err := new(mime.WordDecoder).DecodeHeader(p.header.Get("Subject"))
	if err != nil || decoded != message.Line(subject, 255) || strings.IndexFunc(decoded, unicode.IsControl) >= 0 {
		t.Fatalf("subject %q: %v", decoded, err)
	}
	if len(p.names) != 2 || p.names[0] != message.FileName(file) || p.names[0] == p.names[1] || !bytes.Equal(p.bodies[0], body) || !bytes.Equal(p.bodies[1], body) {
		t.Fatalf("attachments %q", p.names)
	}
	for _, line := range strings.Split(message.Text(text), "\n") {
		if !strings.Contains(p.text, strings.TrimRight(line, " \t")) {
			t.Fatalf("text lost %q", line)
		}
	}
	if strings.Contains(p.html, "<img") || strings.Count(p.html, "<script") > 0 || strings.Contains(text, "<b>") && strings.Contains(p.html, "<b>") {
		t.Fatalf("html was injected: %s", p.html)
	}
}
