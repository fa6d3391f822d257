// Package stamp makes copies of a template: it fills the slots of its pages, adds the outlines of the mark, encrypts
// each stream if the copy is to be locked, and writes the cross-reference. Nothing is parsed, compressed or looked for, so
// that a copy costs little more than to hash and encrypt its bytes.
//
// A copy is a function of its template and recipe: the same on every machine, architecture and release of Go. All that
// is random in it is drawn from the recipe's seed. Its size is known before a byte of it is made, and any part of it can
// be made without the rest.
package stamp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// Engine names the version of what writes copies. It changes with anything that changes a copy's bytes.
const Engine = "filigree-2"

// Recipe is all that a copy depends on besides its template.
type Recipe struct {
	Mark *mark.Mark
	// Levels is how strong the mark is on each page, from 0; pages beyond its end are at 0.
	Levels []uint8
	// Code is the hidden id.
	Code [hidden.Symbols]byte
	// Sealed says whose copy it is to who has the key; it becomes an entry of the document information.
	Sealed []byte
	Seed   Seed
	// Lock encrypts the copy if it is not nil.
	Lock *Lock
	// Unmarked leaves the mark, what is woven in and the sealed entry away: what the mark is held against when it is
	// checked. Such a copy must not leave.
	Unmarked bool
}

// Copy is a copy ready to be written. Its methods are safe for concurrent use.
type Copy struct {
	t      *template.Template
	own    template.Own
	id     [16]byte
	code   [hidden.Symbols]byte
	places noise
	keys   *keys // nil if it is not locked
	bitmap bitmap
	tones  [template.Levels][]mark.Tone
	blank  bool

	forms []form
	pack  []byte // data of the object stream of its own
	packs []int  // the numbers of the objects in it
	// packFirst is where the first of them begins.
	packFirst int
	views     []*view
	// pages are the indexes of pages' views.
	pages []int32

	// offsets of the template's streams, then of the copy's own objects, then the end.
	offsets []int64
	size    int64

	encrypted atomic.Int64
}

// New prepares a copy. It fails for a template that lacks what a copy needs, and otherwise only for a defect of ours.
func New(t *template.Template, r Recipe) (*Copy, error) {
	c := &Copy{t: t, own: t.Own(), code: r.Code, blank: r.Unmarked}
	err := r.Seed.derive("id", c.id[:])
	if err != nil {
		return nil, err
	}
	c.places, err = r.Seed.noise("places")
	if err != nil {
		return nil, err
	}
	if r.Lock != nil {
		c.keys, err = r.Lock.open(&r.Seed)
		if err != nil {
			return nil, err
		}
	}
	err = c.prepare(r)
	if err != nil {
		return nil, err
	}
	c.arrange()
	return c, nil
}

// Size is the copy's, in bytes.
func (c *Copy) Size() int64 { return c.size }

// Encrypted is how many bytes were encrypted so far.
func (c *Copy) Encrypted() int64 { return c.encrypted.Load() }

// prepare makes everything of the copy that is not its pages.
func (c *Copy) prepare(r Recipe) error {
	shapes := r.Mark.Shapes()
	if len(shapes) > template.Forms {
		return fmt.Errorf("stamp: the mark has %d shapes, more than %d", len(shapes), template.Forms)
	}
	c.bitmap = newBitmap(r.Mark.Bitmap())
	if !c.blank {
		c.forms = make([]form, len(shapes))
		for i := range shapes {
			c.forms[i] = newForm(i, &shapes[i], c.code)
		}
	}
	for level := range c.tones {
		c.tones[level] = r.Mark.Tones(level)
		if len(c.tones[level]) >= template.Tones {
			return errors.New("stamp: the mark has too many tones")
		}
	}
	c.setViews(r)
	c.setPack(r)
	return nil
}

// viewKey tells pages apart that look different.
type viewKey struct {
	page    mark.Page
	covered bool
}

// setViews finds out which kinds of pages there are.
func (c *Copy) setViews(r Recipe) {
	known := map[viewKey]int32{}
	var last viewKey
	var index int32
	pages := make([]int32, 0, c.t.Pages())
	for _, run := range c.t.Runs {
		for range run.Count {
			number := len(pages) + 1
			key := viewKey{page: run.Page, covered: r.Mark.Covers(number)}
			if number <= len(r.Levels) {
				key.page.Level = min(int(r.Levels[number-1]), template.Levels-1)
			}
			if len(c.views) == 0 || key != last {
				var ok bool
				index, ok = known[key]
				if !ok {
					index = int32(len(c.views))
					known[key] = index
					c.views = append(c.views, newView(c, key.page, r.Mark.On(key.page, number)))
				}
				last = key
			}
			pages = append(pages, index)
		}
	}
	c.pages = pages
}

// view is what page, from 0, looks like.
func (c *Copy) view(page int) *view { return c.views[c.pages[page]] }

// appendState writes the graphics state parameters of an opacity in percent: whatever the page has set, nothing shines through,
// masks or mixes.
func appendState(dst []byte, opacity int) []byte {
	dst = append(dst, "<</Type/ExtGState/BM/Normal/SMask/None/AIS false/OP false/op false/TK true/CA "...)
	start := len(dst)
	dst = appendPercent(dst, opacity)
	share := dst[start:]
	dst = append(dst, "/ca "...)
	dst = append(dst, share...)
	return append(dst, ">>"...)
}

func appendPercent(dst []byte, v int) []byte {
	if v >= 100 {
		return append(dst, '1')
	}
	return append(dst, '.', byte('0'+v/10), byte('0'+v%10))
}

// setPack makes the copy's own object stream (ISO 32000-2, 7.5.7), uncompressed.
func (c *Copy) setPack(r Recipe) {
	var body, index []byte
	add := func(number int) {
		if len(c.packs) > 0 {
			body = append(body, '\n')
			index = append(index, ' ')
		}
		c.packs = append(c.packs, number)
		index = strconv.AppendInt(index, int64(number), 10)
		index = append(index, ' ')
		index = strconv.AppendInt(index, int64(len(body)), 10)
	}
	if !c.blank {
		for level := range template.Levels {
			if !c.uses(level) {
				continue
			}
			for tone, t := range c.tones[level] {
				add(c.own.State(level, tone))
				body = appendState(body, t.Opacity)
			}
			add(c.own.State(level, template.Tones-1))
			body = appendState(body, wovenOpacity(level, c.tones[level]))
		}
	}
	add(c.own.Info())
	body = append(body, "<</Producer(Filigree)"...)
	body = append(body, c.t.Info...)
	if len(r.Sealed) > 0 && !c.blank {
		body = append(body, "/"+hidden.Entry+"("...)
		body = base64.RawURLEncoding.AppendEncode(body, r.Sealed)
		body = append(body, ')')
	}
	body = append(body, ">>"...)
	index = append(index, '\n')
	c.pack = append(index, body...)
	c.packFirst = len(index)
}

// uses reports whether any page is at level.
func (c *Copy) uses(level int) bool {
	for _, v := range c.views {
		if v.page.Level == level {
			return true
		}
	}
	return false
}
