package removal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Case is a copy and what it would be without a mark.
type Case struct {
	Copy, Unmarked string
	// Dir is for files of the judge's.
	Dir string
	// Pages is how many pages, the first, are looked at; 0 is all.
	Pages int
	// Attacks are tried; those of Attacks if there are none.
	Attacks []Attack
	// Trace, if it is not nil, returns the pages of a file, from 1, that still say whose copy it is.
	Trace func(ctx context.Context, path string) (map[int]bool, error)
}

// Finding is what an attack came to on a page.
type Finding struct {
	Attack string
	Page   int // from 1
	// Did is whether the attack changed anything of the page.
	Did bool
	// Equal is whether the page is, to the pixel, the unmarked one: whether the attack succeeded.
	Equal bool
	// Blank is whether the unmarked page is empty.
	Blank bool
	// Differs is the share of the page that differs visibly from the unmarked one, Visible whether it is enough to be seen
	// by who looks for it, and Plain whether nobody can overlook it.
	Differs        float64
	Visible, Plain bool
	// Traced is whether the page still says whose copy it is.
	Traced bool

	resized bool
}

// Report is what became of a copy.
type Report struct {
	Findings []Finding
	// Pages is how many were looked at.
	Pages int
	// Unmarked are the pages on which the mark is not plain even before an attack, and Resized those that have not the
	// size of the unmarked ones, so that no attack could succeed; counted from 1. Untraced are those that do not say whose
	// copy it is even before an attack.
	Unmarked, Resized, Untraced []int
	// Renders is how many pages had to be rendered: most attacks leave most pages as others do.
	Renders int
}

// maxPixels leaves out pages whose rendering would take all memory there is.
const maxPixels = 40_000_000

// ErrNoReference means that poppler cannot show the unmarked document, so that there is nothing to compare with.
var ErrNoReference = errors.New("no page to compare with")

// judge tells what versions of a copy come to.
type judge struct {
	c       Case
	base    string
	plain   []raster
	skip    []bool
	known   []map[look]Finding
	before  []look
	renders int
}

// Judge tries the attacks on a copy. Pages that are too large to be rendered are not looked at.
func Judge(ctx context.Context, c Case) (Report, error) {
	j, err := newJudge(ctx, c)
	if err != nil {
		return Report{}, err
	}
	var r Report
	for i := range j.plain {
		if j.skip[i] {
			continue
		}
		r.Pages++
		f := j.known[i][j.before[i]]
		if !f.Plain {
			r.Unmarked = append(r.Unmarked, i+1)
		}
		if f.resized {
			r.Resized = append(r.Resized, i+1)
		}
		if !f.Traced {
			r.Untraced = append(r.Untraced, i+1)
		}
	}
	attacks := c.Attacks
	if attacks == nil {
		attacks = Attacks()
	}
	prepared := map[string]*document{}
	for _, a := range attacks {
		p := a.prepare
		key := fmt.Sprint(p.name, p.pdfcpu)
		if prepared[key] == nil {
			clear(prepared) // attacks with one preparation stand together, and documents are large
			file := filepath.Join(c.Dir, "prepared.pdf")
			err = p.run(ctx, j.base, file)
			if err != nil {
				return r, fmt.Errorf("%s: %w", a.Name, err)
			}
			prepared[key], err = load(ctx, file)
			if err != nil {
				return r, fmt.Errorf("%s: %w", a.Name, err)
			}
		}
		d := prepared[key].clone()
		a.edit(d)
		found, err := j.look(ctx, d)
		if err != nil {
			return r, fmt.Errorf("%s: %w", a.Name, err)
		}
		for _, f := range found {
			f.Attack = a.Name
			r.Findings = append(r.Findings, f)
		}
	}
	r.Renders = j.renders
	return r, nil
}

func newJudge(ctx context.Context, c Case) (*judge, error) {
	j := &judge{c: c, base: filepath.Join(c.Dir, "copy.pdf")}
	err := firstPages(ctx, c.Copy, j.base, c.Pages)
	if err != nil {
		return nil, err
	}
	d, err := load(ctx, j.base)
	if err != nil {
		return nil, err
	}
	for i := range d.pages {
		j.known = append(j.known, map[look]Finding{})
		j.before = append(j.before, d.look(i))
		j.skip = append(j.skip, d.tooLarge(i))
		var plain raster
		if !j.skip[i] {
			plain, err = render(ctx, c.Unmarked, i+1)
			if err != nil {
				return nil, errors.Join(ErrNoReference, err)
			}
		}
		j.plain = append(j.plain, plain)
	}
	_, err = j.look(ctx, d)
	return j, err
}

// firstPages writes the first n pages of a document, or all if n is 0, as a document.
func firstPages(ctx context.Context, in, out string, n int) error {
	said, err := run(ctx, "qpdf", "--show-npages", in)
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(strings.TrimSpace(string(said)))
	if err != nil {
		return fmt.Errorf("count pages of %s: %w", in, err)
	}
	if n > 0 {
		count = min(count, n)
	}
	_, err = run(ctx, "qpdf", noObjectStreams, in, "--pages", ".", fmt.Sprintf("1-%d", count), "--", out)
	return err
}

func (d *document) tooLarge(i int) bool {
	page := d.dict(d.pages[i])
	box, ok := d.value(page["/CropBox"]).([]any)
	if !ok {
		box, ok = d.value(page["/MediaBox"]).([]any)
	}
	if !ok || len(box) != 4 {
		return false
	}
	width, height := number(d.value(box[2]))-number(d.value(box[0])), number(d.value(box[3]))-number(d.value(box[1]))
	pixels := width * height * resolution * resolution / 72 / 72
	return pixels > maxPixels || pixels < -maxPixels
}

// look finds out about all pages of a version of the copy. Only those are rendered that look like none before.
func (j *judge) look(ctx context.Context, d *document) ([]Finding, error) {
	var found []Finding
	file := ""
	var traced map[int]bool
	for i := range min(len(j.plain), len(d.pages)) {
		if j.skip[i] {
			continue
		}
		l := d.look(i)
		f, known := j.known[i][l]
		if !known {
			if file == "" {
				file = filepath.Join(j.c.Dir, "attacked.pdf")
				err := d.save(ctx, file)
				if err != nil {
					return nil, err
				}
				traced, err = j.trace(ctx, file)
				if err != nil {
					return nil, err
				}
			}
			r, err := render(ctx, file, i+1)
			if err != nil {
				return nil, err
			}
			j.renders++
			plain := j.plain[i]
			f = Finding{Page: i + 1, Did: l != j.before[i], Equal: r.equal(plain), Differs: r.differs(plain), Blank: plain.blank(), Traced: traced[i+1]}
			f.Visible, f.Plain = f.Differs > seen, f.Differs > plainly
			f.resized = r.width != plain.width || r.height != plain.height
			j.known[i][l] = f
		}
		found = append(found, f)
	}
	return found, nil
}

// trace returns which pages of a file still say whose copy it is.
func (j *judge) trace(ctx context.Context, file string) (map[int]bool, error) {
	if j.c.Trace == nil {
		return nil, nil
	}
	return j.c.Trace(ctx, file)
}
