package hidden

// GF(256) with polynomial x^8 + x^4 + x^3 + x^2 + 1 and generator 2.
var (
	power [510]byte // power[i] is 2^i; twice round, so that sums of two logarithms need no reduction
	logOf [256]int  // logOf[0] is of no meaning
)

// parityOf[b] is what the parity register takes in when b leaves it: b times the generator polynomial without its
// leading term, highest power first.
var parityOf [256][parity]byte

func init() {
	x := 1
	for i := range 255 {
		power[i], power[i+255] = byte(x), byte(x)
		logOf[x] = i
		x <<= 1
		if x > 255 {
			x ^= 0x11d
		}
	}
	g := []byte{1} // highest power first
	for root := range parity {
		next := make([]byte, len(g)+1)
		for i, c := range g {
			next[i] ^= c
			next[i+1] ^= times(c, power[root])
		}
		g = next
	}
	for b := range parityOf {
		for i := range parity {
			parityOf[b][i] = times(byte(b), g[i+1])
		}
	}
}

func times(a, b byte) byte {
	if a == 0 || b == 0 {
		return 0
	}
	return power[logOf[a]+logOf[b]]
}

// over returns a / b; b is not 0.
func over(a, b byte) byte {
	if a == 0 {
		return 0
	}
	return power[logOf[a]+255-logOf[b]]
}

// at evaluates a polynomial, lowest power first, at x.
func at(poly []byte, x byte) byte {
	var sum byte
	for i := len(poly) - 1; i >= 0; i-- {
		sum = times(sum, x) ^ poly[i]
	}
	return sum
}
