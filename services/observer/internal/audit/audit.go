// Package audit chains lines of an audit: each line's hash is SHA-256 over the hash before it and the line's own content, so
// that a line cannot be altered, taken out, put in or moved without every hash after it being made anew; the newest hash,
// written down elsewhere, then tells. It is pure; who keeps the lines is told by the observer.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Line is who did or saw what, when. It names people by ids only, so that it can stay when a person is erased.
type Line struct {
	Number     int64     // from 1, without gaps
	Time       time.Time // to the millisecond
	Production string
	Subject    string // who
	Action     string // what: "copy.download"
	Object     string // to what
	Detail     string
	Hash       string // 64 hex digits
}

// Start is what the first line's hash goes over.
const Start = "0000000000000000000000000000000000000000000000000000000000000000"

// Sum is the hash of a line that follows the one with hash before. Each field goes in with its length, so that no two lines
// are written alike.
func Sum(before string, l Line) string {
	h := sha256.New()
	var n [8]byte
	number := func(v int64) {
		binary.BigEndian.PutUint64(n[:], uint64(v))
		h.Write(n[:])
	}
	text := func(s string) {
		number(int64(len(s)))
		h.Write([]byte(s))
	}
	text(before)
	number(l.Number)
	number(l.Time.UnixMilli())
	for _, s := range []string{l.Production, l.Subject, l.Action, l.Object, l.Detail} {
		text(s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Chain numbers lines that follow the one with number and hash, and gives them their hashes, in place.
func Chain(number int64, hash string, lines []Line) {
	for i := range lines {
		number++
		lines[i].Number = number
		lines[i].Time = lines[i].Time.Truncate(time.Millisecond)
		lines[i].Hash = Sum(hash, lines[i])
		hash = lines[i].Hash
	}
}

// Check holds lines, in order, against the line before them; it returns the number of the first that is not as it was
// written, 0 if all are.
func Check(number int64, hash string, lines []Line) (broken int64) {
	for _, l := range lines {
		number++
		if l.Number != number || l.Hash != Sum(hash, l) {
			return number
		}
		hash = l.Hash
	}
	return 0
}
