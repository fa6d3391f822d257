package hidden

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

// About says whose copy it is.
type About struct {
	Production   string `json:"production,omitempty"`
	Distribution string `json:"distribution,omitempty"`
	Item         string `json:"item,omitempty"`
	Name         string `json:"name,omitempty"`
	Email        string `json:"email,omitempty"`
	// Artifact is the copy's id, in hex.
	Artifact string `json:"artifact,omitempty"`
	// Time is when it was made. It is kept to the second, in UTC.
	Time time.Time `json:"time,omitzero"`
}

// ErrSealed: what was sealed is damaged, or was sealed under another key.
var ErrSealed = errors.New("sealed entry does not open")

const (
	sealVersion = 1
	nonceSize   = 12
	sealHead    = 2 + nonceSize
)

// Entry is the key under which a copy has what is sealed, in base64url without padding: a string in a document's
// information dictionary, a text chunk of a PNG or a comment of a JPEG.
const Entry = "FiligreeCopy"

// MaxSealed is the length in bytes beyond which Open refuses without a look.
const MaxSealed = 64 << 10

// Seal encrypts about under key (32 bytes), whose number modulo 256 stands in front for Open's caller to see. The same
// arguments give the same bytes; no two different ones share a nonce, whatever the seed is, which may be empty.
func Seal(keyNumber uint8, key, nonceSeed []byte, about About) []byte {
	plain := about.encode()
	h := hmac.New(sha256.New, key)
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(nonceSeed)))
	h.Write([]byte("filigree sealed nonce 1\x00"))
	h.Write(length[:])
	h.Write(nonceSeed)
	h.Write(plain)
	out := make([]byte, 0, sealHead+len(plain)+16)
	out = append(out, sealVersion, keyNumber)
	out = append(out, h.Sum(nil)[:nonceSize]...)
	return sealer(key).Seal(out, out[2:sealHead], plain, out[:2])
}

// SealedKey returns the number modulo 256 of the key that sealed was made under, and whether it looks sealed at all.
func SealedKey(sealed []byte) (uint8, bool) {
	if len(sealed) < sealHead+16 || len(sealed) > MaxSealed || sealed[0] != sealVersion {
		return 0, false
	}
	return sealed[1], true
}

// Open returns what Seal took. The error is ErrSealed.
func Open(key, sealed []byte) (About, error) {
	_, ok := SealedKey(sealed)
	if !ok {
		return About{}, ErrSealed
	}
	plain, err := sealer(key).Open(nil, sealed[2:sealHead], sealed[sealHead:], sealed[:2])
	if err != nil {
		return About{}, ErrSealed
	}
	about, ok := decodeAbout(plain)
	if !ok {
		return About{}, ErrSealed
	}
	return about, nil
}

// sealer panics on a key that is no AES-256 key: those of the ring are.
func sealer(key []byte) cipher.AEAD {
	if len(key) != 32 {
		panic("hidden: a sealing key has 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// strings are the texts of a, in the order in which they are sealed.
func (a *About) strings() [6]*string {
	return [...]*string{&a.Production, &a.Distribution, &a.Item, &a.Name, &a.Email, &a.Artifact}
}

// encode writes each text behind its length, then the time as seconds since 1970.
func (a About) encode() []byte {
	var out []byte
	for _, s := range a.strings() {
		out = binary.AppendUvarint(out, uint64(len(*s)))
		out = append(out, *s...)
	}
	if a.Time.IsZero() {
		return out
	}
	return binary.AppendVarint(out, a.Time.Unix())
}

func decodeAbout(plain []byte) (a About, ok bool) {
	for _, s := range a.strings() {
		n, size := binary.Uvarint(plain)
		if size <= 0 || n > uint64(len(plain)-size) {
			return About{}, false
		}
		*s = string(plain[size : size+int(n)])
		plain = plain[size+int(n):]
	}
	if len(plain) == 0 {
		return a, true
	}
	seconds, size := binary.Varint(plain)
	if size != len(plain) {
		return About{}, false
	}
	a.Time = time.Unix(seconds, 0).UTC()
	return a, true
}
