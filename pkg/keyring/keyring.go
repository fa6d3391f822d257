// Package keyring keeps the numbered 256-bit secrets from which every key of an installation is derived: one active,
// older ones kept so that what was made under them can still be read.
//
// A derived key is HKDF-SHA-256 (RFC 5869) with the secret as input keying material, no salt, and as info the label, a
// zero byte and the context's parts, each preceded by its length as 4 bytes, big-endian. Labels keep uses apart: a key
// for one is of no use for another.
package keyring

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Label names what a derived key is for.
type Label string

const (
	Stamp    Label = "stamp"    // seeds of copies: salts, keys, IVs
	IDMAC    Label = "id-mac"   // authenticates hidden ids
	Password Label = "password" // recipients' passwords
	Link     Label = "link"     // link tokens
	Vault    Label = "vault"    // seals credentials
	Share    Label = "share"    // tokens of pages that are shared
)

// Ring is a set of numbered secrets. It is immutable and safe for concurrent use.
type Ring struct {
	active int
	keys   map[int][]byte
}

// file is the ring as stored: {"active":1,"keys":{"1":"<base64>"}}.
type file struct {
	Active int            `json:"active"`
	Keys   map[int][]byte `json:"keys"`
}

// Parse reads a ring from its JSON form.
func Parse(data []byte) (*Ring, error) {
	var f file
	err := json.Unmarshal(data, &f)
	if err != nil {
		return nil, fmt.Errorf("read key ring: %w", err)
	}
	if len(f.Keys[f.Active]) == 0 {
		return nil, fmt.Errorf("key ring: active key %d is not among its keys", f.Active)
	}
	for n, k := range f.Keys {
		if n < 1 || len(k) != 32 {
			return nil, fmt.Errorf("key ring: key %d has %d bytes, want 32, and numbers count from 1", n, len(k))
		}
	}
	return &Ring{active: f.Active, keys: f.Keys}, nil
}

// Load reads the ring at path, which nobody but its owner may read.
func Load(path string) (*Ring, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("key ring: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("key ring: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key ring %s can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("key ring: %w", err)
	}
	return Parse(data)
}

// LoadOrCreate reads the ring at path and makes one with a single fresh key if there is none. Of processes that create
// at once one wins, and all return the winner's.
func LoadOrCreate(path string) (*Ring, error) {
	r, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	data, err := json.MarshalIndent(file{Active: 1, Keys: map[int][]byte{1: secret}}, "", "  ")
	if err != nil {
		return nil, err
	}
	err = os.MkdirAll(filepath.Dir(path), 0o700)
	if err != nil {
		return nil, fmt.Errorf("create key ring: %w", err)
	}
	err = createOnly(path, append(data, '\n'))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create key ring: %w", err)
	}
	return Load(path)
}

// createOnly writes path whole or not at all, durably, and fails with fs.ErrExist if it is there.
func createOnly(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".keys-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // the link below is what stays
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	err = os.Link(tmp.Name(), path)
	if err != nil {
		return err
	}
	// A ring lost to a power cut would take every password with it.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// String says which keys there are and none of their bytes, so that a ring can be printed and logged.
func (r *Ring) String() string {
	return fmt.Sprintf("key ring of %d, active %d", len(r.keys), r.active)
}

// GoString hides the keys from %#v, too.
func (r *Ring) GoString() string { return r.String() }

// Active is the number of the key that new things are made under.
func (r *Ring) Active() int { return r.active }

// Derive returns 32 bytes for label and context under key number n; 0 means the active one.
func (r *Ring) Derive(n int, label Label, context ...string) ([]byte, error) {
	if n == 0 {
		n = r.active
	}
	secret, ok := r.keys[n]
	if !ok {
		return nil, fmt.Errorf("key %d is not in the key ring", n)
	}
	info := append([]byte(label), 0)
	for _, part := range context {
		info = binary.BigEndian.AppendUint32(info, uint32(len(part)))
		info = append(info, part...)
	}
	return hkdf.Key(sha256.New, secret, nil, string(info), 32)
}

var letters = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// PasswordFor returns the password of a recipient: four groups of four letters and digits without look-alikes, 80 bits.
// The same arguments give the same password for ever.
func (r *Ring) PasswordFor(n int, production, recipient string, generation int) (string, error) {
	key, err := r.Derive(n, Password, production, recipient, fmt.Sprint(generation))
	if err != nil {
		return "", err
	}
	s := letters.EncodeToString(key[:10])
	return strings.Join([]string{s[0:4], s[4:8], s[8:12], s[12:16]}, "-"), nil
}
