package stamp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// Seed is the secret from which everything is drawn that must differ from copy to copy.
type Seed [32]byte

// derive fills dst for label with what says nothing of the seed.
func (s *Seed) derive(label string, dst []byte) error {
	b, err := hkdf.Expand(sha256.New, s[:], "filigree copy "+label, len(dst))
	copy(dst, b)
	return err
}

// noise is a key stream (AES-256 in counter mode) of which each block can be had at any time.
type noise struct{ block cipher.Block }

func (s *Seed) noise(label string) (noise, error) {
	var key [32]byte
	err := s.derive(label, key[:])
	if err != nil {
		return noise{}, err
	}
	block, err := aes.NewCipher(key[:])
	return noise{block}, err
}

// at puts block n into dst, 16 bytes.
func (n noise) at(i int, dst []byte) {
	clear(dst[:8])
	binary.BigEndian.PutUint64(dst[8:16], uint64(i))
	n.block.Encrypt(dst, dst)
}
