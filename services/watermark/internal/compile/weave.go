package compile

import (
	"github.com/filigreehq/filigree/services/watermark/internal/content"
	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// small is, in square points, what hides no woven mark: a fifth of the strokes.
const small = 100

// weave cuts a page's content where a copy draws something: the strokes between what the page paints, at a place where
// nothing to speak of is painted over them afterwards; behind the page's own content, the picture; at the end, the large
// mark. Where there is no such place the strokes come behind the content, too.
//
// Never are both in the group that encloses the page's own content. Somebody who drops that group loses what the page
// paints, but there are pages that paint nothing that is seen: all they show is in annotations, or nothing at all.
func (b *builder) weave(number int, p *Page) error {
	data, err := b.source.Content(p)
	if err != nil {
		return err
	}
	e := content.Enclose(data, content.View{
		Area:  (p.Box[2] - p.Box[0]) * (p.Box[3] - p.Box[1]),
		Small: small / (p.Unit * p.Unit),
		Image: func(name string) bool { return b.isImage(p.Resources.XObjects[pdf.Name(name)]) },
	})
	strokes := template.Piece{Kind: template.Strokes, Page: number}
	var pieces []template.Piece
	place, ok := choose(e.Places)
	if ok {
		enter, leave := []byte("\n"), []byte(nil)
		back, ok := place.CTM.Invert()
		if ok && back != (content.Matrix{1, 0, 0, 1, 0, 0}) {
			// On one line with the strokes, so that none is like another page's: where such a line went, poppler would give
			// up at the Q that is left, and not show what comes behind.
			enter = append(back.Append(append(enter, "q "...)), " cm "...)
			leave = []byte("Q\n")
		}
		pieces = append(pieces, b.deflater.Piece(e.Content[:place.At], enter), strokes, b.deflater.Piece(leave, e.Content[place.At:]))
	} else {
		pieces = append(pieces, b.deflater.Piece(e.Content), strokes)
	}
	pieces = append(pieces, template.Piece{Kind: template.Picture, Page: number})
	pieces = append(pieces, template.Piece{Kind: template.Top, Page: number})
	s := &pdf.Stream{Dict: pdf.Dict{"Filter": pdf.Name("FlateDecode")}}
	b.woven[s] = pieces
	page, ok := b.doc.Get(p.Ref).(pdf.Dict)
	if !ok {
		return broken("a page is no dictionary")
	}
	page["Contents"] = b.doc.Add(s)
	page["Resources"] = b.resources(p.Resources)
	return nil
}

// choose picks a place as far from both ends as there is one.
func choose(places []content.Place) (p content.Place, ok bool) {
	if len(places) == 0 {
		return p, false
	}
	return places[len(places)/2], true
}

// isImage reports whether o leads to an image.
func (b *builder) isImage(o pdf.Object) bool {
	ref, ok := o.(pdf.Ref)
	if !ok {
		return false
	}
	s, ok := b.doc.Get(ref).(*pdf.Stream)
	return ok && s.Dict["Subtype"] == pdf.Name("Image")
}
