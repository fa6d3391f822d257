package standalone

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/filigreehq/filigree/services/directory"
)

// roles are those that a fresh installation has a token for.
var roles = []string{"admin", "coordinator", "oncall"}

// credentials is DIR/credentials.json: where this server is, and a token for each role. Only its owner may read it.
type credentials struct {
	URL     string `json:"url"`
	LinkURL string `json:"link_url"`
	// WorkerAddr is where functions of one's own fetch their tasks, if they may.
	WorkerAddr string `json:"worker_addr,omitempty"`
	// AdminAddr is where metrics are, if anywhere.
	AdminAddr string            `json:"admin_addr,omitempty"`
	Tokens    map[string]string `json:"tokens"`
}

// loadCredentials reads the file at path, or makes up credentials with fresh tokens if there is none. It writes nothing.
func loadCredentials(path string) (credentials, error) {
	c := credentials{Tokens: map[string]string{}}
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("read %s: %w", path, err)
	}
	for _, role := range roles {
		if c.Tokens[role] == "" {
			c.Tokens[role] = directory.NewSecret()
		}
	}
	return c, nil
}

// save writes c to path, whole or not at all.
func (c credentials) save(path string) error {
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = tmp.Write(append(raw, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // the first error is the one to tell
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
