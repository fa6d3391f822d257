// Package traceid makes trace ids that say what they are about, so that an id from any log line, span or header leads
// straight to the item, without an index and while nothing but the id is at hand.
//
// An id is 16 bytes, as W3C Trace Context has them: the first 12 bytes of the distribution's ULID (its time and half of its
// chance), 12 bits for the file and 20 bits for the recipient, both counted from 1 and 0 for none. What is too large for its
// bits is all ones. The same unit has the same id for ever: whatever is done for it, by anybody and however often, is one trace.
package traceid

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

const (
	// MostFile and MostRecipient stand for themselves and for all that is larger.
	MostFile      = 1<<12 - 1
	MostRecipient = 1<<20 - 1
)

// ID is a trace id.
type ID [16]byte

// String is how ids are written: 32 hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Of is the id of a distribution's unit: "d", "f2", "r7" or "i2.7". It reports false when there is none, as distribution is
// no ULID or unit no unit.
func Of(distribution, unit string) (ID, bool) {
	var id ID
	all, ok := fromULID(distribution)
	if !ok {
		return ID{}, false
	}
	file, recipient, ok := numbers(unit)
	if !ok {
		return ID{}, false
	}
	copy(id[:12], all[:12])
	about := min(file, MostFile)<<20 | min(recipient, MostRecipient)
	for i := range 4 {
		id[15-i] = byte(about >> (8 * i))
	}
	return id, id != ID{}
}

// Item is the id of the item that is file for the recipient whose id this is; false when it is no recipient's.
func (id ID) Item(file int) (ID, bool) {
	about := int(id[12])<<24 | int(id[13])<<16 | int(id[14])<<8 | int(id[15])
	if about>>20 != 0 || about&MostRecipient == 0 || file < 1 {
		return ID{}, false
	}
	about |= min(file, MostFile) << 20
	for i := range 4 {
		id[15-i] = byte(about >> (8 * i))
	}
	return id, true
}

// About is what an id is about.
type About struct {
	// First and Last are the least and the greatest ULID of a distribution that it can be. There is one between them, if any.
	First, Last string
	// File and Recipient are counted from 1; 0 is none.
	File, Recipient int
}

// Unit is "d", "f2", "r7" or "i2.7".
func (a About) Unit() string {
	switch {
	case a.File > 0 && a.Recipient > 0:
		return "i" + strconv.Itoa(a.File) + "." + strconv.Itoa(a.Recipient)
	case a.File > 0:
		return "f" + strconv.Itoa(a.File)
	case a.Recipient > 0:
		return "r" + strconv.Itoa(a.Recipient)
	}
	return "d"
}

// Sure reports whether file and recipient are what they say, and not too large for an id.
func (a About) Sure() bool { return a.File < MostFile && a.Recipient < MostRecipient }

// Parse is the reverse of Of. It takes 32 hex digits, of either case, and whole traceparent headers.
func Parse(s string) (About, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	parts := strings.Split(s, "-")
	if len(parts) == 4 { // version, trace, span, flags
		s = parts[1]
	}
	var id ID
	if len(s) != 2*len(id) {
		return About{}, fmt.Errorf("%q is not a trace id: it has 32 hex digits", s)
	}
	_, err := hex.Decode(id[:], []byte(s))
	if err != nil || id == (ID{}) {
		return About{}, fmt.Errorf("%q is not a trace id: it has 32 hex digits, not all of them 0", s)
	}
	about := int(id[12])<<24 | int(id[13])<<16 | int(id[14])<<8 | int(id[15])
	first, last := id, id
	copy(first[12:], []byte{0, 0, 0, 0})
	copy(last[12:], []byte{255, 255, 255, 255})
	return About{First: toULID(first), Last: toULID(last), File: about >> 20, Recipient: about & MostRecipient}, nil
}

func numbers(unit string) (file, recipient int, ok bool) {
	if unit == "d" {
		return 0, 0, true
	}
	if unit == "" {
		return 0, 0, false
	}
	rest := unit[1:]
	switch unit[0] {
	case 'f':
		file, ok = number(rest)
		return file, 0, ok
	case 'r':
		recipient, ok = number(rest)
		return 0, recipient, ok
	case 'i':
		f, r, dot := strings.Cut(rest, ".")
		file, ok = number(f)
		recipient, two := number(r)
		return file, recipient, dot && ok && two
	}
	return 0, 0, false
}

func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0 && s[0] != '+'
}

// alphabet is Crockford's, in which ULIDs are written: 26 letters of 5 bits, of which the first has 3.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

func fromULID(s string) (id ID, ok bool) {
	if len(s) != 26 || s[0] > '7' {
		return ID{}, false
	}
	var bits, have uint
	at := 0
	for i := range len(s) {
		v := strings.IndexByte(alphabet, s[i])
		if v < 0 {
			return ID{}, false
		}
		n := uint(5)
		if i == 0 {
			n = 3
		}
		bits, have = bits<<n|uint(v), have+n
		if have >= 8 {
			have -= 8
			id[at] = byte(bits >> have)
			at++
		}
	}
	return id, true
}

func toULID(id ID) string {
	out := make([]byte, 0, 26)
	bits, have := uint(0), uint(2) // two bits before the first
	for _, b := range id {
		bits, have = bits<<8|uint(b), have+8
		for have >= 5 {
			have -= 5
			out = append(out, alphabet[bits>>have&31])
		}
	}
	return string(out)
}
