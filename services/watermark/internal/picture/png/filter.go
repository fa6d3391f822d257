package png

// Row filters (ISO/IEC 15948, 9.2).
const (
	filterNone = iota
	filterSub
	filterUp
	filterAverage
	filterPaeth
)

// unfilter undoes a filter of a row, in place; above is the row before, step the bytes of a pixel.
func unfilter(filter byte, row, above []byte, step int) {
	above = above[:len(row)]
	switch filter {
	case filterSub:
		for i := step; i < len(row); i++ {
			row[i] += row[i-step]
		}
	case filterUp:
		for i, up := range above {
			row[i] += up
		}
	case filterAverage:
		for i := range min(step, len(row)) {
			row[i] += above[i] / 2
		}
		for i := step; i < len(row); i++ {
			row[i] += byte((int(row[i-step]) + int(above[i])) / 2)
		}
	case filterPaeth:
		for i := range min(step, len(row)) {
			row[i] += above[i]
		}
		for i := step; i < len(row); i++ {
			row[i] += paeth(row[i-step], above[i], above[i-step])
		}
	}
}

// filter writes a row filtered to dst.
func filter(kind byte, dst, row, above []byte, step int) {
	above, dst = above[:len(row)], dst[:len(row)]
	switch kind {
	case filterNone:
		copy(dst, row)
	case filterSub:
		copy(dst[:min(step, len(row))], row)
		for i := step; i < len(row); i++ {
			dst[i] = row[i] - row[i-step]
		}
	case filterUp:
		for i, up := range above {
			dst[i] = row[i] - up
		}
	case filterAverage:
		for i := range min(step, len(row)) {
			dst[i] = row[i] - above[i]/2
		}
		for i := step; i < len(row); i++ {
			dst[i] = row[i] - byte((int(row[i-step])+int(above[i]))/2)
		}
	case filterPaeth:
		for i := range min(step, len(row)) {
			dst[i] = row[i] - above[i]
		}
		for i := step; i < len(row); i++ {
			dst[i] = row[i] - paeth(row[i-step], above[i], above[i-step])
		}
	}
}

// paeth predicts a byte from those on the left, above, and left above.
func paeth(left, up, corner byte) byte {
	a, b, c := int(left), int(up), int(corner)
	pa, pb, pc := b-c, a-c, a+b-2*c
	pa, pb, pc = max(pa, -pa), max(pb, -pb), max(pc, -pc)
	if pa <= pb && pa <= pc {
		return left
	}
	if pb <= pc {
		return up
	}
	return corner
}

const (
	// Filters are compared by windows of a row, so many bytes in each span of it.
	window = 256
	spread = 1024
)

// chooser finds the filter of each row that is likely to compress best: the one that leaves the smallest numbers.
type chooser struct{ scratch []byte }

// choose writes row filtered to dst and returns by what; the first row of a band refers to none before.
func (c *chooser) choose(dst, row, above []byte, step int, first bool) byte {
	last := byte(filterPaeth)
	if first {
		last = filterSub
	}
	found, least := byte(0), -1
	for kind := range last + 1 {
		sum := c.measure(kind, row, above, step, least)
		if least < 0 || sum < least {
			found, least = kind, sum
		}
	}
	filter(found, dst, row, above, step)
	return found
}

// measure sums the numbers that a filter leaves, until they are more than enough.
func (c *chooser) measure(kind byte, row, above []byte, step, enough int) int {
	if c.scratch == nil {
		c.scratch = make([]byte, window+step)
	}
	sum := 0
	for from := 0; from < len(row) && (enough < 0 || sum < enough); from += spread {
		// With a pixel before, which the filter refers to; what becomes of it does not count.
		before := min(from, step)
		part := row[from-before : min(from+window, len(row))]
		out := c.scratch[:len(part)]
		filter(kind, out, part, above[from-before:][:len(part)], step)
		for _, v := range out[before:] {
			d := int(int8(v))
			sum += max(d, -d)
		}
	}
	return sum
}
