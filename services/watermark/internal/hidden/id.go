package hidden

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

const (
	// Symbols is how many bytes a codeword has.
	Symbols = 26

	data   = 13
	parity = Symbols - data

	// numberBits is how many bits a number and a MAC have.
	numberBits = 48
	numberMask = 1<<numberBits - 1
)

// ID is what a copy carries.
type ID struct {
	// Key is the number, modulo 256, of the key in the ring under which MAC was made.
	Key uint8
	// Number is the first 12 hex digits of the artifact's id.
	Number uint64
	// MAC is MAC(key, Key, Number).
	MAC uint64
}

// NewID returns the id of a copy made under key.
func NewID(key []byte, keyNumber uint8, number uint64) ID {
	number &= numberMask
	return ID{Key: keyNumber, Number: number, MAC: MAC(key, keyNumber, number)}
}

// NumberOf returns the number of the artifact that is called by the hex digits given, and whether there are enough.
func NumberOf(artifact string) (uint64, bool) {
	const digits = numberBits / 4
	if len(artifact) < digits {
		return 0, false
	}
	n, err := strconv.ParseUint(artifact[:digits], 16, numberBits)
	return n, err == nil
}

// MAC authenticates a number: HMAC-SHA-256 under key, cut to 48 bits. Guessing one needs 2^47 tries on average, none of
// which can be made without the key.
func MAC(key []byte, keyNumber uint8, number uint64) uint64 {
	h := hmac.New(sha256.New, key)
	var text [8]byte
	binary.BigEndian.PutUint64(text[:], number&numberMask)
	text[0] = keyNumber
	h.Write([]byte("filigree hidden id 1\x00"))
	h.Write(text[:])
	return binary.BigEndian.Uint64(h.Sum(nil)[:8]) >> (64 - numberBits)
}

// Verify reports whether id was made under key.
func (id ID) Verify(key []byte) bool {
	var a, b [8]byte
	binary.BigEndian.PutUint64(a[:], id.MAC)
	binary.BigEndian.PutUint64(b[:], MAC(key, id.Key, id.Number))
	return hmac.Equal(a[:], b[:])
}

// Codeword returns id as symbols: data first, then parity.
func (id ID) Codeword() [Symbols]byte {
	var code [Symbols]byte
	code[0] = id.Key
	put48(code[1:7], id.Number)
	put48(code[7:13], id.MAC)
	protect(&code)
	return code
}

func put48(dst []byte, v uint64) {
	for i := range 6 {
		dst[i] = byte(v >> (40 - 8*i))
	}
}

func get48(src []byte) (v uint64) {
	for _, b := range src[:6] {
		v = v<<8 | uint64(b)
	}
	return v
}

// Sure is how many corrected symbols a word may have had to be an id beyond chance (less than one in 10^7 of random
// words becomes one with so few). One with more is worth something only if its MAC verifies.
const Sure = 7

// Decode returns the id that symbols were, given which of them are of no worth, and how many symbols had to be found or
// put right, erased ones included. Whether anybody of ours made the id is for its MAC to say; see Sure, too.
func Decode(symbols [Symbols]byte, erased [Symbols]bool) (id ID, corrected int, ok bool) {
	code, corrected, ok := correct(symbols, erased)
	if !ok {
		return ID{}, 0, false
	}
	return ID{Key: code[0], Number: get48(code[1:7]), MAC: get48(code[7:13])}, corrected, true
}
