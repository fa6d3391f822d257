package pdf

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"io"
)

// lock encrypts a file by AES-256 with a password to open it (ISO 32000-2, 7.6.4: V 5, R 6). All it chooses is drawn
// from the seed. The owner entries are noise: nobody is given an owner's password, so none is made.
type lock struct {
	block  cipher.Block
	stream cipher.Stream // where initialisation vectors come from
	dict   Dict
}

// Seed is the secret from which everything is drawn that must differ from copy to copy.
type Seed [32]byte

// Derive returns n bytes for label, which say nothing of the seed.
func (s Seed) Derive(label string, n int) ([]byte, error) {
	return hkdf.Expand(sha256.New, s[:], "filigree pdf "+label, n)
}

// noise returns the key stream of a cipher keyed for label.
func (s Seed) noise(label string) (cipher.Stream, error) {
	key, err := s.Derive(label, 48)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:32])
	if err != nil {
		return nil, err
	}
	return cipher.NewCTR(block, key[32:]), nil
}

// maxPassword is how much of a password counts (7.6.4.3.3).
const maxPassword = 127

func newLock(seed Seed, password string) (*lock, error) {
	noise, err := seed.noise("encryption")
	if err != nil {
		return nil, err
	}
	draw := func(n int) []byte {
		b := make([]byte, n)
		noise.XORKeyStream(b, b)
		return b
	}
	pass := []byte(password)
	pass = pass[:min(len(pass), maxPassword)]
	key, validation, forKey := draw(32), draw(8), draw(8)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	wrap, err := aes.NewCipher(slowHash(pass, forKey))
	if err != nil {
		return nil, err
	}
	userKey := make([]byte, 32)
	cipher.NewCBCEncrypter(wrap, make([]byte, aes.BlockSize)).CryptBlocks(userKey, key)

	const everything = -4 // all permissions: what the password opens is not fenced further
	perms := draw(16)
	binary.LittleEndian.PutUint64(perms, uint64(0xFFFFFFFF)<<32|uint64(uint32(everything&0xFFFFFFFF)))
	copy(perms[8:], "Tadb")
	block.Encrypt(perms, perms)

	user := append(slowHash(pass, validation), append(validation, forKey...)...)
	return &lock{block: block, stream: noise, dict: Dict{
		"Filter": Name("Standard"), "V": int64(5), "R": int64(6), "Length": int64(256), "P": int64(everything),
		"U": String(user), "UE": String(userKey), "O": String(draw(48)), "OE": String(draw(32)), "Perms": String(perms),
		"EncryptMetadata": true, "StmF": Name("StdCF"), "StrF": Name("StdCF"),
		"CF": Dict{"StdCF": Dict{"AuthEvent": Name("DocOpen"), "CFM": Name("AESV3"), "Length": int64(32)}},
	}}, nil
}

// slowHash is algorithm 2.B for a user's password.
func slowHash(password, salt []byte) []byte {
	first := sha256.Sum256(append(append([]byte{}, password...), salt...))
	k := first[:]
	var text []byte
	for round := 0; ; round++ {
		text = text[:0]
		for range 64 {
			text = append(append(text, password...), k...)
		}
		block, err := aes.NewCipher(k[:16])
		if err != nil {
			panic(fmt.Sprintf("aes: %v", err)) // 16 bytes are a key
		}
		cipher.NewCBCEncrypter(block, k[16:32]).CryptBlocks(text, text)
		sum := 0
		for _, b := range text[:16] { // 256 is 1 modulo 3, so the digits' sum decides
			sum += int(b)
		}
		switch sum % 3 {
		case 0:
			h := sha256.Sum256(text)
			k = h[:]
		case 1:
			h := sha512.Sum384(text)
			k = h[:]
		default:
			h := sha512.Sum512(text)
			k = h[:]
		}
		if round >= 63 && int(text[len(text)-1]) <= round-31 {
			return k[:32]
		}
	}
}

func (l *lock) vector() []byte {
	iv := make([]byte, aes.BlockSize)
	l.stream.XORKeyStream(iv, iv)
	return iv
}

// string encrypts a string.
func (l *lock) string(s []byte) []byte {
	iv := l.vector()
	out := pad(append(append(make([]byte, 0, sealedLen(len(s))), iv...), s...), len(s))
	cipher.NewCBCEncrypter(l.block, iv).CryptBlocks(out[aes.BlockSize:], out[aes.BlockSize:])
	return out
}

// sealedLen is the length of n bytes once encrypted.
func sealedLen(n int) int { return aes.BlockSize + n/aes.BlockSize*aes.BlockSize + aes.BlockSize }

// pad fills up the last block of n bytes that end b.
func pad(b []byte, n int) []byte {
	fill := aes.BlockSize - n%aes.BlockSize
	for range fill {
		b = append(b, byte(fill))
	}
	return b
}

// write encrypts data to w in pieces, so that a large picture is not held twice.
func (l *lock) write(w io.Writer, data []byte) error {
	iv := l.vector()
	_, err := w.Write(iv)
	if err != nil {
		return err
	}
	mode := cipher.NewCBCEncrypter(l.block, iv)
	buf := make([]byte, 0, 64<<10+aes.BlockSize)
	for done := false; !done; {
		n := min(len(data), 64<<10)
		buf = append(buf[:0], data[:n]...)
		data = data[n:]
		if len(data) == 0 {
			done = true
			buf = pad(buf, n)
		}
		mode.CryptBlocks(buf, buf)
		_, err = w.Write(buf)
		if err != nil {
			return err
		}
	}
	return nil
}
