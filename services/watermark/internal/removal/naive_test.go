package removal_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// sheet is a page to be written.
type sheet struct {
	contents []string
	// resources and fonts, beside Helvetica, and entries of the page.
	resources, fonts, entries string
}

// writePDF writes a document. Objects 1 to 3 are the catalog, the tree of pages and Helvetica; extra ones come next, so
// that the first is 4.
func writePDF(t *testing.T, path, catalog string, sheets []sheet, extra ...string) {
	t.Helper()
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R " + catalog + ">>", "",
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	objects = append(objects, extra...)
	var kids []string
	for i, s := range sheets {
		var refs []string
		for _, c := range s.contents {
			objects = append(objects, stream("", c))
			refs = append(refs, fmt.Sprintf("%d 0 R", len(objects)))
		}
		objects = append(objects, fmt.Sprintf(
			"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents [%s] /Resources << /Font << /T%d 3 0 R %s >> %s >> %s >>",
			strings.Join(refs, " "), i, s.fonts, s.resources, s.entries))
		kids = append(kids, fmt.Sprintf("%d 0 R", len(objects)))
	}
	objects[1] = fmt.Sprintf("<< /Type /Pages /Count %d /Kids [%s] >>", len(kids), strings.Join(kids, " "))
	var b strings.Builder
	b.WriteString("%PDF-1.7\n")
	var table strings.Builder
	for i, o := range objects {
		fmt.Fprintf(&table, "%010d 00000 n \n", b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n",
		len(objects)+1, table.String(), len(objects)+1, start)
	err := os.WriteFile(path, []byte(b.String()), 0o600)
	if err != nil {
		t.Fatal(err)
	}
}

func stream(entries, data string) string {
	return fmt.Sprintf("<< /Length %d %s >>\nstream\n%s\nendstream", len(data), entries, data)
}

// ownText is the content of a page of text alone, no line of which is on another page.
func ownText(page int) string {
	var b strings.Builder
	for line := range 40 {
		fmt.Fprintf(&b, "BT /T%d 11 Tf 72 %.2f Td (Page %d, line %d: nobody else has these words, number %d.) Tj ET\n",
			page, 720-15*float64(line)-float64(page)/7, page, line, page*1000+line)
	}
	return b.String()
}

// naive is a watermark as simple tools make them, which one kind of attack takes off without a trace.
type naive struct {
	name   string
	attack string
	// add makes a sheet of its own text a marked one.
	add     func(s *sheet, page int)
	catalog string
	extra   []string
	// raw is for marks that are not to be had after qpdf coalesced the contents.
	raw bool
}

const (
	helvetica = " /Resources << /Font << /T 3 0 R >> >> "
	bigText   = "BT /T 60 Tf 150 400 Td (CONFIDENTIAL) Tj ET"
	square    = "0.8 g 150 300 300 200 re f"
)

func form(entries, data string) string {
	return stream("/Type /XObject /Subtype /Form /BBox [0 0 612 792]"+helvetica+entries, data)
}

// after puts content behind the page's own, in its stream.
func after(format string, perPage bool) func(*sheet, int) {
	return func(s *sheet, page int) {
		text := strings.ReplaceAll(format, "/T ", fmt.Sprintf("/T%d ", page))
		if perPage {
			text = strings.ReplaceAll(text, "400 Td", fmt.Sprintf("%d Td", 400+page))
			text = strings.ReplaceAll(text, "300 300 200 re", fmt.Sprintf("300 300 %d re", 200+page))
		}
		s.contents[0] += text + "\n"
	}
}

func drawing(resources, entries string, text string) func(*sheet, int) {
	return func(s *sheet, _ int) {
		s.resources += resources
		s.entries += entries
		s.contents[0] += text + "\n"
	}
}

const group = "<< /Type /OCG /Name (Watermark) >>"

var naives = []naive{
	{
		name: "an annotation", attack: "annotations",
		add:   drawing("", "/Annots [<< /Type /Annot /Subtype /Stamp /F 4 /Rect [0 0 612 792] /AP << /N 4 0 R >> >>]", ""),
		extra: []string{form("", bigText)},
	},
	{
		name: "content of a layer", attack: "layers",
		add:     drawing("/Properties << /Layer 4 0 R >>", "", "/OC /Layer BDC q "+square+" Q EMC"),
		catalog: "/OCProperties << /OCGs [4 0 R] /D << /ON [4 0 R] >> >> ", extra: []string{group},
	},
	{
		name: "a form of a layer", attack: "layers",
		add:     drawing("/XObject << /Mark 5 0 R >>", "", "q /Mark Do Q"),
		catalog: "/OCProperties << /OCGs [4 0 R] /D << /ON [4 0 R] >> >> ", extra: []string{group, form("/OC 4 0 R", bigText)},
	},
	{
		name: "an annotation of a layer", attack: "layers",
		add:     drawing("", "/Annots [<< /Type /Annot /Subtype /Stamp /OC 4 0 R /F 4 /Rect [0 0 612 792] /AP << /N 5 0 R >> >>]", ""),
		catalog: "/OCProperties << /OCGs [4 0 R] /D << /ON [4 0 R] >> >> ", extra: []string{group, form("", bigText)},
	},
	{
		name: "an artifact", attack: "artifacts",
		add: after("q /Artifact << /Subtype /Watermark /Type /Pagination >> BDC /Span BMC "+square+" "+bigText+" EMC EMC Q", false),
	},
	{
		name: "one form for all pages", attack: "forms",
		add: drawing("/XObject << /Mark 4 0 R >>", "", "q /Mark Do Q"), extra: []string{form("", square)},
	},
	{
		name: "a form for each page, all alike", attack: "forms",
		add: func(s *sheet, page int) {
			s.resources += fmt.Sprintf("/XObject << /Mark%d %d 0 R >>", page, 4+page)
			s.contents[0] += fmt.Sprintf("q /Mark%d Do Q\n", page)
		},
		extra: []string{form("", square), form("", square), form("", square)},
	},
	{
		name: "a form in a form", attack: "forms",
		add: drawing("/XObject << /Mark 4 0 R >>", "", "q /Mark Do Q"),
		extra: []string{
			stream("/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /In 5 0 R >> >>", "/In Do"),
			form("", bigText),
		},
	},
	{
		name: "a stream before all", attack: "first stream", raw: true,
		add: func(s *sheet, _ int) { s.contents = append([]string{"q " + square + " Q q"}, s.contents[0], "Q") },
	},
	{
		name: "a stream behind all", attack: "last stream", raw: true,
		add: func(s *sheet, _ int) { s.contents = []string{"q", s.contents[0], "Q q " + square + " Q"} },
	},
	{
		name: "a group before all", attack: "first group",
		add: func(s *sheet, _ int) { s.contents = []string{"q " + square + " Q q", s.contents[0], "Q"} },
	},
	{
		name: "a group behind all", attack: "last group",
		add: func(s *sheet, _ int) { s.contents = []string{"q", s.contents[0], "Q q " + square + " Q"} },
	},
	{
		name: "a group behind all, in one more", attack: "last group",
		add: func(s *sheet, _ int) { s.contents[0] = "q q " + s.contents[0] + " Q q " + square + " Q Q" },
	},
	{
		name: "text at a slant", attack: "rotated text",
		add: after("BT /T 60 Tf 0.7 0.7 -0.7 0.7 150 200 Tm (CONFIDENTIAL) Tj ET", false),
	},
	{
		name: "text at a slant by its coordinates, in a form", attack: "rotated text",
		add:   drawing("/XObject << /Mark 4 0 R >>", "", "q 0.7 0.7 -0.7 0.7 150 0 cm /Mark Do Q"),
		extra: []string{form("", bigText)},
	},
	{
		name: "transparent text", attack: "transparent text",
		add: func(s *sheet, page int) {
			s.resources += "/ExtGState << /Sheer << /ca 0.4 >> >>"
			after("q /Sheer gs "+bigText+" Q", true)(s, page)
		},
	},
	{
		name: "a form of text drawn transparently", attack: "transparent text",
		add: drawing("/XObject << /Mark 4 0 R >> /ExtGState << /Sheer << /ca 0.4 >> >>", "", "q /Sheer gs /Mark Do Q"),
		extra: []string{
			form("/Group << /S /Transparency >>", bigText),
		},
	},
	{
		name: "a path, other on each page", attack: "painted paths",
		add: after("q 0.8 g 150 300 300 200 re f 0 0 m 600 700 l 3 w S Q", true),
	},
	{
		name: "a tiling pattern of paths", attack: "painted paths",
		add: drawing("/Pattern << /Tiles 4 0 R >>", "", "q /Pattern cs /Tiles scn 0 0 612 792 re f Q"),
		extra: []string{
			stream("/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 50 50] /XStep 60 /YStep 60 /Resources << >>", "10 10 20 20 re f"),
		},
	},
	{
		name: "a glyph of a font of paths", attack: "painted paths, patterns and glyphs too",
		add: func(s *sheet, _ int) {
			s.fonts = "/Glyphs 4 0 R"
			s.contents[0] += "BT /Glyphs 90 Tf 150 400 Td (a) Tj ET\n"
		},
		extra: []string{
			"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1000 1000] /FontMatrix [0.001 0 0 0.001 0 0] /FirstChar 97 /LastChar 97 " +
				"/Widths [1000] /Encoding << /Type /Encoding /Differences [97 /a] >> /CharProcs << /a 5 0 R >> /Resources << >> >>",
			stream("", "1000 0 0 0 1000 1000 d1 0 0 900 900 re f"),
		},
	},
	{
		name: "an image mask", attack: "image masks",
		add: drawing("/XObject << /Mark 4 0 R >>", "", "q 300 0 0 300 150 200 cm 0.7 g /Mark Do Q"),
		extra: []string{
			stream("/Type /XObject /Subtype /Image /Width 8 /Height 4 /ImageMask true /BitsPerComponent 1", "\xaa\x55\xaa\x55"),
		},
	},
	{
		name: "an image mask within the content", attack: "image masks",
		add: after("q 300 0 0 300 150 200 cm 0.7 g BI /W 8 /H 4 /IM true /BPC 1 ID \xaaEI\x55\nEI Q", false),
	},
	{
		name: "a line on each page", attack: "repeated lines", add: after("q\n"+square+"\nQ", false),
	},
	{
		name: "an instruction on each page", attack: "repeated instructions",
		add: func(s *sheet, page int) {
			s.contents[0] = strings.TrimSpace(s.contents[0]) + fmt.Sprintf(" q %.3f g 150 300 300 200 re f Q\n", 0.7+float64(page)/100)
		},
	},
	{
		name: "an object on each page", attack: "repeated objects",
		add: func(s *sheet, page int) {
			s.contents[0] = strings.TrimSpace(s.contents[0]) + fmt.Sprintf(" q 1 0 0 1 0 %d cm 150 300 300 200 re f Q\n", page)
		},
	},
}

// severalMarks is a form that is an artifact, too, so that several ways lead to the same page.
var severalMarks = naive{
	add:   drawing("/XObject << /Mark 4 0 R >>", "", "/Artifact BMC q /Mark Do Q EMC"),
	extra: []string{form("", "0.8 g 150 300 300 200 re f")},
}

// ownDocument writes three pages of text, and what they are with a mark.
func ownDocument(t *testing.T, unmarked, marked string, n naive) {
	t.Helper()
	var plain, with []sheet
	for page := range 3 {
		plain = append(plain, sheet{contents: []string{ownText(page)}})
		s := sheet{contents: []string{ownText(page)}}
		if n.add != nil {
			n.add(&s, page)
		}
		with = append(with, s)
	}
	writePDF(t, unmarked, "", plain)
	writePDF(t, marked, n.catalog, with, n.extra...)
}
