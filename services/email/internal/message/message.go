// Package message makes the e-mail that brings one recipient their documents. It is pure: the same Letter makes the
// same bytes, and nothing but the documents' own bytes is read while they are written.
//
// What it guarantees, whatever people typed into names, subjects and texts: exactly the header fields listed in
// (*Message).WriteTo, one recipient, one text part, one HTML part and the documents; lines end in CRLF and are shorter
// than 998 bytes; no bare CR, LF or NUL; 7 bits only, unless an address needs SMTPUTF8.
//
// Documents are streamed, so a message costs a few KB of memory however large it is. That is why MIME is written here
// with the standard library: go-mail holds each attachment, encoded, in memory while it writes it.
package message

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
	"time"
)

// ErrNoSubject: nothing readable is left of the subject.
var ErrNoSubject = errors.New("the subject is empty")

// Document is one attachment.
type Document struct {
	Name      string
	MediaType string // without parameters; anything that is no media type becomes application/octet-stream
	Size      int64
	// Open returns the document's bytes, exactly Size of them. The message closes what it opened.
	Open func() (io.ReadCloser, error)
}

// Letter is what is to be said to whom. Its texts are taken as people typed them.
type Letter struct {
	ID       string // Message-ID without angle brackets, from ID
	From, To Address
	ReplyTo  *Address // nil: answers go to From
	Date     time.Time
	Subject  string
	Text     string // the coordinator's words
	// Production is its name as people know it; empty: the sender's name stands for it.
	Production string
	Documents  []Document
	// Link is where the recipient fetches Linked, documents of these names; a letter has either these or Documents.
	Link    string
	Linked  []string
	Missing []string // names of documents that could not be made
	Locked  bool
	// Attempt is set when an earlier attempt may have reached the recipient; the header says so.
	Attempt int
}

// ID is the Message-ID of a delivery, the same on each attempt and each replica.
func ID(production, delivery, domain string) string {
	sum := sha256.Sum256([]byte("filigree message id\x00" + production + "\x00" + delivery))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20])) + "@" + domain
}

// Message is a composed e-mail. It may be written more than once, not concurrently.
type Message struct {
	head  string
	text  string
	html  string
	docs  []Document
	names []string
	seed  string
	size  int64
}

// Compose makes the message.
func Compose(l Letter) (*Message, error) {
	subject := Line(l.Subject, maxSubject)
	if subject == "" {
		return nil, ErrNoSubject
	}
	names := fileNames(l.Documents)
	words := newWords(l, names)
	text, err := words.text()
	if err != nil {
		return nil, fmt.Errorf("compose text: %w", err)
	}
	html, err := words.html(subject)
	if err != nil {
		return nil, fmt.Errorf("compose html: %w", err)
	}
	seed := sha256.Sum256([]byte(l.ID))
	m := &Message{text: text, html: html, docs: l.Documents, names: names, seed: hex.EncodeToString(seed[:8])}

	var head strings.Builder
	head.WriteString(field("Date", l.Date.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700")))
	head.WriteString(field("From", l.From.header()))
	head.WriteString(field("To", l.To.header()))
	if l.ReplyTo != nil {
		head.WriteString(field("Reply-To", l.ReplyTo.header()))
	}
	head.WriteString(field("Subject", encode(subject)))
	head.WriteString(field("Message-ID", "<"+l.ID+">"))
	head.WriteString(field("Auto-Submitted", "auto-generated"))
	if l.Attempt > 0 {
		head.WriteString(field("X-Filigree-Attempt", fmt.Sprint(l.Attempt)))
	}
	head.WriteString("MIME-Version: 1.0\r\n")
	m.head = head.String()

	count := &counter{}
	err = m.write(count, func(_ io.Writer, d Document) error {
		count.n += encodedLen(d.Size)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("measure message: %w", err)
	}
	m.size = count.n
	return m, nil
}

// Size is how many bytes WriteTo writes.
func (m *Message) Size() int64 { return m.size }

// WriteTo writes Date, From, To, Reply-To (if any), Subject, Message-ID, Auto-Submitted, X-Filigree-Attempt (if any),
// MIME-Version, Content-Type and the parts. An error of a document ends it at once; what was written is no message.
func (m *Message) WriteTo(w io.Writer) (int64, error) {
	count := &counter{w: w}
	err := m.write(count, writeDocument)
	return count.n, err
}

func (m *Message) write(w io.Writer, document func(io.Writer, Document) error) error {
	// "=_" occurs in no quoted-printable or base64 text, so no content can contain a boundary.
	mixed, alternative := "=_mixed_"+m.seed, "=_text_"+m.seed
	_, err := io.WriteString(w, m.head+contentType("mixed", mixed)+"\r\n")
	if err != nil {
		return err
	}
	outer := multipart.NewWriter(w)
	err = outer.SetBoundary(mixed)
	if err != nil {
		return err
	}
	part, err := outer.CreatePart(textproto.MIMEHeader{"Content-Type": {contentTypeValue("alternative", alternative)}})
	if err != nil {
		return err
	}
	err = m.writeTexts(part, alternative)
	if err != nil {
		return err
	}
	for i, d := range m.docs {
		part, err = outer.CreatePart(textproto.MIMEHeader{
			"Content-Type":              {mediaType(d.MediaType)},
			"Content-Transfer-Encoding": {"base64"},
			"Content-Disposition":       {disposition(m.names[i])},
		})
		if err != nil {
			return err
		}
		err = document(part, d)
		if err != nil {
			return err
		}
	}
	return outer.Close()
}

func (m *Message) writeTexts(w io.Writer, boundary string) error {
	inner := multipart.NewWriter(w)
	err := inner.SetBoundary(boundary)
	if err != nil {
		return err
	}
	for _, p := range []struct{ kind, body string }{{"text/plain", m.text}, {"text/html", m.html}} {
		part, err := inner.CreatePart(textproto.MIMEHeader{
			"Content-Type":              {p.kind + "; charset=utf-8"},
			"Content-Transfer-Encoding": {"quoted-printable"},
		})
		if err != nil {
			return err
		}
		qp := quotedprintable.NewWriter(part)
		_, err = io.WriteString(qp, p.body)
		if err != nil {
			return err
		}
		err = qp.Close()
		if err != nil {
			return err
		}
	}
	return inner.Close()
}

func contentType(kind, boundary string) string {
	return "Content-Type: " + contentTypeValue(kind, boundary) + "\r\n"
}

func contentTypeValue(kind, boundary string) string {
	return "multipart/" + kind + ";\r\n boundary=\"" + boundary + "\""
}

// mediaType is s if it is a bare media type that carries one document.
func mediaType(s string) string {
	kind, params, err := mime.ParseMediaType(s)
	if err != nil || len(params) > 0 || len(s) > 127 || !strings.Contains(kind, "/") ||
		strings.HasPrefix(kind, "multipart/") || strings.HasPrefix(kind, "message/") {
		return "application/octet-stream"
	}
	return kind
}

// disposition names the file as RFC 2231 has it.
func disposition(name string) string {
	v := mime.FormatMediaType("attachment", map[string]string{"filename": name})
	return strings.Replace(v, "; ", ";\r\n ", 1)
}
