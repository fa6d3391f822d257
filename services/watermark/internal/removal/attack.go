package removal

import (
	"context"
	"fmt"
	"os"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
)

// Attack is a way to rid any PDF of its watermarks.
type Attack struct {
	Name string
	// Run writes to out what the attack leaves of in. Where it finds nothing, that is a copy.
	Run func(ctx context.Context, in, out string) error

	prepare preparation
	edits   []func(*document)
}

// preparation is what is done to the file before its contents are looked at.
type preparation struct {
	name string
	// qpdf is its arguments; none leaves the file as it is.
	qpdf []string
	// pdfcpu has its stamps removed after that.
	pdfcpu bool
}

// preparations are tried before each attack.
func preparations() []preparation {
	return []preparation{
		{name: ""},
		{name: "coalesced", qpdf: []string{"--coalesce-contents"}},
		{name: "coalesced and normalised", qpdf: []string{"--coalesce-contents", "--normalize-content=y"}},
		{name: "coalesced into QDF", qpdf: []string{"--coalesce-contents", "--qdf"}},
	}
}

// way is one attack on contents.
type way struct {
	name string
	edit func(*document)
}

func ways() []way {
	return []way{
		{"annotations", dropAnnotations},
		{"layers", dropLayers},
		{"artifacts", dropArtifacts},
		{"first stream", dropStream(false)},
		{"last stream", dropStream(true)},
		{"first group", dropGroup(false)},
		{"last group", dropGroup(true)},
		{"rotated text", dropRotated},
		{"transparent text", dropSheer},
		{"painted paths", dropPaths(onPage, inForm)},
		{"painted paths, patterns and glyphs too", dropPaths(onPage, inForm, inPattern, inGlyph)},
		{"image masks", dropMasks},
		{"repeated lines", dropLines},
		{"repeated instructions", dropInstructions},
		{"repeated objects", dropObjects},
	}
}

// Attacks returns the fixed list: every way alone and together with dropping the forms that most pages share, on the
// copy as it is and after qpdf coalesced each page's contents.
func Attacks() []Attack {
	forms := way{"forms", dropForms}
	var attacks []Attack
	for _, p := range preparations() {
		attacks = append(attacks, newAttack(p, forms))
		for _, w := range ways() {
			attacks = append(attacks, newAttack(p, w), newAttack(p, w, forms))
		}
		p.pdfcpu = true
		attacks = append(attacks, newAttack(p), newAttack(p, forms))
	}
	return attacks
}

// AllAtOnce returns what is no part of the criterion, since it leaves little of any document: every way in a row, and
// those that a document of text and photographs survives.
func AllAtOnce() []Attack {
	p := preparation{pdfcpu: true}
	all := append(ways(), way{"forms", dropForms})
	gentle := []way{
		{"annotations", dropAnnotations}, {"layers", dropLayers}, {"artifacts", dropArtifacts}, {"rotated text", dropRotated},
		{"transparent text", dropSheer}, {"paths", dropPaths(onPage, inForm)}, {"masks", dropMasks}, {"forms", dropForms},
	}
	a, b := newAttack(p, all...), newAttack(p, gentle...)
	a.Name = "all at once"
	b.Name = "all that spare upright text and images, at once"
	return []Attack{a, b}
}

func newAttack(p preparation, ways ...way) Attack {
	a := Attack{prepare: p}
	for _, w := range ways {
		if a.Name != "" {
			a.Name += " and "
		}
		a.Name += w.name
		a.edits = append(a.edits, w.edit)
	}
	if p.pdfcpu {
		a.Name = joined("pdfcpu stamp remove", a.Name, " and ")
	}
	a.Name = joined(p.name, a.Name, ": ")
	a.Run = a.run
	return a
}

func joined(a, b, by string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + by + b
}

func (a Attack) run(ctx context.Context, in, out string) error {
	prepared := out + ".prepared"
	defer func() { _ = os.Remove(prepared) }() // none is left if there was an error
	err := a.prepare.run(ctx, in, prepared)
	if err != nil {
		return err
	}
	d, err := load(ctx, prepared)
	if err != nil {
		return err
	}
	a.edit(d)
	return d.save(ctx, out)
}

func (a Attack) edit(d *document) {
	for _, e := range a.edits {
		e(d)
	}
}

// noObjectStreams has qpdf write what load can read.
const noObjectStreams = "--object-streams=disable"

// run writes the prepared file.
func (p preparation) run(ctx context.Context, in, out string) error {
	_, err := run(ctx, "qpdf", append(append([]string{noObjectStreams}, p.qpdf...), in, out)...)
	if err != nil || !p.pdfcpu {
		return err
	}
	_ = removeStamps(out) // where pdfcpu finds no stamp, or cannot read the file, its attack does nothing
	return nil
}

// removeStamps has pdfcpu remove its stamps from a file, or leaves it as it is.
func removeStamps(path string) (err error) {
	defer func() {
		r := recover()
		if r != nil {
			err = fmt.Errorf("pdfcpu panicked: %v", r)
		}
	}()
	api.DisableConfigDir()
	conf := model.NewDefaultConfiguration()
	conf.ValidationMode = model.ValidationRelaxed
	conf.WriteObjectStream, conf.WriteXRefStream = false, false
	out := path + ".pdfcpu"
	err = api.RemoveWatermarksFile(path, out, nil, conf)
	if err != nil {
		_ = os.Remove(out) // none is there, as a rule
		return err
	}
	return os.Rename(out, path)
}
