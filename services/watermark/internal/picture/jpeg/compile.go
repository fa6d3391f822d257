package jpeg

import (
	"encoding/binary"
	"io"
	"math"
	"slices"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/pack"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// Inspect reads a picture's headers. Errors are *source.Error, or the reader's.
func Inspect(r io.Reader, limits source.Limits) (source.Report, error) {
	d := newReader(r, limits)
	err := d.read(true)
	if err != nil {
		return source.Report{}, err
	}
	return d.report(), nil
}

// Compile reads a picture and writes its template, see Magic. Errors are *source.Error, or those of r and dst.
func Compile(r io.Reader, dst io.Writer, limits source.Limits) (source.Report, error) {
	d := newReader(r, limits)
	err := d.read(false)
	if err != nil {
		return source.Report{}, err
	}
	d.refine()
	h := d.header()
	counts := &counter{}
	d.emit(h, counts, func([maxComponents]int) {})
	for i := range h.alphabets {
		h.alphabets[i] = alphabet{dc: bestCode(&counts.dcs[i], dcSymbols), ac: bestCode(&counts.acs[i], acSymbols)}
	}
	return d.report(), d.write(dst, h)
}

const (
	// coarsest is the largest step in which a mark's coefficients of low frequency, the first lowest ones, may be
	// rounded. A mark that moves a block by 30 of 255 is rounded away by steps of 250.
	coarsest = 32
	lowest   = 15
)

// refine makes coarse tables of quantisation finer where a mark needs it: by whole numbers, so that the picture stays what
// it is.
func (d *reader) refine() {
	var factors [4][blockSize]int
	for i, table := range d.quant {
		if table == nil {
			continue
		}
		finer := *table
		for k := range blockSize {
			at := zigzag[k]
			factors[i][at] = 1
			if k < lowest {
				finer[at], factors[i][at] = divided(table[at])
			}
		}
		d.quant[i] = &finer
	}
	for i, c := range d.frame.components {
		f := &factors[c.table]
		if *f == ones {
			continue
		}
		for at := range d.blocks[i] {
			v := int(d.blocks[i][at]) * f[at%blockSize]
			if at%blockSize > 0 {
				d.blocks[i][at] = clamp(v)
			} else {
				d.blocks[i][at] = clampDC(v)
			}
		}
	}
}

var ones = func() (f [blockSize]int) {
	for i := range f {
		f[i] = 1
	}
	return f
}()

// divided is the largest divisor of step that is fine enough, and how many times finer it is.
func divided(step uint16) (finer uint16, times int) {
	for times = 1; ; times++ {
		if step%uint16(times) == 0 && step/uint16(times) <= coarsest {
			return step / uint16(times), times
		}
	}
}

func (d *reader) header() *header {
	h := &header{
		frame: d.frame, kind: d.kind, marker: markSOF0, orientation: d.orientation, kept: d.kept(), notes: d.report().Notes, alphabets: make([]alphabet, 1),
	}
	for i, c := range d.frame.components {
		h.quant[c.table] = d.quant[c.table]
		if slices.Max(d.quant[c.table][:]) > 255 {
			h.marker = markSOF1 // a baseline picture has tables of bytes
		}
		if c.table != d.frame.components[0].table { // what is quantised alike is coded alike
			h.classes[i] = 1
			h.alphabets = make([]alphabet, 2)
		}
	}
	return h
}

// texture measures the brightness, or what is nearest to it.
func (d *reader) texture() source.Texture {
	i := 0
	if d.kind == kindRGB || d.kind == kindCMYK {
		i = 1 // green, or the ink that takes it away
	}
	f, c := &d.frame, &d.frame.components[i]
	table := d.quant[c.table]
	m := source.NewMeter(f.width, f.height)
	for y := range c.within.high {
		for x := range c.within.wide {
			b := (*[blockSize]int16)(d.blocks[i][(y*c.wide+x)*blockSize:])
			sum := 0
			for k, v := range b[1:] {
				if v != 0 {
					w := int(v) * int(table[k+1])
					sum += w * w
				}
			}
			m.Block(x*8*f.h/c.h, y*8*f.v/c.v, float64(sum)/blockSize)
		}
	}
	return m.Texture()
}

// emit tells all symbols of the picture to a sink, and before each MCU, and at the end, what it is predicted from.
func (d *reader) emit(h *header, to sink, unit func(predicted [maxComponents]int)) {
	var predicted [maxComponents]int
	for y := range d.frame.down {
		for x := range d.frame.across {
			unit(predicted)
			for i := range d.frame.components {
				c := &d.frame.components[i]
				for v := range c.v {
					for s := range c.h {
						at := ((y*c.v+v)*c.wide + x*c.h + s) * blockSize
						b := (*[blockSize]int16)(d.blocks[i][at:])
						size, extra := magnitude(int(b[0]) - predicted[i])
						to.dc(h.classes[i], size, extra)
						emitAC(to, h.classes[i], b)
						predicted[i] = int(b[0])
					}
				}
			}
		}
	}
	unit(predicted)
}

func (d *reader) write(dst io.Writer, h *header) error {
	out := pack.NewWriter(dst)
	head := h.append(nil)
	_, err := out.Write(head)
	if err != nil {
		return err
	}
	bits := newBitWriter(out, false)
	w := &writer{bitWriter: bits}
	for i, a := range h.alphabets {
		w.dcs[i], w.acs[i] = newEncoder(a.dc), newEncoder(a.ac)
	}
	units := d.frame.across * d.frame.down
	index := make([]byte, 0, (units+1)*(4+2*len(d.frame.components))+len(source.Texture{}))
	le := binary.LittleEndian
	d.emit(h, w, func(predicted [maxComponents]int) {
		index = le.AppendUint32(index, uint32(bits.written))
		for i := range d.frame.components {
			index = le.AppendUint16(index, uint16(predicted[i]))
		}
	})
	if bits.written > math.MaxUint32 {
		return &source.Error{Reason: "IMAGE_TOO_LARGE", Message: "the picture has more data than 512 MiB: make it smaller"}
	}
	bits.put(0, 32)
	bits.put(0, 32)
	err = bits.finish()
	if err != nil {
		return err
	}
	texture := d.texture()
	return out.Finish(len(head), append(index, texture[:]...), units+1)
}
