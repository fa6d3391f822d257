package standalone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/redisconf"
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/pkg/telemetry"
	"github.com/filigreehq/filigree/pkg/worker"
	"github.com/filigreehq/filigree/services/email"
	"github.com/filigreehq/filigree/services/standalone/internal/outbox"
	"github.com/filigreehq/filigree/services/standalone/internal/redisd"
)

// Run starts everything, prints "ready http://HOST:PORT" to stdout when it serves, and below it a sign-in address for each
// role, and stops in order when ctx ends. It
// returns nil after a clean stop. Logs go to stderr.
func Run(ctx context.Context, cfg Config, stdout, stderr io.Writer) error {
	err := cfg.Validate()
	if err != nil {
		return err
	}
	var level slog.Level
	err = level.UnmarshalText([]byte(cfg.LogLevel))
	if err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	log := slog.New(worker.LogHandler(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})))
	flush, err := telemetry.Start(ctx, "up", log)
	if err != nil {
		return err
	}
	defer flush()
	dir, err := cfg.dir()
	if err != nil {
		return err
	}
	err = os.MkdirAll(dir, 0o700)
	if err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	err = sandbox.Check(ctx)
	if err != nil {
		if !cfg.AcceptUnsandboxed {
			return fmt.Errorf("documents cannot be read safely on this machine: %w; start with --i-accept-unsandboxed-pdf to go on all the same", err)
		}
		log.WarnContext(ctx, "documents are read without a sandbox, as accepted", "err", err)
	}
	g := run.NewGroup(log)
	p, err := open(ctx, cfg, dir, g, log)
	if err != nil {
		return errors.Join(err, g.Stop())
	}
	lis, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return errors.Join(fmt.Errorf("serve on %s: %w; choose another address with --addr", cfg.Addr, err), g.Stop())
	}
	links, err := net.Listen("tcp", cfg.linkAddr())
	if err != nil {
		return errors.Join(fmt.Errorf("serve links on %s: %w; choose another address with --link-addr", cfg.linkAddr(), err), lis.Close(), g.Stop())
	}
	if cfg.WorkerAddr != "" {
		p.workers, err = net.Listen("tcp", cfg.WorkerAddr)
		if err != nil {
			return errors.Join(fmt.Errorf("serve workers on %s: %w; choose another address with --worker-addr", cfg.WorkerAddr, err), lis.Close(), links.Close(), g.Stop())
		}
		p.cfg.WorkerAddr = p.workers.Addr().String()
		g.Closer("workers' address", func() error {
			_ = p.workers.Close() // it is closed already if it served
			return nil
		})
	}
	if cfg.Admin != "" {
		p.admin, err = net.Listen("tcp", cfg.Admin)
		if err != nil {
			return errors.Join(fmt.Errorf("serve on %s: %w; choose another address with --admin", cfg.Admin, err), lis.Close(), links.Close(), g.Stop())
		}
		g.Closer("admin address", func() error {
			_ = p.admin.Close() // it is closed already if it served
			return nil
		})
	}
	url := cmp.Or(cfg.PublicURL, "http://"+lis.Addr().String())
	p.cfg.LinkURL = cmp.Or(cfg.LinkURL, "http://"+links.Addr().String())
	err = p.serve(ctx, g, lis, links, credentialsFile(dir), url)
	if err != nil {
		return errors.Join(err, lis.Close(), links.Close(), g.Stop())
	}
	_, _ = fmt.Fprintf(stdout, "ready %s\n", url) // nobody reads it: then nobody waits for it
	for _, s := range p.signIns {
		_, _ = fmt.Fprintf(stdout, "sign in as %s, once, within %s: %s\n", s.role, cfg.SignIns.SignInValid, s.url)
	}
	log.InfoContext(ctx, "ready", "url", url, "data", dir, "mail", p.cfg.Email.SMTP.String())
	select {
	case <-ctx.Done():
		log.InfoContext(ctx, "stopping")
	case <-g.Failed():
	}
	return g.Stop()
}

func credentialsFile(dir string) string { return filepath.Join(dir, "credentials.json") }

// resources are what services share.
type resources struct {
	cfg   Config
	dir   string // the data folder
	redis redis.UniversalClient
	blobs *blob.Bucket
	keys  *keyring.Ring
	log   *slog.Logger
	// metrics are what the services count, served on admin; that is nil when nobody is to see them.
	metrics *prometheus.Registry
	admin   net.Listener
	// workers is where functions of one's own fetch tasks; nil when they may not. stopping ends calls of theirs that wait.
	workers  net.Listener
	stopping chan struct{}
	// signIns are the addresses that this start says.
	signIns []signIn
}

// signIn is an address that signs one browser in, once.
type signIn struct{ role, url string }

// open opens the store, the blobs, the key ring and, without a mail server, the outbox.
func open(ctx context.Context, cfg Config, dir string, g *run.Group, log *slog.Logger) (*resources, error) {
	p := &resources{cfg: cfg, dir: dir, log: log, metrics: run.NewMetrics(), stopping: make(chan struct{})}
	opts, err := redisOptions(ctx, cfg, dir, g, log)
	if err != nil {
		return nil, err
	}
	p.redis = redisconf.Connect(opts)
	g.Closer("redis client", p.redis.Close)
	if cfg.Redis != "" {
		accepted, err := redisconf.Check(ctx, p.redis, cfg.AcceptUnsafeRedis)
		if err != nil {
			return nil, err
		}
		for _, a := range accepted {
			log.WarnContext(ctx, "unsafe Redis setting accepted", "setting", a)
		}
	}
	url := cfg.Blob
	if url == "" {
		url = filepath.Join(dir, "blobs")
	}
	p.blobs, err = blob.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	g.Closer("blobs", p.blobs.Close)
	p.keys, err = loadKeys(dir)
	if err != nil {
		return nil, err
	}
	if cfg.Email.SMTP == "" {
		box, err := outbox.Start(filepath.Join(dir, "outbox"), log)
		if err != nil {
			return nil, err
		}
		g.Closer("outbox", box.Close)
		p.cfg.Email.SMTP = email.URL("smtp://" + box.Addr())
	}
	return p, nil
}

// redisOptions says how to reach Redis, and starts a private one if none was given.
func redisOptions(ctx context.Context, cfg Config, dir string, g *run.Group, log *slog.Logger) (*redis.UniversalOptions, error) {
	if cfg.Redis == "" {
		server, err := redisd.Start(ctx, redisd.Config{Dir: dir, Fsync: cfg.Fsync, Log: log})
		if err != nil {
			return nil, err
		}
		g.Loop("redis-server", server.Run)
		return server.Options(), nil
	}
	return redisconf.Parse(cfg.Redis)
}

// loadKeys reads the key ring from FILIGREE_KEYS, or from the data folder, where the first start makes one.
func loadKeys(dir string) (*keyring.Ring, error) {
	path := os.Getenv("FILIGREE_KEYS")
	if path != "" {
		return keyring.Load(path)
	}
	return keyring.LoadOrCreate(filepath.Join(dir, "keys.json"))
}
