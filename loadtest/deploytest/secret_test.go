package deploytest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/filigreehq/filigree/pkg/need"
)

func TestSecretsAreMadeOnceAndForTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := makeSecrets(t)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 4 {
		t.Fatalf("got files %s, error %v", files, err)
	}
	before := map[string]string{}
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", path, info.Mode().Perm())
		}
		before[path] = contents(t, path)
	}
	script(t, "secrets.sh", dir)
	for path, was := range before {
		if contents(t, path) != was {
			t.Errorf("%s was made again", path)
		}
	}
	var ring struct {
		Active int
		Keys   map[int][]byte
	}
	err = json.Unmarshal([]byte(before[filepath.Join(dir, "keys.json")]), &ring)
	if err != nil || len(ring.Keys[ring.Active]) != 32 {
		t.Errorf("the key ring has %d keys, the active one %d bytes; error %v", len(ring.Keys), len(ring.Keys[ring.Active]), err)
	}
	token := regexp.MustCompile(`^FILIGREE_DIRECTORY_ADMIN_TOKEN=fg_[A-Za-z0-9_-]{43}\n$`)
	if !token.MatchString(before[filepath.Join(dir, "directory.env")]) {
		t.Error("directory.env holds no token")
	}
}

func contents(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestCertificatesAreForTheirServiceAndFromOneAuthority(t *testing.T) {
	t.Parallel()
	need.Programs(t, "bash", "openssl")
	dir := t.TempDir()
	script(t, "certs.sh", dir)
	authority := contents(t, filepath.Join(dir, "ca.crt"))
	script(t, "certs.sh", dir, "email") // once more, by the same authority
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(authority)) {
		t.Fatal("ca.crt is no certificate")
	}
	for name := range programs {
		own := func(file string) string { return filepath.Join(dir, name, file) }
		pair, err := tls.LoadX509KeyPair(own("tls.crt"), own("tls.key"))
		if err != nil {
			t.Error(err)
			continue
		}
		if contents(t, own("ca.crt")) != authority {
			t.Errorf("%s has another authority", name)
		}
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name + ".filigree", KeyUsages: []x509.ExtKeyUsage{usage}})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(pair.Leaf.DNSNames) != 1 || pair.Leaf.IsCA {
			t.Errorf("%s may say it is any of %s", name, pair.Leaf.DNSNames)
		}
	}
}
