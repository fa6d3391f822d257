package stamp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Lock is what of a password's encryption does not depend on the copy (ISO 32000-2, 7.6.4: V 5, R 6): the deliberately
// slow hashes. It is made once for a recipient and used for all their copies, each of which has a key of its own. It is
// immutable.
type Lock struct {
	// user is the entry U: a hash of the password, and the two salts.
	user [48]byte
	// wrap encrypts the copies' keys.
	wrap cipher.Block
}

// maxPassword is how many bytes of a password count (7.6.4.3.3).
const maxPassword = 127

// NewLock makes the lock of a password, which is to be in the one form in which readers compare it. salts must not
// repeat from one password to another. It takes one to four milliseconds.
func NewLock(password string, salts [16]byte) (*Lock, error) {
	pass := []byte(password)
	pass = pass[:min(len(pass), maxPassword)]
	l := &Lock{}
	copy(l.user[:], slowHash(pass, salts[:8]))
	copy(l.user[32:], salts[:])
	var err error
	l.wrap, err = aes.NewCipher(slowHash(pass, salts[8:]))
	return l, err
}

// slowHash is algorithm 2.B for a user's password.
func slowHash(password, salt []byte) []byte {
	const repeats = 64
	var first [maxPassword + 8]byte
	sum := sha256.Sum256(append(append(first[:0], password...), salt...))
	var digest [sha512.Size]byte
	k := digest[:copy(digest[:], sum[:])]
	text := make([]byte, repeats*(len(password)+sha512.Size))
	for round := 0; ; round++ {
		n := copy(text, password)
		n += copy(text[n:], k)
		t := text[:repeats*n]
		for n < len(t) {
			n += copy(t[n:], t[:n])
		}
		block, err := aes.NewCipher(k[:16])
		if err != nil {
			panic(fmt.Sprintf("aes: %v", err)) // 16 bytes are a key
		}
		cipher.NewCBCEncrypter(block, k[16:32]).CryptBlocks(t, t)
		digits := 0
		for _, b := range t[:16] { // 256 is 1 modulo 3, so the digits' sum decides
			digits += int(b)
		}
		switch digits % 3 {
		case 0:
			h := sha256.Sum256(t)
			k = digest[:copy(digest[:], h[:])]
		case 1:
			h := sha512.Sum384(t)
			k = digest[:copy(digest[:], h[:])]
		default:
			h := sha512.Sum512(t)
			k = digest[:copy(digest[:], h[:])]
		}
		if round >= repeats-1 && int(t[len(t)-1]) <= round-32+1 {
			return k[:32:32]
		}
	}
}

// keys are those of one copy.
type keys struct {
	block cipher.Block
	ivs   noise
	dict  []byte // the encryption dictionary
}

// open makes a copy's keys. The owner entries are noise: nobody is given an owner's password, so none is made.
func (l *Lock) open(seed *Seed) (*keys, error) {
	var drawn [32 + 48 + 32 + 4]byte
	err := seed.derive("keys", drawn[:])
	if err != nil {
		return nil, err
	}
	key, owner, ownerKey, random := drawn[:32], drawn[32:80], drawn[80:112], drawn[112:]
	k := &keys{}
	k.block, err = aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	k.ivs, err = seed.noise("vectors")
	if err != nil {
		return nil, err
	}
	var userKey [32]byte // AES-256 in CBC mode without padding, the vector zero
	l.wrap.Encrypt(userKey[:16], key[:16])
	for i := range 16 {
		userKey[16+i] = userKey[i] ^ key[16+i]
	}
	l.wrap.Encrypt(userKey[16:], userKey[16:])

	const everything = -4 // all permissions: what the password opens is not fenced further
	var perms [16]byte
	binary.LittleEndian.PutUint64(perms[:], 0xFFFFFFFF<<32|uint64(uint32(everything&0xFFFFFFFF)))
	copy(perms[8:], "Tadb")
	copy(perms[12:], random)
	k.block.Encrypt(perms[:], perms[:])

	d := make([]byte, 0, 640)
	d = append(d, "<</Filter/Standard/V 5/R 6/Length 256/EncryptMetadata true/StmF/StdCF/StrF/StdCF"...)
	d = append(d, "/CF<</StdCF<</AuthEvent/DocOpen/CFM/AESV3/Length 32>>>>/P "...)
	d = strconv.AppendInt(d, everything, 10)
	for _, e := range []struct {
		name  string
		value []byte
	}{{"/U", l.user[:]}, {"/UE", userKey[:]}, {"/O", owner}, {"/OE", ownerKey}, {"/Perms", perms[:]}} {
		d = append(d, e.name...)
		d = appendHex(d, e.value)
	}
	k.dict = append(d, ">>"...)
	return k, nil
}

const hexDigits = "0123456789ABCDEF"

// appendHex writes a string in hexadecimal form.
func appendHex(dst, s []byte) []byte {
	dst = append(dst, '<')
	for _, c := range s {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, '>')
}

// sealedLen is the length of n bytes once encrypted: the vector, whole blocks, and at least one byte of padding.
func sealedLen(n int64) int64 { return aes.BlockSize + (n/aes.BlockSize+1)*aes.BlockSize }
