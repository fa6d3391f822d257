package jpeg

import "math/bits"

// alphabet is the codes of components that share them.
type alphabet struct {
	dc, ac code
}

// sink takes the symbols of blocks, each with size further bits.
type sink interface {
	dc(class int, size uint, extra uint32)
	ac(class int, symbol uint8, size uint, extra uint32)
}

// magnitude splits a number into its size and that many bits (T.81, F.1.2.1).
func magnitude(v int) (size uint, extra uint32) {
	if v < 0 {
		size = uint(bits.Len32(uint32(-v)))
		return size, uint32(v-1) & (1<<size - 1)
	}
	return uint(bits.Len32(uint32(v))), uint32(v)
}

// emitAC tells the symbols of a block's coefficients but the first.
func emitAC(to sink, class int, b *[blockSize]int16) {
	run := uint8(0)
	for k := 1; k < blockSize; k++ {
		v := b[zigzag[k]]
		if v == 0 {
			run++
			continue
		}
		for ; run > 15; run -= 16 {
			to.ac(class, sixteenZeros, 0, 0)
		}
		size, extra := magnitude(int(v))
		to.ac(class, run<<4|uint8(size), size, extra)
		run = 0
	}
	if run > 0 {
		to.ac(class, endOfBlock, 0, 0)
	}
}

// counter counts symbols, and the bits that follow them.
type counter struct {
	dcs, acs [2][256]int
}

func (c *counter) dc(class int, size uint, _ uint32)            { c.dcs[class][size]++ }
func (c *counter) ac(class int, symbol uint8, _ uint, _ uint32) { c.acs[class][symbol]++ }

// writer writes symbols by their codes.
type writer struct {
	*bitWriter
	dcs, acs [2]*encoder
}

func (w *writer) dc(class int, size uint, extra uint32) {
	e := w.dcs[class][size]
	w.put(e>>8, uint(e&0xFF))
	w.put(extra, size)
}

func (w *writer) ac(class int, symbol uint8, size uint, extra uint32) {
	e := w.acs[class][symbol]
	n := uint(e & 0xFF)
	w.put(e>>8<<size|extra, n+size) // at most 26
}
