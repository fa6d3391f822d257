package hidden

// protect fills the parity symbols of a codeword whose data symbols are there.
func protect(code *[Symbols]byte) {
	var register [parity]byte
	for _, d := range code[:data] {
		fed := &parityOf[d^register[0]]
		copy(register[:], register[1:])
		register[parity-1] = 0
		for i := range register {
			register[i] ^= fed[i]
		}
	}
	copy(code[data:], register[:])
}

// syndromes evaluates the word at the code's roots and reports whether all of them vanish.
func syndromes(word *[Symbols]byte) (s [parity]byte, clean bool) {
	clean = true
	for root := range s {
		var sum byte
		for _, c := range word {
			sum = times(sum, power[root]) ^ c
		}
		s[root] = sum
		clean = clean && sum == 0
	}
	return s, clean
}

// correct returns the codeword that word was, given which symbols are of no worth, and how many symbols had to be found
// or put right, erased ones included. It fails when there is none near enough.
func correct(word [Symbols]byte, erased [Symbols]bool) (code [Symbols]byte, corrected int, ok bool) {
	code = word
	gone := 0
	locator := make([]byte, 1, parity+2) // product of (1 - x·X) over the erased places X
	locator[0] = 1
	for i := range code {
		if !erased[i] {
			continue
		}
		gone++
		if gone > parity {
			return code, 0, false
		}
		code[i] = 0
		locator = extend(locator, placeOf(i))
	}
	s, clean := syndromes(&code)
	if clean {
		return code, gone, true
	}
	locator, errors := berlekamp(s, locator, gone)
	if 2*errors+gone > parity {
		return code, 0, false
	}
	fixed, ok := repair(&code, s, locator)
	if !ok || fixed != errors+gone {
		return code, 0, false
	}
	_, clean = syndromes(&code)
	return code, errors + gone, clean
}

// placeOf is the field element that stands for symbol i: the first symbol is the highest power.
func placeOf(i int) byte { return power[Symbols-1-i] }

// extend multiplies poly by (1 - x·place).
func extend(poly []byte, place byte) []byte {
	poly = append(poly, 0)
	for i := len(poly) - 1; i > 0; i-- {
		poly[i] ^= times(poly[i-1], place)
	}
	return poly
}

// berlekamp extends the locator of the erased places to one of all wrong places (Berlekamp and Massey's algorithm) and
// returns how many it added.
func berlekamp(s [parity]byte, erasures []byte, gone int) (locator []byte, errors int) {
	var current, before, next [parity + 2]byte
	copy(current[:], erasures)
	copy(before[:], erasures)
	length := gone
	for step := gone; step < parity; step++ {
		var off byte
		for i := 0; i <= step; i++ {
			off ^= times(current[i], s[step-i])
		}
		copy(before[1:], before[:parity+1]) // before times x
		before[0] = 0
		if off == 0 {
			continue
		}
		for i := range next {
			next[i] = current[i] ^ times(off, before[i])
		}
		if 2*length <= step+gone {
			length = step + 1 + gone - length
			for i := range before {
				before[i] = over(current[i], off)
			}
		}
		current = next
	}
	end := len(current)
	for end > 1 && current[end-1] == 0 {
		end--
	}
	return append([]byte(nil), current[:end]...), length - gone
}

// repair adds to code what Forney's formula says is wrong at the roots of locator, and returns how many there are. It
// fails when the locator has roots elsewhere, or several in one place.
func repair(code *[Symbols]byte, s [parity]byte, locator []byte) (fixed int, ok bool) {
	var evaluator [parity]byte // syndromes times locator, modulo x^parity
	for i := range evaluator {
		for j := 0; j <= i && j < len(locator); j++ {
			evaluator[i] ^= times(locator[j], s[i-j])
		}
	}
	derivative := make([]byte, 0, len(locator))
	for i := 1; i < len(locator); i++ {
		if i%2 == 1 {
			derivative = append(derivative, locator[i])
		} else {
			derivative = append(derivative, 0)
		}
	}
	for i := range code {
		place := placeOf(i)
		inverse := over(1, place)
		if at(locator, inverse) != 0 {
			continue
		}
		slope := at(derivative, inverse)
		if slope == 0 {
			return fixed, false
		}
		code[i] ^= times(place, over(at(evaluator[:], inverse), slope))
		fixed++
	}
	return fixed, fixed == len(locator)-1
}
