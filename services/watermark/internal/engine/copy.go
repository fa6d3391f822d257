package engine

import (
	"io"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/picture"
	"github.com/filigreehq/filigree/services/watermark/internal/stamp"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// Version names what reads sources, and writes copies of documents. It changes with anything that changes a copy's bytes.
const Version = stamp.Engine

// Template is a source that was read: a document or a picture. It is immutable and safe for concurrent use.
type Template struct {
	pdf *template.Template // nil for a picture

	picture *picture.Template
	size    int64
}

// MediaType is that of the source and of its copies.
func (t *Template) MediaType() string {
	if t.pdf == nil {
		return t.picture.MediaType()
	}
	return "application/pdf"
}

// Engine names what writes its copies.
func (t *Template) Engine() string {
	if t.pdf == nil {
		return picture.Engine
	}
	return Version
}

// Lockable reports whether copies can be locked with a password.
func (t *Template) Lockable() bool { return t.pdf != nil }

// Runs are the pages, those alike and in a row together. A picture is one page.
func (t *Template) Runs() []template.Run {
	if t.pdf == nil {
		return []template.Run{{Count: 1, Page: t.picture.Page()}}
	}
	return t.pdf.Runs
}

// Pages is how many there are.
func (t *Template) Pages() int {
	if t.pdf == nil {
		return 1
	}
	return t.pdf.Pages()
}

// Notes say what recipients of a copy lose or should know.
func (t *Template) Notes() []string {
	if t.pdf == nil {
		return t.picture.Notes()
	}
	return t.pdf.Notes
}

// Digest names the template by its content.
func (t *Template) Digest() [32]byte {
	if t.pdf == nil {
		return t.picture.Digest()
	}
	return t.pdf.Digest
}

// Size is how many bytes it takes in memory.
func (t *Template) Size() int64 {
	if t.pdf == nil {
		return t.size
	}
	return t.pdf.Size
}

// Recipe is all that a copy depends on besides its template.
type Recipe struct {
	Mark *mark.Mark
	// Levels are how strong the mark is on each page, see Check.
	Levels []uint8
	// ID is hidden in the copy; Sealed says whose it is to who has the key.
	ID     hidden.ID
	Sealed []byte
	Seed   stamp.Seed
	// Lock encrypts the copy if it is not nil. The template must be lockable.
	Lock *stamp.Lock
}

// Copy makes a copy ready, which writes the same bytes each time. It fails for a defect of ours only.
func (t *Template) Copy(r Recipe) (io.WriterTo, error) {
	if t.pdf == nil {
		return pictureCopy{t.picture, r}, nil
	}
	return stamp.New(t.pdf, stamp.Recipe{Mark: r.Mark, Levels: r.Levels, Code: r.ID.Codeword(), Sealed: r.Sealed, Seed: r.Seed, Lock: r.Lock})
}

// pictureCopy is a copy of a picture, which has no place for a hidden id but beside its pixels.
type pictureCopy struct {
	t *picture.Template
	r Recipe
}

func (c pictureCopy) WriteTo(w io.Writer) (int64, error) {
	counted := &counter{w: w}
	err := c.t.Stamp(counted, c.r.Mark, picture.Copy{ID: c.r.Sealed, Level: int(c.r.Levels[0])})
	return counted.n, err
}

// counter counts what is written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
