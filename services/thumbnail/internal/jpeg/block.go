package jpeg

import "math/bits"

// block is the quantized coefficients of one, in the order of their coding.
type block [side * side]int32

// zigzag is where each coefficient of the order of coding is in a block's rows (T.81, figure 5).
var zigzag = func() (order [side * side]int) {
	x, y, up := 0, 0, true
	for i := range order {
		order[i] = y*side + x
		switch {
		case up && x == side-1:
			y, up = y+1, false
		case up && y == 0:
			x, up = x+1, false
		case up:
			x, y = x+1, y-1
		case y == side-1:
			x, up = x+1, true
		case x == 0:
			y, up = y+1, true
		default:
			x, y = x-1, y+1
		}
	}
	return order
}()

// What a step of the quantization is at quality 50 (T.81, tables K.1 and K.2).
var (
	lumaSteps = [side * side]int{
		16, 11, 10, 16, 24, 40, 51, 61,
		12, 12, 14, 19, 26, 58, 60, 55,
		14, 13, 16, 24, 40, 57, 69, 56,
		14, 17, 22, 29, 51, 87, 80, 62,
		18, 22, 37, 56, 68, 109, 103, 77,
		24, 35, 55, 64, 81, 104, 113, 92,
		49, 64, 78, 87, 103, 121, 120, 101,
		72, 92, 95, 98, 112, 100, 103, 99,
	}
	chromaSteps = [side * side]int{
		17, 18, 24, 47, 99, 99, 99, 99,
		18, 21, 26, 66, 99, 99, 99, 99,
		24, 26, 56, 99, 99, 99, 99, 99,
		47, 66, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
	}
)

// quantizer turns samples into levels.
type quantizer struct {
	steps [side * side]byte // in the order of coding
	// half of a step, and its inverse in 1/2^shift, both in units of the transform's results.
	half    [side * side]uint32
	inverse [side * side]uint64
}

const shift = 32

// most is the largest level of a coefficient that has a code. That of the first, which is coded as a difference, is no
// larger by itself.
const most = 1023

// newQuantizer scales the steps to a quality from 1 to 100, as everybody does since the Independent JPEG Group's software.
func newQuantizer(steps [side * side]int, quality int) *quantizer {
	scale := 200 - 2*quality
	if quality < 50 {
		scale = 5000 / quality
	}
	q := &quantizer{}
	for i, at := range zigzag {
		step := min(max((steps[at]*scale+50)/100, 1), 255)
		q.steps[i] = byte(step)
		whole := uint32(step) << extra
		q.half[i] = whole / 2
		q.inverse[i] = (1<<shift + uint64(whole) - 1) / uint64(whole)
	}
	return q
}

// levels transforms and quantizes the block of samples that starts at p.
func (q *quantizer) levels(to *block, p []byte, stride int) {
	var f [side * side]int32
	transform(&f, p, stride)
	for i, at := range zigzag {
		v := f[at]
		sign := v >> 31
		size := uint32((v^sign)-sign) + q.half[i]
		level := min(int32(uint64(size)*q.inverse[i]>>shift), most)
		to[i] = (level ^ sign) - sign
	}
}

const (
	precision = 14 // bits of the cosines' fractions
	extra     = 3  // bits of the results' fractions
)

// Halves of the cosines of k·π/16, and an eighth's square root, in 1/2^14.
const (
	c1 = 8035
	c2 = 7568
	c3 = 6811
	c5 = 4551
	c6 = 3135
	c7 = 1598
	c4 = 5793
)

// transform is the cosine transform of a block (T.81, A.3.3), by rows and then by columns; what comes out has three bits
// of fraction. Sums and differences of the samples that lie opposite to each other halve the work.
func transform(f *[side * side]int32, p []byte, stride int) {
	for y := range side {
		r := (*[side]byte)(p[y*stride:])
		const middle = 256 // of a sum of two samples
		a0, b0 := int32(r[0])+int32(r[7])-middle, int32(r[0])-int32(r[7])
		a1, b1 := int32(r[1])+int32(r[6])-middle, int32(r[1])-int32(r[6])
		a2, b2 := int32(r[2])+int32(r[5])-middle, int32(r[2])-int32(r[5])
		a3, b3 := int32(r[3])+int32(r[4])-middle, int32(r[3])-int32(r[4])
		o := (*[side]int32)(f[y*side:])
		const drop = precision - extra
		const round = 1 << (drop - 1)
		o[0] = (c4*(a0+a1+a2+a3) + round) >> drop
		o[4] = (c4*(a0-a1-a2+a3) + round) >> drop
		o[2] = (c2*(a0-a3) + c6*(a1-a2) + round) >> drop
		o[6] = (c6*(a0-a3) - c2*(a1-a2) + round) >> drop
		o[1] = (c1*b0 + c3*b1 + c5*b2 + c7*b3 + round) >> drop
		o[3] = (c3*b0 - c7*b1 - c1*b2 - c5*b3 + round) >> drop
		o[5] = (c5*b0 - c1*b1 + c7*b2 + c3*b3 + round) >> drop
		o[7] = (c7*b0 - c5*b1 + c3*b2 - c1*b3 + round) >> drop
	}
	for x := range side {
		a0, b0 := f[x]+f[7*side+x], f[x]-f[7*side+x]
		a1, b1 := f[side+x]+f[6*side+x], f[side+x]-f[6*side+x]
		a2, b2 := f[2*side+x]+f[5*side+x], f[2*side+x]-f[5*side+x]
		a3, b3 := f[3*side+x]+f[4*side+x], f[3*side+x]-f[4*side+x]
		const round = 1 << (precision - 1)
		f[x] = (c4*(a0+a1+a2+a3) + round) >> precision
		f[4*side+x] = (c4*(a0-a1-a2+a3) + round) >> precision
		f[2*side+x] = (c2*(a0-a3) + c6*(a1-a2) + round) >> precision
		f[6*side+x] = (c6*(a0-a3) - c2*(a1-a2) + round) >> precision
		f[side+x] = (c1*b0 + c3*b1 + c5*b2 + c7*b3 + round) >> precision
		f[3*side+x] = (c3*b0 - c7*b1 - c1*b2 - c5*b3 + round) >> precision
		f[5*side+x] = (c5*b0 - c1*b1 + c7*b2 + c3*b3 + round) >> precision
		f[7*side+x] = (c7*b0 - c5*b1 + c3*b2 - c1*b3 + round) >> precision
	}
}

const (
	endOfBlock   = 0x00
	sixteenZeros = 0xf0
)

// count counts the symbols of all coefficients but the first (T.81, F.1.2.2), as stream.block writes them.
func (b *block) count(t *table) {
	run := 0
	for _, v := range b[1:] {
		if v == 0 {
			run++
			continue
		}
		t.counts[sixteenZeros] += run / 16
		t.counts[byte(run%16<<4)|magnitude(v)]++
		run = 0
	}
	if run > 0 {
		t.counts[endOfBlock]++
	}
}

// magnitude is how many bits a difference or a level needs.
func magnitude(v int32) byte {
	if v < 0 {
		v = -v
	}
	return byte(bits.Len32(uint32(v)))
}

// low is v in that many bits; of a negative one, its complement.
func low(v int32, size byte) uint32 {
	if v < 0 {
		v--
	}
	return uint32(v) & (1<<size - 1)
}
