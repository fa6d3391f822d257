package compile

import (
	"fmt"
	"slices"

	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"

	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
)

// catalogKeys are what is taken over of a catalogue. Pages is written anew.
var catalogKeys = []string{
	"PageLabels", "Dests", "ViewerPreferences", "PageLayout", "Outlines", "AcroForm", "StructTreeRoot", "MarkInfo", "Lang",
	"OutputIntents", "OCProperties",
}

func (c *converter) catalog(root types.Dict) pdf.Dict {
	out := pdf.Dict{"Type": pdf.Name("Catalog")}
	for _, key := range catalogKeys {
		value, has := root[key]
		if !has {
			continue
		}
		o := c.object(value, below[types.Name(key)], 0)
		if o != nil {
			out[pdf.Name(key)] = o
		}
	}
	// Of the name trees only the one of destinations.
	if tree, has := c.dict(root["Names"])["Dests"]; has {
		o := c.object(tree, general, 0)
		if o != nil {
			out["Names"] = pdf.Dict{"Dests": o}
		}
	}
	for key, tree := range c.dict(root["Names"]) {
		// Writers like to put down a tree of attached files with nothing in it, and nobody misses that.
		if !c.bare(tree) {
			c.notes.dropped(key)
		}
	}
	for _, key := range []string{"AA", "AF"} {
		if root[key] != nil {
			c.notes.dropped(key)
		}
	}
	if open := c.dict(root["OpenAction"]); open != nil {
		c.forbidden(open) // for the note
	}
	if mode := c.name(root["PageMode"]); slices.Contains([]string{"UseOutlines", "UseThumbs", "FullScreen", "UseOC"}, mode) {
		out["PageMode"] = pdf.Name(mode)
	}
	return out
}

// maxTitle is how many bytes of a title are kept.
const maxTitle = 1 << 10

// title is the document's title (ISO 32000-2, 14.3.3), which is all that is taken over of its information.
func (c *converter) title() pdf.String {
	if c.from.Info == nil {
		return nil
	}
	title, ok := c.object(c.resolve(c.dict(*c.from.Info)["Title"]), general, 0).(pdf.String)
	if !ok || len(title) > maxTitle {
		return nil
	}
	return title
}

// What is lost with a copy.
const (
	noteSignatures = "signatures"
	noteScripts    = "scripts"
	noteActions    = "actions"
	noteFiles      = "files"
	noteMedia      = "media"
	noteForm       = "form"
)

// notes counts what was left out.
type notes map[string]int

func (n notes) add(what string) { n[what]++ }

func (n notes) dropped(key string) {
	switch key {
	case "JS", "JavaScript", "AA":
		n.add(noteScripts)
	case "EmbeddedFiles", "AF", "EF":
		n.add(noteFiles)
	case "XFA":
		n.add(noteForm)
	}
}

func (n notes) sentences() []string {
	var out []string
	say := func(what, sentence string) {
		if n[what] > 0 {
			out = append(out, sentence)
		}
	}
	switch {
	case n[noteSignatures] > 1:
		out = append(out, fmt.Sprintf("%d signatures lose their value in a copy and are left out", n[noteSignatures]))
	case n[noteSignatures] == 1:
		out = append(out, "1 signature loses its value in a copy and is left out")
	}
	say(noteScripts, "scripts are left out")
	say(noteActions, "links that start programs, open other files or send forms are left out")
	say(noteFiles, "attached files are left out")
	say(noteMedia, "sound, film and 3D are left out")
	say(noteForm, "the form's XFA part is left out; its ordinary fields stay")
	return out
}
