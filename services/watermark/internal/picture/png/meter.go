package png

import "github.com/filigreehq/filigree/services/watermark/internal/picture/source"

// meter measures the texture of rows, by grey or green.
type meter struct {
	h       *header
	to      *source.Meter
	columns []sum // blocks of the rows under way
	y       int
}

// sum is that of a block's values and their squares.
type sum struct{ n, values, squares int }

const block = 8

func newMeter(h *header) *meter {
	return &meter{h: h, to: source.NewMeter(h.width, h.height), columns: make([]sum, (h.width+block-1)/block)}
}

func (m *meter) add(row []byte) {
	step, offset := m.h.step(), 0
	if samples(m.h.color) >= 3 {
		offset = m.h.depth / 8 // green
	}
	for x, i := 0, offset; i < len(row); x, i = x+1, i+step {
		c, v := &m.columns[x/block], int(row[i])
		c.n++
		c.values += v
		c.squares += v * v
	}
	m.y++
	if m.y%block == 0 {
		m.close()
	}
}

// close ends the blocks under way.
func (m *meter) close() {
	for i := range m.columns {
		c := &m.columns[i]
		if c.n > 0 {
			mean := float64(c.values) / float64(c.n)
			m.to.Block(i*block, m.y-1, float64(c.squares)/float64(c.n)-float64(mean*mean))
		}
		*c = sum{}
	}
}
