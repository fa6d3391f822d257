// Package ledger reads what a mail server was given: for each mail who it is for and the digests of what is attached. A
// sender's own records are checked against it.
package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Mail is one mail that a mail server took.
type Mail struct {
	// Where names it in its Box.
	Where     string
	MessageID string // without angle brackets
	To        string // the address in the header; a mail to several has them all, joined by ", "
	ToName    string
	Subject   string
	// Attempt is X-Filigree-Attempt: set when an earlier attempt may have arrived.
	Attempt     int
	Attachments []Attachment
}

// Attachment is one document of a mail.
type Attachment struct {
	Name   string
	SHA256 string
	Size   int64
}

// Box is where mails end up: the folder of an outbox, or a mail server of a test.
type Box interface {
	// Mails returns all mails in the order they came.
	Mails() ([]Mail, error)
	// Open returns a mail's bytes; where is Mail.Where.
	Open(where string) (io.ReadCloser, error)
}

// Read reads one mail. If keep is not nil it says where an attachment's bytes go as well; nil means nowhere.
func Read(r io.Reader, keep func(name string) io.Writer) (Mail, error) {
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return Mail{}, fmt.Errorf("read the mail's head: %w", err)
	}
	m := Mail{MessageID: strings.Trim(msg.Header.Get("Message-ID"), "<> ")}
	decoder := new(mime.WordDecoder)
	m.Subject, err = decoder.DecodeHeader(msg.Header.Get("Subject"))
	if err != nil {
		return m, fmt.Errorf("read the subject: %w", err)
	}
	list, err := msg.Header.AddressList("To")
	if err != nil {
		return m, fmt.Errorf("read the recipient: %w", err)
	}
	var to []string
	for _, a := range list {
		to = append(to, a.Address)
	}
	m.To, m.ToName = strings.Join(to, ", "), list[0].Name
	attempt := msg.Header.Get("X-Filigree-Attempt")
	if attempt != "" {
		m.Attempt, err = strconv.Atoi(attempt)
		if err != nil {
			return m, fmt.Errorf("read X-Filigree-Attempt: %w", err)
		}
	}
	kind, attributes, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		return m, fmt.Errorf("the mail is %q and not multipart/mixed: %w", kind, err)
	}
	parts := multipart.NewReader(msg.Body, attributes["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return m, fmt.Errorf("read a part: %w", err)
		}
		if part.FileName() == "" {
			continue
		}
		a, err := attachment(part, keep)
		if err != nil {
			return m, fmt.Errorf("read attachment %s: %w", part.FileName(), err)
		}
		m.Attachments = append(m.Attachments, a)
	}
}

func attachment(part *multipart.Part, keep func(name string) io.Writer) (Attachment, error) {
	if part.Header.Get("Content-Transfer-Encoding") != "base64" {
		return Attachment{}, errors.New("it is not base64")
	}
	name, err := new(mime.WordDecoder).DecodeHeader(part.FileName())
	if err != nil {
		return Attachment{}, err
	}
	sum := sha256.New()
	out := io.Writer(sum)
	if keep != nil {
		file := keep(name)
		if file != nil {
			out = io.MultiWriter(sum, file)
		}
	}
	n, err := io.Copy(out, base64.NewDecoder(base64.StdEncoding, part))
	return Attachment{Name: name, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: n}, err
}

// Folder is an outbox: a folder with one .eml file a mail, whose names sort by time. Files are read once.
type Folder struct {
	dir  string
	mu   sync.Mutex
	seen map[string]Mail
}

// NewFolder makes a Box of dir, which need not be there yet.
func NewFolder(dir string) *Folder { return &Folder{dir: dir, seen: map[string]Mail{}} }

// Mails implements Box.
func (f *Folder) Mails() ([]Mail, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	names, err := filepath.Glob(filepath.Join(f.dir, "*.eml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []Mail
	for _, name := range names {
		where := filepath.Base(name)
		m, ok := f.seen[where]
		if !ok {
			m, err = f.read(where)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
			f.seen[where] = m
		}
		all = append(all, m)
	}
	return all, nil
}

func (f *Folder) read(where string) (Mail, error) {
	file, err := f.Open(where)
	if err != nil {
		return Mail{}, err
	}
	m, err := Read(file, nil)
	m.Where = where
	return m, errors.Join(err, file.Close())
}

// Open implements Box.
func (f *Folder) Open(where string) (io.ReadCloser, error) {
	if where != filepath.Base(where) {
		return nil, fs.ErrInvalid
	}
	return os.Open(filepath.Join(f.dir, where))
}

// Memory is a Box for a mail server that keeps what it got. The zero value is empty; it is safe for concurrent use.
type Memory struct {
	mu    sync.Mutex
	texts [][]byte
}

// Add puts a mail into the box.
func (m *Memory) Add(text []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.texts = append(m.texts, text)
}

// Mails implements Box.
func (m *Memory) Mails() ([]Mail, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Mail
	for i, text := range m.texts {
		one, err := Read(bytes.NewReader(text), nil)
		if err != nil {
			return nil, fmt.Errorf("mail %d: %w", i, err)
		}
		one.Where = strconv.Itoa(i)
		all = append(all, one)
	}
	return all, nil
}

// Open implements Box.
func (m *Memory) Open(where string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, err := strconv.Atoi(where)
	if err != nil || i < 0 || i >= len(m.texts) {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(m.texts[i])), nil
}
