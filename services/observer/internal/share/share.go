// Package share makes the tokens of addresses by which anybody may look at one distribution, and reads them. A token says
// what it is for and until when, and carries an HMAC-SHA-256 over that: nothing is kept of it, so nothing can be stolen. A
// generation in it ends all tokens of a distribution at once. It is pure.
package share

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// Grant is what a token allows.
type Grant struct {
	Production, Distribution string
	Expires                  time.Time // to the second
	Masked                   bool      // names and addresses are hidden
	Generation               uint32
}

// Errors of Open.
var (
	ErrInvalid = errors.New("not a token of ours")
	ErrExpired = errors.New("the token has expired")
)

const format = 1

// Token seals a grant under key.
func Token(key []byte, g Grant) string {
	var b bytes.Buffer
	b.WriteByte(format)
	flags := byte(0)
	if g.Masked {
		flags = 1
	}
	b.WriteByte(flags)
	_ = binary.Write(&b, binary.BigEndian, uint64(g.Expires.Unix())) // a buffer takes all
	_ = binary.Write(&b, binary.BigEndian, g.Generation)
	b.WriteByte(byte(len(g.Production))) // at most 64
	b.WriteString(g.Production)
	b.WriteString(g.Distribution)
	return base64.RawURLEncoding.EncodeToString(append(b.Bytes(), sum(key, b.Bytes())...))
}

func sum(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)
}

// Open reads a token that one of keys sealed: those of the key ring, since it turns.
func Open(keys [][]byte, token string, now time.Time) (Grant, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	const head = 1 + 1 + 8 + 4 + 1
	if err != nil || len(raw) < head+sha256.Size {
		return Grant{}, ErrInvalid
	}
	text, mac := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	ours := false
	for _, k := range keys {
		ours = hmac.Equal(sum(k, text), mac) || ours
	}
	if !ours || text[0] != format || int(text[head-1]) > len(text)-head {
		return Grant{}, ErrInvalid
	}
	name := head + int(text[head-1])
	g := Grant{Masked: text[1]&1 != 0, Expires: time.Unix(int64(binary.BigEndian.Uint64(text[2:])), 0), Generation: binary.BigEndian.Uint32(text[10:]),
		Production: string(text[head:name]), Distribution: string(text[name:])}
	if !now.Before(g.Expires) {
		return g, ErrExpired
	}
	return g, nil
}

// MaskName leaves a name's initials: "Ada Lovelace" is "A. L.".
func MaskName(name string) string {
	var out []byte
	for _, word := range bytes.Fields([]byte(name)) {
		first := bytes.Runes(word)[0]
		if len(out) > 0 {
			out = append(out, ' ')
		}
		out = append(out, string(first)+"."...)
	}
	return string(out)
}

// MaskAddress leaves a mail address's first letter and its domain.
func MaskAddress(address string) string {
	at := bytes.LastIndexByte([]byte(address), '@')
	if at < 1 {
		return "…"
	}
	return string([]rune(address)[:1]) + "…" + address[at:]
}
