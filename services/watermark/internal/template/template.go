// Package template reads a source document once and makes of it what copies are built from: its pages, and everything
// reachable from them, converted object by object.
//
// What is taken over is what is allowed, not what is not forbidden: of the catalogue and of each page only keys known
// here, no scripts, no actions that start, fetch or send anything, no attachments, no multimedia, no metadata,
// thumbnails or private data of other programs, and nothing that no page leads to, earlier revisions and removed pages
// above all.
//
// It reads what strangers made, through pdfcpu without its validator, and belongs into a sandbox: memory and time are
// bounded there, counts here.
package template

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
)

// Limits bounds what a source may have.
type Limits struct {
	Pages int
	// Objects reachable from its pages.
	Objects int
	// Content is the length of all pages' decoded content, in bytes.
	Content int64
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

// Template is a source ready to be copied. Each copy needs a template of its own, since making it uses it up.
type Template struct {
	Document *pdf.Document
	// Catalog is the document's catalogue, without Pages.
	Catalog pdf.Dict
	Pages   []*Page
	// Notes say what recipients of a copy lose or should know.
	Notes []string

	budget  int64
	lenient bool
}

// Read reads the source.
func Read(ctx context.Context, rs io.ReadSeeker, limits Limits) (*Template, error) {
	err := sniff(rs)
	if err != nil {
		return nil, err
	}
	source, err := pdfcpu.ReadWithContext(ctx, rs, configuration(limits))
	if err != nil {
		return nil, classify(rs, err)
	}
	if source.Encrypt != nil {
		return nil, errEncrypted
	}
	c := newConverter(source.XRefTable, limits)
	return c.template()
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

// configuration is pdfcpu's, without the folder of settings it would make in the user's home.
func configuration(limits Limits) *model.Configuration {
	model.ConfigPath = "disable"
	conf := model.NewDefaultConfiguration()
	conf.ValidationMode = model.ValidationRelaxed
	conf.Offline = true
	conf.Limits.MaxDecodeBytes = limits.Content
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
func classify(rs io.ReadSeeker, err error) error {
	if errors.Is(err, pdfcpu.ErrMalformedEncryption) || errors.Is(err, pdfcpu.ErrUnsupportedEncryptionFeature) || mentions(rs, "/Encrypt") {
		return errEncrypted
	}
	return broken(err.Error())
}

// mentions reports whether word stands in the last part of the file, where trailers are, as a name of its own.
func mentions(rs io.ReadSeeker, word string) bool {
	const tail = 1 << 20
	end, err := rs.Seek(0, io.SeekEnd)
	if err != nil {
		return false
	}
	_, err = rs.Seek(max(0, end-tail), io.SeekStart)
	if err != nil {
		return false
	}
	data, err := io.ReadAll(rs)
	if err != nil {
		return false
	}
	for {
		i := bytes.Index(data, []byte(word))
		if i < 0 || i+len(word) >= len(data) {
			return false
		}
		data = data[i+len(word):]
		if bytes.IndexByte([]byte(" \t\r\n</"), data[0]) >= 0 {
			return true
		}
	}
}
