package vault_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/services/directory/internal/vault"
)

// ring has keys 1 to n, the last one active.
func ring(t *testing.T, n int) *keyring.Ring {
	t.Helper()
	var keys []string
	for i := range n {
		secret := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fmt.Sprint(i), 32)))
		keys = append(keys, fmt.Sprintf("%q:%q", fmt.Sprint(i+1), secret))
	}
	r, err := keyring.Parse(fmt.Appendf(nil, `{"active":%d,"keys":{%s}}`, n, strings.Join(keys, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhatIsSealedOpensInItsContextOnly(t *testing.T) {
	t.Parallel()
	v := vault.New(ring(t, 1))
	for _, text := range []string{"", "token", strings.Repeat("x", 4096)} {
		sealed, err := v.Seal(text, "device", "dune", "dev_1")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(sealed, "1.1.") || text != "" && strings.Contains(sealed, text) {
			t.Errorf("sealed is %.40q", sealed)
		}
		got, err := v.Open(sealed, "device", "dune", "dev_1")
		if err != nil || got != text {
			t.Errorf("got %.40q, %v", got, err)
		}
		for _, other := range [][]string{{"device", "dune", "dev_2"}, {"device", "other", "dev_1"}, {"device", "dunedev_1"}, nil} {
			_, err = v.Open(sealed, other...)
			if !errors.Is(err, vault.ErrBroken) {
				t.Errorf("in %q: %v, want ErrBroken", other, err)
			}
		}
		again, err := v.Seal(text, "device", "dune", "dev_1")
		if err != nil || again == sealed {
			t.Errorf("sealing twice gives the same, %v", err)
		}
	}
}

func TestOldKeysOpenAndNewOnesSeal(t *testing.T) {
	t.Parallel()
	old, err := vault.New(ring(t, 1)).Seal("token", "c")
	if err != nil {
		t.Fatal(err)
	}
	v := vault.New(ring(t, 2))
	got, err := v.Open(old, "c")
	if err != nil || got != "token" {
		t.Errorf("got %q, %v", got, err)
	}
	sealed, err := v.Seal("token", "c")
	if err != nil || !strings.HasPrefix(sealed, "1.2.") {
		t.Errorf("got %q, %v, want it under key 2", sealed, err)
	}
	_, err = vault.New(ring(t, 1)).Open(sealed, "c")
	if err == nil || errors.Is(err, vault.ErrBroken) {
		t.Errorf("got %v, want that key 2 is not in the ring", err)
	}
}

func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	v := vault.New(ring(t, 1))
	sealed, err := v.Seal("token", "c")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(sealed, "1.1."))
	if err != nil {
		t.Fatal(err)
	}
	broken := []string{"", "1", "1.1", "2" + sealed[1:], "1.0" + sealed[3:], "1.x" + sealed[3:], "1.1.", "1.1.%%%", sealed + ".x", sealed[:len(sealed)-4], "token"}
	for i := range raw {
		flipped := append([]byte(nil), raw...)
		flipped[i] ^= 1
		broken = append(broken, "1.1."+base64.RawURLEncoding.EncodeToString(flipped))
	}
	for _, b := range broken {
		_, err = v.Open(b, "c")
		if !errors.Is(err, vault.ErrBroken) {
			t.Errorf("%q: %v, want ErrBroken", b, err)
		}
	}
}
