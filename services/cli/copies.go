package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/keyring"
)

// keyFlag names the key ring of commands that work without a server.
type keyFlag struct {
	Keys string `env:"FILIGREE_KEYS" placeholder:"FILE" help:"Key ring, made on first use; copies.jsonl beside it tells whose each copy is. Default: ~/.config/filigree/keys.json."`
}

// places returns where the ring is, "" if the environment holds it itself, and where the record of copies beside it.
func (k keyFlag) places() (ring, copies string, err error) {
	ring = k.Keys
	inline := strings.HasPrefix(strings.TrimSpace(ring), "{")
	if ring == "" || inline {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", "", refuse("NO_HOME", "the key ring's place is not known (%v): name it with --keys or FILIGREE_KEYS", err)
		}
		ring = filepath.Join(home, ".config", "filigree", "keys.json")
	}
	copies = filepath.Join(filepath.Dir(ring), "copies.jsonl")
	if inline {
		ring = ""
	}
	return ring, copies, nil
}

// open returns the ring, made if there is none, and the path of the record of copies. The environment may hold the ring
// itself instead of its path; the record is then where the default ring's is.
func (k keyFlag) open(t *term) (ring *keyring.Ring, copies string, err error) {
	path, copies, err := k.places()
	if err != nil {
		return nil, "", err
	}
	if path == "" {
		ring, err = keyring.Parse([]byte(k.Keys))
	} else {
		_, missing := os.Stat(path)
		ring, err = keyring.LoadOrCreate(path)
		if err == nil && errors.Is(missing, os.ErrNotExist) {
			t.say("made a new key ring, %s: keep it safe, copies are traced with it", path)
		}
	}
	if err != nil {
		return nil, "", refuse("KEYS_BAD", "%v", err)
	}
	err = os.MkdirAll(filepath.Dir(copies), 0o700)
	if err != nil {
		return nil, "", fmt.Errorf("make a place for the record of copies: %w", err)
	}
	return ring, copies, nil
}

// find is open for what makes no copies: a ring that is not there would be of no use.
func (k keyFlag) find() (ring *keyring.Ring, copies string, err error) {
	path, copies, err := k.places()
	if err != nil {
		return nil, "", err
	}
	if path == "" {
		ring, err = keyring.Parse([]byte(k.Keys))
	} else {
		ring, err = keyring.Load(path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", refuse("KEYS_MISSING", "there is no key ring %s: name the one that the copies were made with (--keys), or the folder of the server (--data)", path)
	}
	if err != nil {
		return nil, "", refuse("KEYS_BAD", "%v", err)
	}
	return ring, copies, nil
}

// copyLine is one line of copies.jsonl.
type copyLine struct {
	Artifact string    `json:"artifact"`
	SHA256   string    `json:"sha256"`
	Name     string    `json:"name"`
	Email    string    `json:"email"`
	Time     time.Time `json:"time"`
}

// record appends to copies.jsonl, durably. It is one write, so that commands running at once do not mix their lines.
func record(path string, lines ...copyLine) error {
	var data []byte
	for _, line := range lines {
		raw, err := json.Marshal(line)
		if err != nil {
			return err
		}
		data = append(append(data, raw...), '\n')
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("record the copy: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("record the copy: %w", err)
	}
	return nil
}

// writeWhole makes the file at path with what fill writes: all of it, or nothing.
func writeWhole(path string, mode os.FileMode, fill func(*os.File) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".filigree-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already after the rename
	err = fill(tmp)
	if err == nil {
		err = errors.Join(tmp.Chmod(mode), tmp.Sync())
	}
	err = errors.Join(err, tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// writePasswords adds the orders' passwords to the file at path, as CSV. Lines of other copies stay: they are locked
// with what stands there.
func writePasswords(path string, orders []order) error {
	rows := [][]string{{"name", "email", "password", "file"}}
	made := map[string]bool{}
	for _, o := range orders {
		made[filepath.Base(o.path)] = true
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return refuse("OUT_BAD", "the passwords' file cannot be read: %v", err)
	}
	before, err := csv.NewReader(bytes.NewReader(old)).ReadAll()
	if err != nil || (len(before) > 0 && !slices.Equal(before[0], rows[0])) {
		return refuse("OUT_BAD", "%s is there and not a list of passwords of ours: move it away", path)
	}
	for _, row := range before[min(1, len(before)):] {
		if !made[row[3]] {
			rows = append(rows, row)
		}
	}
	for _, o := range orders {
		rows = append(rows, []string{harmless(o.person.Name), harmless(o.person.Email), o.password, filepath.Base(o.path)})
	}
	err = writeWhole(path, 0o600, func(f *os.File) error { return csv.NewWriter(f).WriteAll(rows) })
	if err != nil {
		return fmt.Errorf("write the passwords: %w", err)
	}
	return nil
}
