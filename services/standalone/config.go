package standalone

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/filigreehq/filigree/services/email"
	"github.com/filigreehq/filigree/services/link"
	"github.com/filigreehq/filigree/services/orchestrator"
	"github.com/filigreehq/filigree/services/push"
	"github.com/filigreehq/filigree/services/watermark"
)

// Config is what can be set about `filigree up`. Each part's settings are the part's own.
type Config struct {
	Data      string `env:"FILIGREE_DATA" placeholder:"DIR" help:"Folder for everything that is kept: records, documents, keys, credentials. Default: ~/.filigree."`
	Addr      string `env:"FILIGREE_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to serve the API; port 0 takes a free one."`
	LinkAddr  string `name:"link-addr" env:"FILIGREE_LINK_ADDR" placeholder:"HOST:PORT" help:"Where to serve recipients' links, an origin of its own; port 0 takes a free one. Default: 127.0.0.1:8081, or a free port when --addr takes one."`
	LinkURL   string `name:"link-url" env:"FILIGREE_LINK_URL" placeholder:"URL" help:"How recipients reach their links, as it stands in mails; default: http://LINK-ADDR."`
	PublicURL string `name:"public-url" env:"FILIGREE_PUBLIC_URL" placeholder:"URL" help:"How clients reach the API; default: http://ADDR."`
	Redis     string `env:"FILIGREE_REDIS" placeholder:"URL" help:"Redis to keep records in (redis://host:port, unix:///path). Default: a private redis-server in DATA."`
	Fsync     string `enum:"always,everysec" default:"always" help:"When the private redis-server's writes are on disk: always before they are answered, or everysec (a power cut may lose a second)."`
	Blob      string `env:"FILIGREE_BLOB" placeholder:"URL" help:"Where documents are kept. Default: the folder DATA/blobs."`
	LogLevel  string `name:"log-level" enum:"debug,info,warn,error" default:"info" help:"What to log to standard error: debug, info, warn or error."`

	AcceptUnsafeRedis bool `name:"i-accept-unsafe-redis" help:"Start although the given Redis can lose records: no append-only file, or an eviction policy."`
	AcceptUnsandboxed bool `name:"i-accept-unsandboxed-pdf" help:"Start although this machine cannot shut in the processes that read documents."`

	Email        mail                `embed:""`
	Drive        link.DriveConfig    `embed:""`
	Push         push.Config         `embed:"" prefix:"push-"`
	Watermark    watermark.Config    `embed:"" prefix:"watermark-"`
	Orchestrator orchestrator.Config `embed:"" prefix:"orchestrator-"`
}

// mail is email.Config without its Validate, which kong would call: no mail server is no mistake here, since the outbox
// is one then.
type mail email.Config

// Validate returns everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	_, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		errs = append(errs, fmt.Errorf("--addr %q is not HOST:PORT", c.Addr))
	}
	// Without a mail server the outbox is one, and its address is known only once it listens.
	if c.Email.SMTP != "" {
		errs = append(errs, email.Config(c.Email).Validate())
	}
	errs = append(errs, c.Drive.Validate(), c.Push.Validate(), c.Watermark.Validate(), c.Orchestrator.Validate())
	return errors.Join(errs...)
}

// linkAddr is where links are served.
func (c Config) linkAddr() string {
	if c.LinkAddr != "" {
		return c.LinkAddr
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if err == nil && port == "0" {
		return net.JoinHostPort(host, "0")
	}
	return "127.0.0.1:8081"
}

// dir is the data folder.
func (c Config) dir() (string, error) {
	if c.Data != "" {
		return filepath.Abs(c.Data)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no --data was given and there is no home folder: %w", err)
	}
	return filepath.Join(home, ".filigree"), nil
}
