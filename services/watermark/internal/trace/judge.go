package trace

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
)

// Key is what one key of a ring is to ids.
type Key struct {
	MAC  []byte // makes ids
	Seal []byte // seals metadata; 32 bytes
}

// Keys returns those of a ring whose number is number modulo 256; none if there is no such.
type Keys func(number uint8) []Key

// Finder knows copies.
type Finder interface {
	// Find returns whose copies have the number: none if it knows none.
	Find(ctx context.Context, number uint64) ([]hidden.About, error)
}

// maxUnread is on how many shapes that say nothing time is spent: each is tried in many ways.
const maxUnread = 500

// Judge verifies what was found. find may be nil. When a lookup fails, the result is whole but for names.
func Judge(ctx context.Context, f Findings, keys Keys, find Finder) (Result, error) {
	j := judge{keys: keys, known: map[uint8][]Key{}, copies: map[uint64]*Copy{}, about: map[uint64][]hidden.About{}}
	r := Result{Pages: f.Pages, Cut: f.Cut}
	for _, sealed := range f.Sealed {
		j.metadata(sealed)
	}
	err := j.shapes(ctx, f.Shapes)
	if err != nil {
		return Result{}, err
	}
	r.Cut = r.Cut || j.unread > maxUnread
	r.Doubts = j.doubts
	err = j.name(ctx, find)
	for _, number := range j.order {
		r.Copies = append(r.Copies, *j.copies[number])
	}
	r.Outcome = outcome(r)
	return r, err
}

// outcome says what copies and doubts come to.
func outcome(r Result) Outcome {
	switch {
	case len(r.Copies) > 1 || len(r.Copies) == 1 && len(r.Copies[0].Who) > 1:
		return Ambiguous
	case len(r.Copies) == 1:
		return Match
	}
	for _, o := range []Outcome{Forged, UnknownKey, Damaged} {
		if slices.ContainsFunc(r.Doubts, func(e Evidence) bool { return e.Outcome == o }) {
			return o
		}
	}
	return None
}

type judge struct {
	keys   Keys
	known  map[uint8][]Key
	copies map[uint64]*Copy
	order  []uint64 // of copies, as they were found
	about  map[uint64][]hidden.About
	doubts []Evidence
	unread int
}

func (j *judge) keysOf(number uint8) []Key {
	keys, asked := j.known[number]
	if !asked {
		keys = j.keys(number)
		j.known[number] = keys
	}
	return keys
}

func (j *judge) verify(id hidden.ID) bool {
	return slices.ContainsFunc(j.keysOf(id.Key), func(k Key) bool { return id.Verify(k.MAC) })
}

func (j *judge) metadata(sealed []byte) {
	key, ok := hidden.SealedKey(sealed)
	if !ok {
		j.doubt(Evidence{Channel: Metadata, Outcome: Damaged}, 0)
		return
	}
	keys := j.keysOf(key)
	if len(keys) == 0 {
		j.doubt(Evidence{Channel: Metadata, Outcome: UnknownKey, Key: key}, 0)
		return
	}
	for _, k := range keys {
		about, err := hidden.Open(k.Seal, sealed)
		if err != nil {
			continue
		}
		number, ok := hidden.NumberOf(about.Artifact)
		if !ok {
			continue
		}
		j.match(number, Evidence{Channel: Metadata, Key: key}, 0)
		if !slices.Contains(j.about[number], about) {
			j.about[number] = append(j.about[number], about)
		}
		return
	}
	// Whether it was made up or broke cannot be told apart.
	j.doubt(Evidence{Channel: Metadata, Outcome: Damaged, Key: key}, 0)
}

// shapes reads those first that are as we draw them, so that nobody hides them behind many that are not.
func (j *judge) shapes(ctx context.Context, all []Shape) error {
	var blurred []int
	for i := range all {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r, ok := read(&all[i])
		switch {
		case !ok:
		case r.Clear():
			j.shape(&all[i], r)
		default:
			blurred = append(blurred, i)
		}
	}
	j.unread = 0
	for _, i := range blurred {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if j.unread > maxUnread {
			break
		}
		r, _ := read(&all[i])
		j.shape(&all[i], r)
	}
	return nil
}

func read(s *Shape) (hidden.Reading, bool) {
	if s.Ribbon {
		return hidden.MatchRibbon(s.Points.All())
	}
	return hidden.MatchStrip(s.Points.All())
}

