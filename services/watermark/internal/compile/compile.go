// Package compile reads a source document once and makes of it the template that copies are stamped from: its pages, and
// everything reachable from them, converted object by object; pages' content cut where a copy draws something.
//
// What is taken over is what is allowed, not what is not forbidden: of the catalogue and of each page only keys known
// here, no scripts, no actions that start, fetch or send anything, no attachments, no multimedia, no metadata,
// thumbnails or private data of other programs, and nothing that no page leads to, earlier revisions and removed pages
// above all.
//
// It reads what strangers made, through pdfcpu without its validator, and belongs into a sandbox: memory and time are
// bounded there, counts here. The same source gives the same template on every architecture and release of Go.
package compile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"

	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// Limits bounds what a source may have.
type Limits struct {
	Pages int
	// Objects reachable from its pages.
	Objects int
	// Content is the length of all pages' decoded content, in bytes.
	Content int64
	// Plain says that it is not encrypted, whatever it looks like.
	Plain bool
	// Lenient goes without objects that cannot be read, instead of calling the source broken.
	Lenient bool
}

// Error refuses a source. Its message is for people.
type Error struct {
	// Reason is FILE_EMPTY, PDF_NOT_A_PDF, PDF_ENCRYPTED, PDF_BROKEN, PDF_NO_PAGES, PDF_TOO_MANY_PAGES or
	// PDF_TOO_COMPLEX.
	Reason  string
	Message string
	// Detail is for logs.
	Detail string
	// Doubt says that an encrypted source may be none: somebody else should have a look.
	Doubt bool
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Message
	}
	return e.Message + " (" + e.Detail + ")"
}

// Page is one page of a template.
type Page struct {
	// Ref is its object in the document: a dictionary that lacks Contents, Resources and Parent.
	Ref pdf.Ref
	// Resources is the page's, as a dictionary of its own that pages with the same resources share.
	Resources *Resources
	// Box is what is visible: x0 < x1, y0 < y1, in default user space units.
	Box [4]float64
	// Rotate is 0, 90, 180 or 270.
	Rotate int
	// Unit is the size of a user space unit in 1/72 inch.
	Unit float64

	contents []types.StreamDict
}

// Resources is a resource dictionary.
type Resources struct {
	Dict pdf.Dict
	// XObjects is the content of its entry XObject.
	XObjects pdf.Dict
}

// source is a document that was read, not yet a template.
type source struct {
	Document *pdf.Document
	// Catalog is the document's catalogue, without Pages.
	Catalog pdf.Dict
	Pages   []*Page
	// Title is the document's, as a text string; nil if it has none.
	Title pdf.String
	// Notes say what recipients of a copy lose or should know.
	Notes []string

	// origins are the forms as they were read.
	origins map[*pdf.Stream]types.StreamDict
	budget  int64
	lenient bool
}

// Compile reads the source and makes a template of it. It refuses with an *Error.
func Compile(ctx context.Context, rs io.ReadSeeker, limits Limits) (*template.Template, error) {
	err := sniff(rs)
	if err != nil {
		return nil, err
	}
	from, err := pdfcpu.ReadWithContext(ctx, rs, configuration(limits))
	if err != nil {
		return nil, classify(rs, err, limits.Plain)
	}
	if from.Encrypt != nil {
		return nil, errEncrypted
	}
	if !limits.Plain && mentions(rs, "/Encrypt") { // in a trailer that pdfcpu lost, or as a word that means nothing
		return nil, doubtful()
	}
	c := newConverter(from.XRefTable, limits)
	c.raw, _ = rs.(io.ReaderAt)
	s, err := c.source()
	if err != nil {
		return nil, err
	}
	return s.template()
}

var errEncrypted = &Error{
	Reason:  "PDF_ENCRYPTED",
	Message: "the PDF is protected by a password or by restrictions: save it without protection and upload it again",
}

func broken(detail string) *Error {
	return &Error{
		Reason:  "PDF_BROKEN",
		Message: "the PDF is damaged and could not be repaired: open it in a PDF program, save it anew and upload it again",
		Detail:  detail,
	}
}

func tooComplex(detail string) *Error {
	return &Error{
		Reason:  "PDF_TOO_COMPLEX",
		Message: "the PDF asks for more memory or time than is spent on one file: save it anew, or split it, and upload it again",
		Detail:  detail,
	}
}

// TooComplex is the refusal of a source on which a limit was met.
func TooComplex(detail string) error { return tooComplex(detail) }

// How long a stream may be once it is decoded, of those that are: content of pages and forms, and what holds the document
// together, which becomes objects of many times its length.
const (
	maxStream    = 64 << 20
	maxStructure = 24 << 20
)

// configuration is pdfcpu's, without the folder of settings it would make in the user's home.
func configuration(limits Limits) *model.Configuration {
	model.ConfigPath = "disable"
	conf := model.NewDefaultConfiguration()
	conf.ValidationMode = model.ValidationRelaxed
	conf.Offline = true
	conf.Limits.MaxDecodeBytes = min(limits.Content, maxStructure)
	conf.Limits.MaxObjectCount = min(conf.Limits.MaxObjectCount, 4*limits.Objects)
	return conf
}

// sniff refuses what is no PDF at all. Readers accept a header within the first 1,024 bytes.
func sniff(rs io.ReadSeeker) error {
	head := make([]byte, 1024+5)
	n, err := io.ReadFull(rs, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read source: %w", err)
	}
	if n == 0 {
		return &Error{Reason: "FILE_EMPTY", Message: "the file is empty: upload it again"}
	}
	if !bytes.Contains(head[:n], []byte("%PDF-")) {
		return &Error{Reason: "PDF_NOT_A_PDF", Message: "the file is not a PDF, whatever its name says: export it as PDF and upload that"}
	}
	_, err = rs.Seek(0, io.SeekStart)
	return err
}

// classify tells an encrypted source from a broken one. What pdfcpu says does not always, as an unknown handler or a
// damaged dictionary fails in many ways; the trailer is never encrypted, though.
func classify(rs io.ReadSeeker, err error, plain bool) error {
	if errors.Is(err, pdfcpu.ErrMalformedEncryption) || errors.Is(err, pdfcpu.ErrUnsupportedEncryptionFeature) {
		return errEncrypted
	}
	if !plain && mentions(rs, "/Encrypt") {
		return doubtful()
	}
	return broken(err.Error())
}

// doubtful refuses what seems to be encrypted.
func doubtful() error {
	return &Error{Reason: errEncrypted.Reason, Message: errEncrypted.Message, Doubt: true}
}

// mentions reports whether word stands in the file as a name of its own.
func mentions(rs io.ReadSeeker, word string) bool {
	_, err := rs.Seek(0, io.SeekStart)
	if err != nil {
		return false
	}
	const chunk = 1 << 20
	buf := make([]byte, 0, chunk+len(word)+1)
	for {
		n, err := io.ReadFull(rs, buf[len(buf):chunk])
		buf = buf[:len(buf)+n]
		for rest := buf; ; {
			i := bytes.Index(rest, []byte(word))
			if i < 0 || i+len(word) >= len(rest) {
				break
			}
			rest = rest[i+len(word):]
			if bytes.IndexByte([]byte(" \t\r\n</"), rest[0]) >= 0 {
				return true
			}
		}
		if err != nil {
			return false
		}
		buf = buf[:copy(buf, buf[len(buf)-len(word):])] // it may begin at the end
	}
}
