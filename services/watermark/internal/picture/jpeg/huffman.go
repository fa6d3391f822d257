package jpeg

import (
	"errors"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// code is a Huffman code as a DHT segment has it: how many codes there are of each length, and their symbols in order.
type code struct {
	counts  [16]uint8
	symbols []uint8
}

var errCode = errors.New("its codes are not possible")

// parseCode reads a code and returns what follows it.
func parseCode(data []byte) (code, []byte, error) {
	if len(data) < 16 {
		return code{}, nil, source.Broken("a table of codes is cut off")
	}
	c := code{counts: [16]uint8(data)}
	data = data[16:]
	n := 0
	for _, count := range c.counts {
		n += int(count)
	}
	if n > 256 || n > len(data) {
		return code{}, nil, source.Broken("a table of codes is cut off")
	}
	c.symbols = data[:n:n]
	return c, data[n:], nil
}

// quick is how many bits of a code are looked up at once.
const quick = 9

// decoder finds symbols by their codes.
type decoder struct {
	// lookup has, for the first bits of what follows, symbol<<8 | length, or 0 where the code is longer.
	lookup [1 << quick]uint16
	// For each length: the first code beyond it (left-aligned in 16 bits), and what to add to a code to get its symbol's
	// place.
	limit  [17]uint32
	offset [17]int32
	code   code
}

func newDecoder(c code) (*decoder, error) {
	d := &decoder{code: c}
	next, place := uint32(0), int32(0)
	for i, count := range c.counts {
		length := i + 1
		d.offset[length] = place - int32(next)
		for range count {
			if length <= quick {
				entry := uint16(c.symbols[place])<<8 | uint16(length)
				from := next << (quick - length)
				if from >= 1<<quick {
					return nil, errCode
				}
				for j := range uint32(1) << (quick - length) {
					d.lookup[from+j] = entry
				}
			}
			next++
			place++
		}
		if next > 1<<length {
			return nil, errCode
		}
		d.limit[length] = next << (16 - length)
		next <<= 1
	}
	return d, nil
}

// find tells the symbol whose code the 16 bits in peek begin with, and the code's length; 0 if there is none.
func (d *decoder) find(peek uint32) (symbol uint8, length int) {
	e := d.lookup[peek>>(16-quick)]
	if e != 0 {
		return uint8(e >> 8), int(e & 0xFF)
	}
	for length = quick + 1; length <= 16; length++ {
		if peek < d.limit[length] {
			return d.code.symbols[int32(peek>>(16-length))+d.offset[length]], length
		}
	}
	return 0, 0
}

// encoder has the code of each symbol: code<<8 | length; 0 where there is none.
type encoder [256]uint32

func newEncoder(c code) *encoder {
	e := &encoder{}
	next, place := uint32(0), 0
	for i, count := range c.counts {
		for range count {
			e[c.symbols[place]] = next<<8 | uint32(i+1)
			next++
			place++
		}
		next <<= 1
	}
	return e
}

// covers reports whether there is a code for each of symbols.
func (e *encoder) covers(symbols []uint8) bool {
	for _, s := range symbols {
		if e[s] == 0 {
			return false
		}
	}
	return true
}

// dcSymbols and acSymbols are all that an 8-bit picture may need.
var dcSymbols, acSymbols = func() (dc, ac []uint8) {
	for size := range uint8(12) {
		dc = append(dc, size)
	}
	for run := range uint8(16) {
		for size := uint8(1); size <= 10; size++ {
			ac = append(ac, run<<4|size)
		}
	}
	return dc, append(ac, endOfBlock, sixteenZeros)
}()

const (
	endOfBlock   = 0x00
	sixteenZeros = 0xF0
)

// bestCode makes the code that takes the fewest bits for symbols of these frequencies, none longer than 16 bits and none
// of ones only, as T.81, K.2 does it. Every one of needed gets a code, too.
func bestCode(frequencies *[256]int, needed []uint8) code {
	// The last symbol stands for the code of ones only, which must not be used.
	var weight [257]int
	copy(weight[:], frequencies[:])
	for _, s := range needed {
		weight[s] = max(weight[s], 1)
	}
	weight[256] = 1
	lengths := codeLengths(&weight)
	var perLength [258]int
	for _, n := range lengths {
		perLength[n]++
	}
	shorten(perLength[:])
	var c code
	for i := range c.counts {
		c.counts[i] = uint8(perLength[i+1])
	}
	for n := 16; n > 0; n-- { // the longest code is the one not to be used
		if c.counts[n-1] > 0 {
			c.counts[n-1]--
			break
		}
	}
	// Symbols in the order of their code's length; whatever shorten did, rarer ones do not get shorter ones.
	for n := 1; n < len(perLength); n++ {
		for s := range 256 {
			if lengths[s] == n {
				c.symbols = append(c.symbols, uint8(s))
			}
		}
	}
	return c
}

// codeLengths are those of an unlimited Huffman code.
func codeLengths(weight *[257]int) [257]int {
	var lengths [257]int
	next := [257]int{}
	for i := range next {
		next[i] = -1
	}
	for {
		a := lightest(weight, -1)
		b := lightest(weight, a)
		if b < 0 {
			return lengths
		}
		weight[a] += weight[b]
		weight[b] = 0
		for lengths[a]++; next[a] >= 0; lengths[a]++ {
			a = next[a]
		}
		next[a] = b
		for lengths[b]++; next[b] >= 0; lengths[b]++ {
			b = next[b]
		}
	}
}

// lightest finds the least weight that is not 0, the last of several; -1 if there is none but except.
func lightest(weight *[257]int, except int) int {
	found := -1
	for i, w := range weight {
		if w > 0 && i != except && (found < 0 || w <= weight[found]) {
			found = i
		}
	}
	return found
}

// shorten changes how many codes there are of each length until none is longer than 16 (T.81, figure K.3).
func shorten(perLength []int) {
	for n := len(perLength) - 1; n > 16; n-- {
		for perLength[n] > 0 {
			j := n - 2
			for perLength[j] == 0 {
				j--
			}
			perLength[n] -= 2
			perLength[n-1]++
			perLength[j+1] += 2
			perLength[j]--
		}
	}
}
