package share_test

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/share"
)

var (
	now   = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	key   = []byte("0123456789abcdef0123456789abcdef")
	grant = share.Grant{Production: "lamp", Distribution: "01M8D3WCYZ2361KJB3R96SHVA9", Expires: now.Add(time.Hour).Local(), Masked: true, Generation: 7}
)

func TestATokenSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	token := share.Token(key, grant)
	g, err := share.Open([][]byte{[]byte("another"), key}, token, now)
	if err != nil || !g.Expires.Equal(grant.Expires) || g.Production != grant.Production || g.Distribution != grant.Distribution || !g.Masked || g.Generation != 7 {
		t.Errorf("%+v, %v", g, err)
	}
	_, err = share.Open([][]byte{key}, token, now.Add(time.Hour))
	if !errors.Is(err, share.ErrExpired) {
		t.Errorf("an hour later: %v", err)
	}
	_, err = share.Open([][]byte{[]byte("another")}, token, now)
	if !errors.Is(err, share.ErrInvalid) {
		t.Errorf("under another key: %v", err)
	}
}

// Whatever bit is changed, and wherever it is cut, it is no token.
func TestNoOtherTokenOpens(t *testing.T) {
	t.Parallel()
	raw, _ := base64.RawURLEncoding.DecodeString(share.Token(key, grant))
	for i := range raw {
		for bit := range 8 {
			other := append([]byte(nil), raw...)
			other[i] ^= 1 << bit
			_, err := share.Open([][]byte{key}, base64.RawURLEncoding.EncodeToString(other), now)
			if !errors.Is(err, share.ErrInvalid) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
		_, err := share.Open([][]byte{key}, base64.RawURLEncoding.EncodeToString(raw[:i]), now)
		if !errors.Is(err, share.ErrInvalid) {
			t.Fatalf("%d bytes: %v", i, err)
		}
	}
}

func TestMasks(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Ada Lovelace": "A. L.", "": "", "Ødegård": "Ø.", "李 小龙": "李. 小."} {
		if got := share.MaskName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for address, want := range map[string]string{"ada@example.com": "a…@example.com", "@x": "…", "none": "…", "ü@x.de": "ü…@x.de"} {
		if got := share.MaskAddress(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}
