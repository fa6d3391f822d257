// Package vault seals what must be kept but not be readable where it is kept: whoever has Redis, its append-only file or
// a backup, and not the key ring, has nothing.
//
// A sealed text is "1.<number of the key>.<base64url of nonce, ciphertext and tag>": AES-256-GCM with a random 96-bit
// nonce, no additional data, under the key that the ring derives for its vault from the secret of that number and the
// context. So a text that is moved to another context does not open, and no key seals more than one context's texts.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/pkg/keyring"
)

const version = "1"

// ErrBroken: what was to be opened was not sealed here, or not for this context.
var ErrBroken = errors.New("sealed text is broken")

// Vault seals under the active key of a ring, and opens what was sealed under any of its keys.
type Vault struct {
	keys *keyring.Ring
}

// New returns the vault of keys.
func New(keys *keyring.Ring) Vault { return Vault{keys: keys} }

// Seal seals text for context; it comes out different each time.
func (v Vault) Seal(text string, context ...string) (string, error) {
	n := v.keys.Active()
	aead, err := v.aead(n, context)
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	sealed := aead.Seal(nil, nil, []byte(text), nil)
	return version + "." + strconv.Itoa(n) + "." + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open returns the text that was sealed for context.
func (v Vault) Open(sealed string, context ...string) (string, error) {
	parts := strings.Split(sealed, ".")
	if len(parts) != 3 || parts[0] != version {
		return "", ErrBroken
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil || n < 1 {
		return "", ErrBroken
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "", ErrBroken
	}
	aead, err := v.aead(n, context)
	if err != nil {
		return "", fmt.Errorf("open a sealed text: %w", err)
	}
	text, err := aead.Open(nil, nil, raw, nil)
	if err != nil {
		return "", ErrBroken
	}
	return string(text), nil
}

// aead draws its own nonces and writes them in front.
func (v Vault) aead(n int, context []string) (cipher.AEAD, error) {
	key, err := v.keys.Derive(n, keyring.Vault, context...)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