// shape judges a shape that was read as r.
func (j *judge) shape(s *Shape, r hidden.Reading) {
	if !s.Ribbon {
		j.reading(r, Strokes, s.Page)
		return
	}
	id, ours := j.reading(r, Ribbon, s.Page)
	glyphs := hidden.ReadGlyphs(r.Frame, s.Glyphs.All())
	own, _, ok := glyphs.ID(j.verify)
	switch {
	case ok && j.verify(own):
		j.match(own.Number, Evidence{Channel: Glyphs, Key: own.Key}, s.Page)
	case ours && agrees(glyphs, id):
		j.match(id.Number, Evidence{Channel: Glyphs, Key: id.Key}, s.Page)
	}
}

// agrees reports whether glyphs too few to say whose copy it is say beyond chance that it is this one's: one symbol in
// 256 agrees by itself.
func agrees(glyphs hidden.Reading, id hidden.ID) bool {
	agree, known := glyphs.Agree(id.Codeword())
	return agree >= 4 && 2*agree >= known || agree >= 2 && agree == known
}

// reading decodes r and reports whose it is, if it is ours.
func (j *judge) reading(r hidden.Reading, channel Channel, page int) (hidden.ID, bool) {
	id, _, ok := r.ID(j.verify)
	e := Evidence{Channel: channel, Number: text(id.Number), Key: id.Key}
	switch {
	case !ok:
		j.unread++
		j.doubt(Evidence{Channel: channel, Outcome: Damaged}, page)
	case j.verify(id):
		j.match(id.Number, e, page)
		return id, true
	case len(j.keysOf(id.Key)) == 0:
		e.Outcome = UnknownKey
		j.doubt(e, page)
	default:
		e.Outcome = Forged
		j.doubt(e, page)
	}
	return hidden.ID{}, false
}

func text(number uint64) string { return fmt.Sprintf("%012x", number) }

func (j *judge) match(number uint64, e Evidence, page int) {
	c := j.copies[number]
	if c == nil {
		c = &Copy{Number: text(number)}
		j.copies[number] = c
		j.order = append(j.order, number)
	}
	e.Outcome, e.Number = Match, text(number)
	c.Evidence = add(c.Evidence, e, page)
}

func (j *judge) doubt(e Evidence, page int) { j.doubts = add(j.doubts, e, page) }

// add puts a page to what says the same already.
func add(all []Evidence, e Evidence, page int) []Evidence {
	i := slices.IndexFunc(all, func(o Evidence) bool {
		return o.Channel == e.Channel && o.Outcome == e.Outcome && o.Number == e.Number && o.Key == e.Key
	})
	if i < 0 {
		all = append(all, e)
		i = len(all) - 1
	}
	at, there := slices.BinarySearch(all[i].Pages, page)
	if page > 0 && !there {
		all[i].Pages = slices.Insert(all[i].Pages, at, page)
	}
	return all
}

// name finds out whose copies those are. What a copy says of itself tells apart those that share its number.
func (j *judge) name(ctx context.Context, find Finder) error {
	var failed error
	for _, number := range j.order {
		c := j.copies[number]
		c.Who = j.about[number]
		if find == nil {
			continue
		}
		found, err := find.Find(ctx, number)
		if err != nil {
			failed = cmp.Or(failed, fmt.Errorf("look up %s: %w", c.Number, err))
			continue
		}
		if len(c.Who) == 0 {
			c.Who = distinctCopies(found)
			continue
		}
		for i, who := range c.Who {
			same := slices.IndexFunc(found, func(a hidden.About) bool { return a.Artifact == who.Artifact })
			if same >= 0 {
				c.Who[i] = complete(who, found[same])
			}
		}
	}
	return failed
}

// distinctCopies leaves out what is recorded twice.
func distinctCopies(all []hidden.About) []hidden.About {
	var out []hidden.About
	for _, a := range all {
		if !slices.ContainsFunc(out, func(o hidden.About) bool { return o.Artifact == a.Artifact }) {
			out = append(out, a)
		}
	}
	return out
}

// complete fills what a lacks from b.
func complete(a, b hidden.About) hidden.About {
	a.Production = cmp.Or(a.Production, b.Production)
	a.Distribution = cmp.Or(a.Distribution, b.Distribution)
	a.Item = cmp.Or(a.Item, b.Item)
	a.Name = cmp.Or(a.Name, b.Name)
	a.Email = cmp.Or(a.Email, b.Email)
	if a.Time.IsZero() {
		a.Time = b.Time
	}
	return a
}
