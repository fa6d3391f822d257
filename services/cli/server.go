package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/filigreehq/filigree/pkg/conf"
	"github.com/filigreehq/filigree/services/cli/internal/api"
)

// serverFlags say which server a command talks to.
type serverFlags struct {
	URL   string      `name:"url" env:"FILIGREE_URL" placeholder:"URL" help:"Address of the server, http://host:port. Default: the one in the credentials file."`
	Token conf.Secret `env:"FILIGREE_TOKEN" placeholder:"TOKEN" help:"API token. Default: the fitting one in the credentials file."`
	Data  string      `env:"FILIGREE_DATA" placeholder:"DIR" help:"Folder of filigree up, with its credentials.json. Default: ~/.filigree."`
}

// productionFlag names the production a command acts in.
type productionFlag struct {
	Production string `short:"p" default:"default" placeholder:"ID" help:"Production to act in (default: ${default})."`
}

// hint is what a further command needs to act in the same production.
func (p productionFlag) hint() string {
	if p.Production == "default" {
		return ""
	}
	return " --production " + p.Production
}

// scopeFlags name what a limit, resource or credential belongs to: a production, or the studio, which is all of them.
type scopeFlags struct {
	Production string `short:"p" placeholder:"ID" help:"Production that it belongs to (default: default)."`
	Studio     bool   `help:"It belongs to no production: all of them share it. Definitions call it studio/NAME."`
}

// production is where it belongs; empty is the studio.
func (f scopeFlags) production() (string, error) {
	switch {
	case f.Studio && f.Production != "":
		return "", refuse("USAGE", "it belongs either to a production or to all: leave out --production or --studio")
	case f.Studio:
		return "", nil
	case f.Production == "":
		return "default", nil
	}
	return f.Production, nil
}

// whose is whom something belongs to, for people; production is empty for the studio's.
func whose(production string) string {
	if production == "" {
		return "all productions"
	}
	return "the production " + production
}

// called is how definitions call a limit or resource.
func called(production, name string) string {
	if production == "" {
		return "studio/" + name
	}
	return name
}

// role is whose token of the credentials file a command takes.
type role string

const (
	coordinator role = "coordinator"
	oncall      role = "oncall"
	admin       role = "admin"
)

// credentials is what `filigree up` writes on its first start.
type credentials struct {
	URL    string          `json:"url"`
	Tokens map[role]string `json:"tokens"`
}

// client finds server and token: flag, then environment (kong does both), then the credentials file.
func (s serverFlags) client(as role) (*api.Client, error) {
	base, token := s.URL, s.Token.Reveal()
	if base == "" || token == "" {
		path, err := s.credentialsPath()
		if err != nil {
			return nil, err
		}
		found, err := readCredentials(path)
		if err != nil {
			return nil, err
		}
		switch {
		case found == nil && base == "":
			return nil, refuse("NO_SERVER", "no server is named: start one here with filigree up, or name one with --url and --token "+
				"(FILIGREE_URL and FILIGREE_TOKEN); there is no %s", path)
		case found == nil:
			return nil, refuse("NO_TOKEN", "no token for %s: give one with --token or FILIGREE_TOKEN; there is no %s", base, path)
		case base == "":
			base = found.URL
		case token == "" && !sameServer(base, found.URL):
			// The tokens in the file are that server's; another must not get to see them.
			return nil, refuse("NO_TOKEN", "no token for %s: give one with --token or FILIGREE_TOKEN; %s is for %s", base, path, found.URL)
		}
		if token == "" {
			token = found.Tokens[as]
		}
		if token == "" {
			return nil, refuse("NO_TOKEN", "%s has no token for the role %s: give one with --token or FILIGREE_TOKEN", path, as)
		}
	}
	c, err := api.New(base, token, "filigree/"+version())
	if err != nil {
		return nil, refuse("USAGE", "%v", err)
	}
	return c, nil
}

func sameServer(a, b string) bool {
	return strings.TrimRight(a, "/") == strings.TrimRight(b, "/")
}

func (s serverFlags) credentialsPath() (string, error) {
	dir := s.Data
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", refuse("NO_HOME", "the data folder is not known (%v): name it with --data or FILIGREE_DATA", err)
		}
		dir = filepath.Join(home, ".filigree")
	}
	return filepath.Join(dir, "credentials.json"), nil
}

// readCredentials reads the file at path; nil if there is none.
func readCredentials(path string) (*credentials, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	var c credentials
	err = json.Unmarshal(data, &c)
	if err != nil || c.URL == "" {
		return nil, refuse("CREDENTIALS_BAD", "%s is not a credentials file of filigree up: remove it and start filigree up again, or use --url and --token", path)
	}
	return &c, nil
}
