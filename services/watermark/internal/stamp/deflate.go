package stamp

import "encoding/binary"

// adler is an Adler-32 checksum (RFC 1950, 8.2) of bytes whose number is known, so that it can be joined to another.
type adler struct {
	sum    uint32
	length int64
}

const adlerModulus = 65521

// adlerOf sums p, four bytes at a time side by side in 64 bits.
func adlerOf(p []byte) adler {
	const (
		word  = 8
		run   = 22 * word // as long as sums of sums of bytes fit in 16 bits
		lanes = 0x00ff00ff00ff00ff
	)
	a, b := uint64(1), uint64(0)
	rest := p
	for len(rest) >= word {
		n := min(len(rest), run) / word * word
		chunk := rest[:n]
		rest = rest[n:]
		// What even and odd places of words add up to, and what those sums add up to word by word.
		var even, odd, evens, odds uint64
		for len(chunk) >= word {
			v := binary.LittleEndian.Uint64(chunk)
			chunk = chunk[word:]
			evens += even
			odds += odd
			even += v & lanes
			odd += v >> 8 & lanes
		}
		const low = 0xffff
		e0, e2, e4, e6 := even&low, even>>16&low, even>>32&low, even>>48
		o1, o3, o5, o7 := odd&low, odd>>16&low, odd>>32&low, odd>>48
		before := evens&low + evens>>16&low + evens>>32&low + evens>>48 + odds&low + odds>>16&low + odds>>32&low + odds>>48
		b += uint64(n)*a + word*before + 8*e0 + 7*o1 + 6*e2 + 5*o3 + 4*e4 + 3*o5 + 2*e6 + o7
		a += e0 + o1 + e2 + o3 + e4 + o5 + e6 + o7
		a %= adlerModulus
		b %= adlerModulus
	}
	for _, c := range rest {
		a += uint64(c)
		b += a
	}
	return adler{uint32(b%adlerModulus<<16 | a%adlerModulus), int64(len(p))}
}

// none is the sum of nothing.
var none = adler{sum: 1}

// then is the sum of what s and next sum up, one behind the other.
func (s adler) then(next adler) adler {
	a1, b1 := uint64(s.sum&0xffff), uint64(s.sum>>16)
	a2, b2 := uint64(next.sum&0xffff), uint64(next.sum>>16)
	n := uint64(next.length % adlerModulus)
	a := (a1 + a2 + adlerModulus - 1) % adlerModulus
	b := (b1 + b2 + n*(a1+adlerModulus-1)) % adlerModulus
	return adler{uint32(b<<16 | a), s.length + next.length}
}

// zlibHeader begins a zlib stream (RFC 1950): deflate with a window of 32 KiB, no dictionary.
const zlibHeader = "\x78\x9c"

const (
	blockHead = 5
	maxBlock  = 0xffff
)

// storedLen is the length of n bytes as stored blocks (RFC 1951, 3.2.4).
func storedLen(n int) int { return n + blockHead*max(1, (n+maxBlock-1)/maxBlock) }

// appendStored writes p as stored blocks; final says that nothing follows.
func appendStored(dst, p []byte, final bool) []byte {
	for {
		n := min(len(p), maxBlock)
		last := n == len(p)
		dst = appendBlockHead(dst, n, last && final)
		dst = append(dst, p[:n]...)
		p = p[n:]
		if last {
			return dst
		}
	}
}

func appendBlockHead(dst []byte, n int, final bool) []byte {
	head := byte(0)
	if final {
		head = 1
	}
	dst = append(dst, head)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(n))
	return binary.LittleEndian.AppendUint16(dst, ^uint16(n))
}
