package standalone

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/services/directory"
	"github.com/filigreehq/filigree/services/email"
	"github.com/filigreehq/filigree/services/gateway"
	"github.com/filigreehq/filigree/services/link"
	"github.com/filigreehq/filigree/services/observer"
	"github.com/filigreehq/filigree/services/orchestrator"
	"github.com/filigreehq/filigree/services/push"
	"github.com/filigreehq/filigree/services/watermark"
)

// Config is what can be set about `filigree up`. Each part's settings are the part's own.
type Config struct {
	Data       string  `env:"FILIGREE_DATA" placeholder:"DIR" help:"Folder for everything that is kept: records, documents, keys, credentials. Default: ~/.filigree."`
	Addr       string  `env:"FILIGREE_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to serve the API; port 0 takes a free one."`
	LinkAddr   string  `name:"link-addr" env:"FILIGREE_LINK_ADDR" placeholder:"HOST:PORT" help:"Where to serve recipients' links, an origin of its own; port 0 takes a free one. Default: 127.0.0.1:8081, or a free port when --addr takes one."`
	LinkURL    string  `name:"link-url" env:"FILIGREE_LINK_URL" placeholder:"URL" help:"How recipients reach their links, as it stands in mails; default: http://LINK-ADDR."`
	PublicURL  string  `name:"public-url" env:"FILIGREE_PUBLIC_URL" placeholder:"URL" help:"How clients reach the API; default: http://ADDR."`
	WorkerAddr string  `name:"worker-addr" env:"FILIGREE_WORKER_ADDR" placeholder:"HOST:PORT" help:"Where functions of your own fetch their tasks (gRPC); port 0 takes a free one. Default: nowhere."`
	WorkerTLS  rpc.TLS `embed:"" prefix:"worker-tls-"`
	Admin      string  `env:"FILIGREE_ADMIN" placeholder:"HOST:PORT" help:"Where to serve /metrics, /healthz and /readyz, without a token; port 0 takes a free one. Default: nowhere."`
	Observe    bool    `default:"true" negatable:"" help:"Run the observer, too. Without it there is no search, no story, no alert and no history; distributions are not harmed."`
	Redis      string  `env:"FILIGREE_REDIS" placeholder:"URL" help:"Redis to keep records in (redis://host:port, unix:///path). Default: a private redis-server in DATA."`
	Replica    string  `name:"redis-replica" env:"FILIGREE_REDIS_REPLICA" placeholder:"URL" help:"A replica of --redis, which the observer reads first."`
	Fsync      string  `enum:"always,everysec" default:"always" help:"When the private redis-server's writes are on disk: always before they are answered, or everysec (a power cut may lose a second)."`
	Blob       string  `env:"FILIGREE_BLOB" placeholder:"URL" help:"Where documents are kept. Default: the folder DATA/blobs."`
	LogLevel   string  `name:"log-level" enum:"debug,info,warn,error" default:"info" help:"What to log to standard error: debug, info, warn or error."`

	AcceptUnsafeRedis bool `name:"i-accept-unsafe-redis" help:"Start although the given Redis can lose records: no append-only file, or an eviction policy."`
	AcceptUnsandboxed bool `name:"i-accept-unsandboxed-pdf" help:"Start although this machine cannot shut in the processes that read documents."`

	SignIns      directory.SignIns   `embed:""`
	OIDC         gateway.OIDC        `embed:""`
	Email        mail                `embed:""`
	Drive        link.DriveConfig    `embed:""`
	Push         push.Config         `embed:"" prefix:"push-"`
	Watermark    watermark.Config    `embed:"" prefix:"watermark-"`
	Orchestrator orchestrator.Config `embed:"" prefix:"orchestrator-"`
	Observer     observer.Config     `embed:"" prefix:"observer-"`
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
	errs = append(errs, c.checkWorkerAddr())
	// Without a mail server the outbox is one, and its address is known only once it listens.
	if c.Email.SMTP != "" {
		errs = append(errs, email.Config(c.Email).Validate())
	}
	errs = append(errs, c.SignIns.Validate(), c.OIDC.Validate(), c.Drive.Validate(), c.Push.Validate(), c.Watermark.Validate(), c.Orchestrator.Validate(), c.Observer.Validate())
	return errors.Join(errs...)
}

// checkWorkerAddr says what is wrong with where tasks are fetched. Without TLS, whoever reaches that port is believed.
func (c Config) checkWorkerAddr() error {
	if c.WorkerAddr == "" {
		if c.WorkerTLS.On() {
			return errors.New("--worker-tls-… is given without --worker-addr")
		}
		return nil
	}
	host, _, err := net.SplitHostPort(c.WorkerAddr)
	if err != nil {
		return fmt.Errorf("--worker-addr %q is not HOST:PORT", c.WorkerAddr)
	}
	ip := net.ParseIP(host)
	if !c.WorkerTLS.On() && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--worker-addr %s is reached from other machines, and whoever reaches it is believed: take 127.0.0.1, or give --worker-tls-ca, --worker-tls-cert and --worker-tls-key", c.WorkerAddr)
	}
	return c.WorkerTLS.Validate()
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
