// Package token makes the tokens in links and reads them back.
//
// A token is base64url(HMAC-SHA-256(key, link id, generation)) without padding: 43 letters, 256 bits. What may be stored
// of it is its Hash.
package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
)

// size is the number of bytes a token stands for.
const size = sha256.Size

var encoding = base64.RawURLEncoding.Strict()

// A Token opens a link. It is a secret: it does not print itself.
type Token struct{ bytes [size]byte }

// Make returns the token of a link's generation under key.
func Make(key []byte, link string, generation int) Token {
	mac := hmac.New(sha256.New, key)
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(link))))
	mac.Write([]byte(link))
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(generation)))
	var t Token
	mac.Sum(t.bytes[:0])
	return t
}

// Parse reads a token as Reveal wrote it; of several spellings of the same bytes only that one is taken.
func Parse(s string) (Token, bool) {
	var t Token
	if len(s) != encoding.EncodedLen(size) {
		return t, false
	}
	n, err := encoding.Decode(t.bytes[:], []byte(s))
	return t, err == nil && n == size
}

// Reveal returns the token as it stands in an address.
func (t Token) Reveal() string { return encoding.EncodeToString(t.bytes[:]) }

// Hash returns the token's SHA-256 in lower-case hexadecimal.
func (t Token) Hash() string {
	sum := sha256.Sum256(t.bytes[:])
	return hex.EncodeToString(sum[:])
}

func (t Token) String() string { return "***" }

// GoString hides the token from %#v, too.
func (t Token) GoString() string { return t.String() }
