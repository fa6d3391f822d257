package samples

import (
	"fmt"
	"strings"

	"github.com/go-pdf/fpdf"
)

// The page of a screenplay: Courier 12, ten letters to the inch, six lines to the inch.
const (
	inch     = 72.0
	letter   = 7.2
	lead     = 12.0
	pageRows = 54
	topRow   = 1.15 * inch
)

// layouts are the margins of each kind, in inches from the left and letters wide.
var layouts = map[kind]struct {
	left  float64
	width int
}{
	heading: {1.5, 58}, action: {1.5, 60}, cue: {3.7, 36}, parenthetical: {3.1, 26}, dialogue: {2.5, 35}, transition: {5.5, 20},
}

// A row is one line on a page.
type row struct {
	kind  kind
	text  string
	scene int // of a heading
}

// Draft is the screenplay as its n-th draft: another document for each n, of the same length.
func Draft(n int) ([]byte, error) { return screenplay(fmt.Sprint("DRAFT ", n)) }

// script makes the screenplay.
func script() ([]byte, error) { return screenplay("FULL BLUE DRAFT") }

func screenplay(draft string) ([]byte, error) {
	doc := newDocument("P", "The Lamplighters")
	latin := doc.UnicodeTranslatorFromDescriptor("")
	titlePage(doc, latin, draft)
	for i, page := range paginate(newWriter().write()) {
		doc.AddPage()
		doc.SetFont("Courier", "", 12)
		number := fmt.Sprintf("%d.", i+1)
		if i > 0 { // the first page has none, by custom
			doc.Text(7.5*inch-letter*float64(len(number)), 0.6*inch, number)
		}
		for j, r := range page {
			y := topRow + lead*float64(j)
			l := layouts[r.kind]
			x := l.left * inch
			if r.kind == transition {
				x = 7.5*inch - letter*float64(len(r.text))
			}
			if r.scene > 0 {
				n := fmt.Sprint(r.scene)
				doc.Text(1.0*inch-letter*float64(len(n))+letter, y, n)
				doc.Text(7.5*inch-letter*float64(len(n)), y, n)
			}
			doc.Text(x, y, latin(r.text))
		}
	}
	return finish(doc)
}

func titlePage(doc *fpdf.Fpdf, latin func(string) string, draft string) {
	doc.AddPage()
	center := func(y float64, size float64, style, text string) {
		doc.SetFont("Courier", style, size)
		text = latin(text)
		doc.Text((8.5*inch-doc.GetStringWidth(text))/2, y, text)
	}
	center(3.4*inch, 24, "B", "THE LAMPLIGHTERS")
	center(4.0*inch, 12, "", "Original screenplay by")
	center(4.35*inch, 12, "", "N. Q. Example")
	center(5.4*inch, 12, "", draft)
	center(5.65*inch, 12, "", "2 November 2026")
	doc.SetFont("Courier", "", 10)
	for i, line := range []string{
		"Saltmarrow Pictures", "14 Chandler's Row, Saltmarrow", "office@saltmarrow.example.com", "555-0114",
		"", "CONFIDENTIAL. This copy is for the person it is marked for, and for nobody else.",
	} {
		doc.Text(1.5*inch, 8.9*inch+lead*float64(i), latin(line))
	}
}

// paginate breaks a screenplay into pages: a heading stays with what follows, a cue with its speech, and a speech that is
// cut says so on both pages.
func paginate(elements []element) [][]row {
	var (
		pages [][]row
		page  []row
		scene int
	)
	turn := func() {
		pages = append(pages, page)
		page = nil
	}
	put := func(rows ...row) { page = append(page, rows...) }
	blank := func(n int) {
		for range n {
			if len(page) > 0 {
				put(row{})
			}
		}
	}
	for i := 0; i < len(elements); i++ {
		e := elements[i]
		switch e.kind {
		case heading:
			scene++
			rows := wrap(e)
			if len(page)+2+len(rows)+4 > pageRows {
				turn()
			}
			blank(2)
			rows[0].scene = scene
			put(rows...)
		case action, transition:
			rows := wrap(e)
			if len(page)+1+len(rows) > pageRows {
				turn()
			}
			blank(1)
			put(rows...)
		case cue:
			speech := []row{}
			for i+1 < len(elements) && (elements[i+1].kind == dialogue || elements[i+1].kind == parenthetical) {
				i++
				speech = append(speech, wrap(elements[i])...)
			}
			room := pageRows - len(page) - 2
			switch {
			case len(speech) <= room:
				blank(1)
				put(row{kind: cue, text: e.text})
				put(speech...)
			case room >= 4 && len(speech) >= room+1 && speech[room-2].kind == dialogue:
				blank(1)
				put(row{kind: cue, text: e.text})
				put(speech[:room-1]...)
				put(row{kind: cue, text: "(MORE)"})
				turn()
				put(row{kind: cue, text: e.text + " (CONT'D)"})
				put(speech[room-1:]...)
			default:
				turn()
				put(row{kind: cue, text: e.text})
				put(speech...)
			}
		}
	}
	turn()
	return pages
}

// wrap breaks an element into rows of its kind's width.
func wrap(e element) []row {
	if strings.HasPrefix(e.text, " ") {
		return []row{{kind: e.kind, text: e.text}} // placed by hand
	}
	var rows []row
	line := ""
	for _, word := range strings.Fields(e.text) {
		if line != "" && len(line)+1+len(word) > layouts[e.kind].width {
			rows = append(rows, row{kind: e.kind, text: line})
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(rows, row{kind: e.kind, text: line})
}
