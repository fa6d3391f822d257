package removal_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// generated writes documents as productions send them, each with what makes another attack easy: a script is text
// alone, a schedule is of paths, a scan is one image, and an empty page has nothing a mark could hide in.
func generated(t *testing.T) []source {
	t.Helper()
	dir := t.TempDir()
	var list []source
	add := func(name string, sheets []sheet, extra ...string) {
		path := filepath.Join(dir, name)
		writePDF(t, path, "", sheets, extra...)
		list = append(list, source{name, path})
	}
	add("script.pdf", script())
	add("schedule.pdf", schedule())
	add("scan.pdf", scan(), scanned(0), scanned(1))
	add("letterhead.pdf", letterhead(), form("", "0.2 0.3 0.6 rg 72 730 200 20 re f BT /T 9 Tf 72 715 Td (Filigree Pictures) Tj ET"))
	add("empty.pdf", []sheet{{contents: []string{""}}, {}})
	add("turned.pdf", turned())
	return list
}

// script has the layout of a screenplay: many short lines, headers and page numbers on each page.
func script() []sheet {
	var sheets []sheet
	for page := range 6 {
		var b strings.Builder
		fmt.Fprintf(&b, "BT /T%d 12 Tf 480 750 Td (%d.) Tj ET\n", page, page+1)
		fmt.Fprintf(&b, "BT\n/T%d 12 Tf\n12 TL\n108 720 Td\n", page)
		for line := range 50 {
			switch line % 7 {
			case 0:
				fmt.Fprintf(&b, "(INT. KITCHEN %d - NIGHT) Tj T*\n", page*10+line)
			case 2:
				b.WriteString("108 0 Td (MARA) Tj -108 0 Td T*\n")
			case 3, 4:
				fmt.Fprintf(&b, "72 0 Td (Nobody told me %d times.) Tj -72 0 Td T*\n", line+page)
			default:
				b.WriteString("T*\n")
			}
		}
		b.WriteString("ET\n")
		sheets = append(sheets, sheet{contents: []string{b.String()}})
	}
	return sheets
}

// schedule is a table: lines, grey rows, text in the cells, one page.
func schedule() []sheet {
	var b strings.Builder
	for row := range 30 {
		y := 740 - 22*row
		if row%2 == 0 {
			fmt.Fprintf(&b, "0.9 g 50 %d 512 22 re f 0 g\n", y)
		}
		fmt.Fprintf(&b, "0.5 w 50 %d m 562 %d l S\n", y, y)
		fmt.Fprintf(&b, "BT /T0 10 Tf 56 %d Td (%02d:%02d) Tj 80 0 Td (Scene %d) Tj 100 0 Td (Mara, Ivo) Tj ET\n", y+7, 6+row/2, row%2*30, row+1)
	}
	return []sheet{{contents: []string{b.String()}}}
}

// scan has an image on each page and nothing else.
func scan() []sheet {
	var sheets []sheet
	for page := range 2 {
		sheets = append(sheets, sheet{
			contents:  []string{"q 612 0 0 792 0 0 cm /Scan Do Q"},
			resources: fmt.Sprintf("/XObject << /Scan %d 0 R >>", 4+page),
		})
	}
	return sheets
}

// scanned is an image as a scanner makes it: paper that is not quite white, and dark lines.
func scanned(page int) string {
	const width, height = 306, 396
	data := make([]byte, 0, width*height)
	for y := range height {
		for x := range width {
			grey := byte(235 + (x*7+y*13+x*y)%17)
			if y > 30 && y < 370 && y%12 < 5 && x > 30 && (x*31+y/12*17+page*5)%11 < 6 && x < 270 {
				grey = byte(30 + x%20)
			}
			data = append(data, grey)
		}
	}
	return stream(fmt.Sprintf("/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8", width, height), string(data))
}

// letterhead has a form of its own on each page, and its content in streams.
func letterhead() []sheet {
	var sheets []sheet
	for page := range 3 {
		sheets = append(sheets, sheet{
			contents:  []string{"q /Head Do Q\n", "q\n", ownText(page), "Q\n"},
			resources: "/XObject << /Head 4 0 R >>",
		})
	}
	return sheets
}

// turned has pages that are shown turned, and one that is cut.
func turned() []sheet {
	var sheets []sheet
	for page, entries := range []string{"/Rotate 90", "/Rotate 180", "/CropBox [50 100 500 600]"} {
		sheets = append(sheets, sheet{contents: []string{ownText(page)}, entries: entries})
	}
	return sheets
}
