package mark

import "strconv"

// AppendMatrix writes m as six PDF numbers.
func AppendMatrix(dst []byte, m [6]int64) []byte {
	for i, v := range m {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendNumber(dst, v)
	}
	return dst
}

// appendNumber writes v millionths without trailing zeros.
func appendNumber(dst []byte, v int64) []byte {
	if v < 0 {
		dst = append(dst, '-')
		v = -v
	}
	dst = strconv.AppendInt(dst, v/micro, 10)
	rest := v % micro
	if rest == 0 {
		return dst
	}
	digits := strconv.AppendInt(nil, micro+rest, 10)[1:]
	for digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	dst = append(dst, '.')
	return append(dst, digits...)
}
