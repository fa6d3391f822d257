package samples

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"sync"

	"github.com/go-pdf/fpdf"
)

// A plate is one page of the look book: a picture over the whole page, and what is said of it.
type plate struct {
	title, text string
	scene       sky
}

var plates = []plate{
	{"Dusk, first lamp", "The sea is slate before it is blue. One warm point, and everything else gives way to it.", sky{top: rgb{16, 22, 48}, low: rgb{178, 96, 70}, sun: 0.62, town: 0.9, lit: 0.05, sea: rgb{24, 32, 52}}},
	{"The town, lit by hand", "A constellation that a person has made: uneven, low, and at the pace of somebody walking.", sky{top: rgb{8, 12, 34}, low: rgb{58, 54, 92}, town: 1, lit: 0.75, sea: rgb{10, 16, 34}}},
	{"Fog", "Halos, not beams. Nothing has an edge before the third act.", sky{top: rgb{92, 104, 112}, low: rgb{160, 164, 160}, town: 0.55, lit: 0.4, fog: 0.7, sea: rgb{104, 114, 118}}},
	{"Meridian", "White, level, without shadow. The only cold light in the film, and the only one that lies.", sky{top: rgb{150, 190, 214}, low: rgb{228, 238, 242}, sun: 0.3, town: 0.8, lit: 0, sea: rgb{120, 158, 178}}},
	{"The Ardent", "Red is kept for the ships. The audience should look for it in the dark.", sky{top: rgb{4, 6, 14}, low: rgb{44, 20, 24}, ships: 1, town: 0.3, lit: 0.1, rain: 0.5, sea: rgb{6, 8, 16}}},
	{"Dawn on the beach", "Bled of colour. The brass band's ribbon is still on the customs house.", sky{top: rgb{122, 122, 140}, low: rgb{226, 196, 176}, sun: 0.82, town: 0.4, lit: 0, sea: rgb{130, 128, 138}}},
	{"Storm", "We lose the horizon and do not get it back until morning.", sky{top: rgb{12, 16, 20}, low: rgb{38, 48, 54}, town: 0.7, lit: 0.02, rain: 1, ships: 2, sea: rgb{14, 22, 26}}},
	{"The row", "Lamp by lamp into the water. No music here.", sky{top: rgb{6, 8, 20}, low: rgb{26, 30, 52}, town: 0.2, lit: 0.1, row: 14, rain: 0.35, ships: 4, sea: rgb{8, 12, 26}}},
	{"Thin as paper", "Flames in daylight. Four ships, at anchor, facing the same way.", sky{top: rgb{140, 170, 196}, low: rgb{248, 216, 176}, sun: 0.7, row: 14, town: 0.3, ships: 4, sea: rgb{112, 138, 158}}},
	{"One year later", "The globes are good ones. The corner is still ours.", sky{top: rgb{26, 26, 66}, low: rgb{214, 126, 84}, sun: 0.55, town: 1, lit: 0.95, sea: rgb{40, 42, 74}}},
}

// lookBook makes a document that is nearly all pictures: every third one lossless, the others as a camera would give them.
func lookBook() ([]byte, error) {
	doc := newDocument("L", "The Lamplighters: look book")
	latin := doc.UnicodeTranslatorFromDescriptor("")
	const w, h = 11 * inch, 8.5 * inch
	pictures := make([]image.Image, len(plates))
	var painters sync.WaitGroup
	for i, p := range plates {
		painters.Go(func() {
			// JPEG pictures have a camera's grain; the lossless ones are smaller and clean. No two are equally wide,
			// since fpdf writes pictures in the order of their widths, and equal ones in any order.
			if lossless(i) {
				pictures[i] = p.scene.paint(880+i, 680, uint64(i), 0)
			} else {
				pictures[i] = p.scene.paint(1320+i, 1020, uint64(i), 12)
			}
		})
	}
	painters.Wait()
	for i, p := range plates {
		err := place(doc, fmt.Sprintf("plate %02d", i+1), pictures[i], !lossless(i), w, h)
		if err != nil {
			return nil, err
		}
		doc.SetAlpha(0.55, "Normal")
		doc.SetFillColor(0, 0, 0)
		doc.Rect(0, h-92, w, 92, "F")
		doc.SetAlpha(1, "Normal")
		doc.SetTextColor(255, 255, 255)
		if i == 0 {
			doc.SetFont("Times", "B", 46)
			doc.Text(48, 96, "THE LAMPLIGHTERS")
			doc.SetFont("Times", "I", 18)
			doc.Text(50, 124, latin("A look book · Sofía P. & Jürgen W."))
		}
		doc.SetFont("Times", "B", 20)
		doc.Text(48, h-56, latin(p.title))
		doc.SetFont("Times", "I", 13)
		doc.Text(48, h-32, latin(p.text))
		doc.SetFont("Times", "", 10)
		doc.Text(w-64, h-32, fmt.Sprint(i+1))
	}
	return finish(doc)
}

func lossless(i int) bool { return i%3 == 2 }

// place adds a page with a picture over all of it.
func place(doc *fpdf.Fpdf, name string, picture image.Image, jpg bool, w, h float64) error {
	var (
		data bytes.Buffer
		err  error
		kind = "PNG"
	)
	if jpg {
		kind = "JPEG"
		err = jpeg.Encode(&data, picture, &jpeg.Options{Quality: 86})
	} else {
		err = png.Encode(&data, picture)
	}
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	doc.AddPage()
	doc.RegisterImageOptionsReader(name, fpdf.ImageOptions{ImageType: kind}, &data)
	doc.ImageOptions(name, 0, 0, w, h, false, fpdf.ImageOptions{ImageType: kind}, 0, "")
	return doc.Error()
}
