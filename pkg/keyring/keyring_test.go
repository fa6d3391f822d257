package keyring_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/filigreehq/filigree/pkg/keyring"
)

// fixed is a ring of two known keys: bytes 0, 1, … 31 and 32, 33, … 63; the second is active.
func fixed(t *testing.T) *keyring.Ring {
	t.Helper()
	r, err := keyring.Parse([]byte(fixedJSON()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fixedJSON() string {
	return fmt.Sprintf(`{"active":2,"keys":{"1":%q,"2":%q}}`, encoded(0, 32), encoded(32, 32))
}

func encoded(first, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(first + i)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// What these say was computed apart from this package. A change of any of them makes every copy, link and password out
// there void.
func TestDerivedKeysStayTheSameForEver(t *testing.T) {
	r := fixed(t)
	for _, c := range []struct {
		n       int
		label   keyring.Label
		context []string
		want    string
	}{
		{1, keyring.Stamp, []string{"abc"}, "cdfc52f36b1ea70f3353b10e4feee89c79622fcb137089aa2bcacb986bec335b"},
		{1, keyring.IDMAC, nil, "89f68bf386171f98b1717bb85edd82252d1c28e2e2d3ee03b8b7f8e2b8ea4292"},
		{1, keyring.Password, []string{"default", "01J.r7", "1"}, "46e9b8e58494668a03ae46c34d2b7ee3c56af4c95306fc58a120e5304119aa25"},
		{2, keyring.Link, []string{"l1", "1"}, "3d1f8892f647b2d1a9eb98655b1f450949aac7b5c2f2448291e78b647cab06d3"},
		{2, keyring.Vault, []string{"ä", ""}, "6376f58fb366d6b4ac2294feb46b0aee822da99d42220b5c5833751fec1202db"},
	} {
		key, err := r.Derive(c.n, c.label, c.context...)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(key); got != c.want {
			t.Errorf("key %d, %s, %q: got %s, want %s", c.n, c.label, c.context, got, c.want)
		}
	}
}

func TestDerivedKeysAreAllDifferent(t *testing.T) {
	r := fixed(t)
	seen := map[string]string{}
	for n := 1; n <= 2; n++ {
		for _, label := range []keyring.Label{keyring.Stamp, keyring.IDMAC, keyring.Password, keyring.Link, keyring.Vault} {
			for _, context := range [][]string{nil, {""}, {"", ""}, {"a"}, {"ab"}, {"a", "b"}, {"ab", ""}, {"", "ab"}, {"\x00\x00\x00\x01a"}} {
				key, err := r.Derive(n, label, context...)
				if err != nil {
					t.Fatal(err)
				}
				what := fmt.Sprintf("key %d, %s, %q", n, label, context)
				other, ok := seen[string(key)]
				if ok {
					t.Errorf("%s gives the key of %s", what, other)
				}
				seen[string(key)] = what
			}
		}
	}
}

func TestDeriveUnderTheActiveKey(t *testing.T) {
	r := fixed(t)
	active, err := r.Derive(0, keyring.Link, "x")
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Derive(2, keyring.Link, "x")
	if err != nil {
		t.Fatal(err)
	}
	if r.Active() != 2 || string(active) != string(second) {
		t.Errorf("active is %d and 0 does not mean it", r.Active())
	}
	_, err = r.Derive(3, keyring.Link, "x")
	if err == nil {
		t.Error("a key that is not in the ring derived something")
	}
}

func TestPasswords(t *testing.T) {
	r := fixed(t)
	shape := regexp.MustCompile(`^[a-km-np-z2-9]{4}(-[a-km-np-z2-9]{4}){3}$`)
	seen := map[string]bool{}
	for i := range 2000 {
		password, err := r.PasswordFor(0, "default", fmt.Sprintf("01J.r%d", i), 1)
		if err != nil {
			t.Fatal(err)
		}
		if !shape.MatchString(password) {
			t.Fatalf("%q is not four groups of four without look-alikes", password)
		}
		if seen[password] {
			t.Fatalf("%q twice", password)
		}
		seen[password] = true
	}
	got, err := r.PasswordFor(1, "default", "01J.r7", 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := "i5w5-t3ne-utvi-wa7q"; got != want {
		t.Errorf("got %q, want %q, as it was ever before", got, want)
	}
	for _, other := range []struct {
		n                     int
		production, recipient string
		generation            int
	}{{2, "default", "01J.r7", 1}, {1, "other", "01J.r7", 1}, {1, "default", "01J.r8", 1}, {1, "default", "01J.r7", 2}} {
		password, err := r.PasswordFor(other.n, other.production, other.recipient, other.generation)
		if err != nil {
			t.Fatal(err)
		}
		if password == got {
			t.Errorf("%+v has the password of somebody else", other)
		}
	}
}

func TestLoadRefusesAFileThatOthersCanRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o601} {
		_ = os.Remove(path)
		err := os.WriteFile(path, []byte(fixedJSON()), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		err = os.Chmod(path, mode)
		if err != nil {
			t.Fatal(err)
		}
		for name, load := range map[string]func(string) (*keyring.Ring, error){"Load": keyring.Load, "LoadOrCreate": keyring.LoadOrCreate} {
			_, err = load(path)
			if err == nil || !strings.Contains(err.Error(), "chmod 600") {
				t.Errorf("%s of mode %o: got %v, want that it is refused and what to do", name, mode, err)
			}
		}
	}
	err := os.Chmod(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = keyring.Load(path)
	if err != nil {
		t.Error(err)
	}
}

func TestThoseWhoCreateAtOnceAgree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "for", "it")
	path := filepath.Join(dir, "keys.json")
	const processes = 20
	derived := make([]string, processes)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			<-start
			r, err := keyring.LoadOrCreate(path)
			if err != nil {
				t.Error(err)
				return
			}
			key, err := r.Derive(0, keyring.Vault)
			if err != nil {
				t.Error(err)
			}
			derived[i] = string(key)
		})
	}
	close(start)
	wg.Wait()
	for i := range derived {
		if derived[i] != derived[0] || derived[i] == "" {
			t.Fatalf("%d has another ring than 0", i)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %o, want 600", info.Mode().Perm())
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("got %v %v, want keys.json alone", entries, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, data := range map[string]string{
		"nothing":                  ``,
		"no JSON":                  `{"active":`,
		"no keys":                  `{"active":1}`,
		"an active key it has not": fmt.Sprintf(`{"active":2,"keys":{"1":%q}}`, encoded(0, 32)),
		"a short key":              fmt.Sprintf(`{"active":1,"keys":{"1":%q}}`, encoded(0, 31)),
		"a key of number 0":        fmt.Sprintf(`{"active":0,"keys":{"0":%q}}`, encoded(0, 32)),
		"a short key not active":   fmt.Sprintf(`{"active":1,"keys":{"1":%q,"2":%q}}`, encoded(0, 32), encoded(0, 16)),
		"a key that is not base64": `{"active":1,"keys":{"1":"***"}}`,
		"something after the JSON": fixedJSON() + "x",
		"a key that is not a name": `{"active":1,"keys":{"one":"AA=="}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keyring.Parse([]byte(data))
			if err == nil {
				t.Error("it was taken")
			}
		})
	}
}

func TestARingDoesNotPrintItsKeys(t *testing.T) {
	r := fixed(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		got := fmt.Sprintf(format, r)
		if got != "key ring of 2, active 2" {
			t.Errorf("%s: got %s", format, got)
		}
	}
}
