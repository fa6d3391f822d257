package mark

import (
	"strconv"
	"strings"
)

// Layout names how a mark's text is put on a page.
type Layout string

// The layouts. An empty one is Diagonal.
const (
	Diagonal Layout = "diagonal" // once, large, along the page's diagonal
	Tiled    Layout = "tiled"    // many times over the whole page
	Header   Layout = "header"   // at the top
	Footer   Layout = "footer"   // at the foot
	Corners  Layout = "corners"  // in each corner
)

// Style is what a mark looks like. The zero value is the default look. Whatever the style, a small line at the foot of
// every page repeats the text where no other part of the mark stands there.
type Style struct {
	Layout Layout
	// Color is #rrggbb in sRGB; empty is the default grey.
	Color string
	// Opacity is how much of what is beneath the mark it covers, in percent from 1 to 100; 0 is the layout's default.
	Opacity int
	// Size is the text's, in points at the page, up to MaxSize; 0 fits the text to the page. Text that would not fit the
	// page at this size is made smaller.
	Size int
	// Pages are the pages that carry the large mark, counted from 1, such as "1-3,7,10-"; empty is all of them.
	Pages string
}

const (
	// MaxSize is the largest size of text, in points.
	MaxSize = 1000

	maxPage   = 1_000_000
	maxRanges = 100
)

// Validate reports what is wrong with the style. Errors are *Error.
func (s Style) Validate() error {
	_, err := s.look()
	return err
}

// look is a style, read.
type look struct {
	layout  Layout
	color   [3]uint8
	opacity int   // 0 is the layout's own
	size    int64 // points; 0 is fitted
	pages   []span
}

// span is a range of pages, both ends in it.
type span struct{ first, last int }

func (s Style) look() (look, error) {
	l := look{layout: s.Layout, color: grey, opacity: s.Opacity, size: int64(s.Size)}
	switch s.Layout {
	case "":
		l.layout = Diagonal
	case Diagonal, Tiled, Header, Footer, Corners:
	default:
		return look{}, refuse("MARK_STYLE_BAD", "the mark has the layout %q: there are diagonal, tiled, header, footer and corners", s.Layout)
	}
	if s.Opacity < 0 || s.Opacity > 100 {
		return look{}, refuse("MARK_STYLE_BAD", "the mark has an opacity of %d %%: it must be from 1 to 100, or 0 for the layout's own", s.Opacity)
	}
	if s.Size < 0 || s.Size > MaxSize {
		return look{}, refuse("MARK_STYLE_BAD", "the mark has a size of %d points: it must be from 1 to %d, or 0 to be fitted to the page", s.Size, MaxSize)
	}
	if s.Color != "" {
		v, err := strconv.ParseUint(strings.TrimPrefix(s.Color, "#"), 16, 32)
		if err != nil || len(s.Color) != 7 || s.Color[0] != '#' {
			return look{}, refuse("MARK_STYLE_BAD", "the mark has the colour %q: write it as #rrggbb, such as #336699", s.Color)
		}
		l.color = [3]uint8{uint8(v >> 16), uint8(v >> 8), uint8(v)}
	}
	var err error
	l.pages, err = parsePages(s.Pages)
	return l, err
}

// parsePages reads a list of pages and ranges of them. An empty list has no spans and means all pages.
func parsePages(list string) ([]span, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	parts := strings.Split(list, ",")
	if len(parts) > maxRanges {
		return nil, refuse("MARK_STYLE_BAD", "the mark names %d ranges of pages, more than %d", len(parts), maxRanges)
	}
	out := make([]span, 0, len(parts))
	for _, part := range parts {
		from, to, ranged := strings.Cut(part, "-")
		first, ok := page(from)
		last, until := first, true
		if ranged && strings.TrimSpace(to) == "" {
			last = maxPage
		} else if ranged {
			last, until = page(to)
		}
		if !ok || !until || last < first {
			return nil, refuse("MARK_STYLE_BAD", "the mark names the pages %q: write pages and ranges counted from 1, such as 1-3,7,10-", list)
		}
		out = append(out, span{first, last})
	}
	return out, nil
}

func page(s string) (int, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
	return int(n), err == nil && n >= 1 && n <= maxPage
}

// large reports whether page number carries the large mark.
func (l *look) large(number int) bool {
	for _, s := range l.pages {
		if number >= s.first && number <= s.last {
			return true
		}
	}
	return len(l.pages) == 0
}
