// Package picture makes marked copies of PNG and JPEG pictures, as the engine makes them of PDFs: a source is read once,
// by Compile, into a template, and each copy is made of the template by Stamp.
//
// Compile and Inspect read what strangers made: they belong into a sandboxed child. Stamp reads nothing but templates,
// which Open has checked, and may run where the secrets are; a template that a child was made to forge can give a bad
// picture, and nothing worse. Package pack describes the templates' frame, packages jpeg and png their parts.
//
// A copy shows its source as it was, pixel by pixel, but for the mark; colour profile, gamma and orientation are kept,
// and nothing else of what a source says about itself: no place, camera, time, author, or earlier version. The same
// template, mark and id give the same bytes on every machine and with every release of Go.
//
// The mark is all that a copy tells its recipient by, besides the id in a text chunk or comment, which any program that
// saves a picture anew drops. A picture cannot be locked with a password.
package picture

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/ink"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/jpeg"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/pack"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/png"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// Engine names the version of what writes copies and templates. It changes with anything that changes a byte.
const Engine = "filigree-picture-1"

// Limits bound what is read.
type Limits = source.Limits

// DefaultLimits are the product's: 50 megapixels, 20,000 pixels a side.
func DefaultLimits() Limits { return source.Default() }

// Error refuses a picture for good. Its Reason is one of IMAGE_TOO_LARGE, IMAGE_TOO_COMPLEX, IMAGE_BROKEN,
// IMAGE_UNSUPPORTED.
type Error = source.Error

// Report is what is known of a picture.
type Report = source.Report

// ErrTemplate is that of a template that is none, or damaged, or of another version.
var ErrTemplate = pack.ErrDamaged

// Inspect reads a picture's headers, without decoding it. Errors are *Error, or r's.
func Inspect(r io.Reader, limits Limits) (Report, error) {
	b := bufio.NewReader(r)
	switch kind, err := sniff(b); {
	case err != nil:
		return Report{}, err
	case kind == png.MediaType:
		return png.Inspect(b, limits)
	default:
		return jpeg.Inspect(b, limits)
	}
}

// Compile reads a picture to its end and writes its template to dst. Errors are *Error, or those of r and dst; what was
// written before one is of no use.
func Compile(r io.Reader, dst io.Writer, limits Limits) (Report, error) {
	b := bufio.NewReader(r)
	switch kind, err := sniff(b); {
	case err != nil:
		return Report{}, err
	case kind == png.MediaType:
		return png.Compile(b, dst, limits)
	default:
		return jpeg.Compile(b, dst, limits)
	}
}

// sniff tells the media type of what begins with what r brings next, which may be read again.
func sniff(r *bufio.Reader) (string, error) {
	head, err := r.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	kind := MediaType(head)
	if kind != "" {
		return kind, nil
	}
	refusal := Unsupported(head)
	if refusal != nil {
		return "", refusal
	}
	return "", source.Unsupported("the file is no picture that is known: send it as PNG or JPEG")
}

// Template is a source made ready for copies. It is immutable and safe for concurrent use.
type Template struct {
	media string
	png   *png.Template
	jpeg  *jpeg.Template
}

// Open reads a template, whose bytes must stay as they are while it is in use. Errors are ErrTemplate.
func Open(template []byte) (*Template, error) {
	var err error
	t := &Template{}
	switch {
	case strings.HasPrefix(string(template[:min(len(template), 8)]), png.Magic):
		t.media = png.MediaType
		t.png, err = png.Open(template)
	case strings.HasPrefix(string(template[:min(len(template), 8)]), jpeg.Magic):
		t.media = jpeg.MediaType
		t.jpeg, err = jpeg.Open(template)
	default:
		err = pack.Damaged("it is of no version that is known")
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// MediaType is that of the copies.
func (t *Template) MediaType() string { return t.media }

// Digest names the template by its content.
func (t *Template) Digest() [32]byte {
	if t.png != nil {
		return t.png.Digest()
	}
	return t.jpeg.Digest()
}

// Notes say what copies lack that the source has.
func (t *Template) Notes() []string {
	if t.png != nil {
		return t.png.Notes()
	}
	return t.jpeg.Notes()
}

// size is that of the stored pixels.
func (t *Template) size() (width, height int, o source.Orientation) {
	if t.png != nil {
		return t.png.Size()
	}
	return t.jpeg.Size()
}

// Page is the picture as the page that the mark is put on.
func (t *Template) Page() mark.Page {
	width, height, o := t.size()
	if o.Turned() {
		width, height = height, width
	}
	return source.Page(width, height)
}

// Level tells how strong m must be drawn to be seen on this picture, for Copy and mark.Page: where it lies on what is
// restless it must be stronger. It is the same for all whose marks are about as long, so it is asked for once for a source
// and a mark of somebody.
func (t *Template) Level(m *mark.Mark) (int, error) {
	width, height, o := t.size()
	layer, err := ink.New(m, width, height, o, 0)
	if err != nil {
		return 0, err
	}
	pixels := layer.Pixels()
	if t.png != nil {
		return t.png.Texture().Level(&pixels), nil
	}
	return t.jpeg.Texture().Level(&pixels), nil
}

// Copy is what one copy is to have besides its mark.
type Copy struct {
	// ID is put into the copy, where ID finds it, if it is not empty. It has at most 4096 bytes.
	ID []byte
	// Level is how strong the mark is drawn, as in mark.Page.
	Level int
}

const (
	// key is what an id is found by.
	key = hidden.Entry
	// maxID is the largest id, in bytes.
	maxID = 4096
)

// Stamp writes a copy to w, in pieces of all sizes. Errors are w's, or ErrTemplate; what was written before one is of no
// use.
func (t *Template) Stamp(w io.Writer, m *mark.Mark, c Copy) error {
	if len(c.ID) > maxID {
		return errors.New("stamp a picture: the id is too long")
	}
	width, height, o := t.size()
	layer, err := ink.New(m, width, height, o, c.Level)
	if err != nil {
		return err
	}
	id := base64.RawURLEncoding.EncodeToString(c.ID)
	if t.png != nil {
		return t.png.Stamp(w, layer, key, id)
	}
	return t.jpeg.Stamp(w, layer, key, id)
}

// ID finds the id in a copy, as Stamp was given it; nil if there is none. It reads headers only, and what it reads is a
// stranger's. Errors are *Error, or r's.
func ID(r io.Reader) ([]byte, error) {
	b := bufio.NewReader(r)
	kind, err := sniff(b)
	if err != nil {
		return nil, err
	}
	find := jpeg.Find
	if kind == png.MediaType {
		find = png.Find
	}
	text, err := find(b, key)
	if err != nil || len(text) > base64.RawURLEncoding.EncodedLen(maxID) {
		return nil, err
	}
	id, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, nil // it is no id of ours
	}
	return id, nil
}
