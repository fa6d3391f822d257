package standalone

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/pkg/worker"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/console"
	"github.com/filigreehq/filigree/services/directory"
	"github.com/filigreehq/filigree/services/email"
	"github.com/filigreehq/filigree/services/gateway"
	"github.com/filigreehq/filigree/services/link"
	"github.com/filigreehq/filigree/services/observer"
	"github.com/filigreehq/filigree/services/orchestrator"
	"github.com/filigreehq/filigree/services/push"
	"github.com/filigreehq/filigree/services/thumbnail"
	"github.com/filigreehq/filigree/services/watermark"
)

// serve makes all services, connects them in memory and starts them, leaves first. When it returns, lis and links answer.
func (p *resources) serve(ctx context.Context, g *run.Group, lis, links net.Listener, credentialsPath, url string) error {
	srv := rpc.NewServer(p.log)
	connect, stop := rpc.InProcess(srv)
	g.Closer("calls", func() error { stop(); return nil })
	dir, err := p.directory(connect)
	if err != nil {
		return err
	}
	orch, err := p.orchestrator(ctx, connect)
	if err != nil {
		return err
	}
	// The observer serves the reads of services that others serve, too: it has a listener of its own.
	observing := rpc.NewServer(p.log)
	observe, stopObserving := rpc.InProcess(observing)
	g.Closer("calls to the observer", func() error { stopObserving(); return nil })
	var obs *observer.Server
	if p.cfg.Observe {
		obs, err = p.observer(connect, url)
		if err != nil {
			return err
		}
		g.Closer("index", obs.Close)
		obs.Register(observing)
	}
	f, err := p.functions(ctx, connect, observe)
	if err != nil {
		return err
	}
	g.Closer("mail connections", f.email.Close)
	g.Closer("push", f.push.Close)
	for _, s := range []interface{ Register(grpc.ServiceRegistrar) }{dir, orch, f.watermark, f.thumbnail, f.link, f.email, f.push} {
		s.Register(srv)
	}
	err = p.credentials(ctx, dir, credentialsPath, url)
	if err != nil {
		return err
	}
	for _, role := range roles {
		code, err := dir.NewSignIn(ctx, role, []string{"*"}, "start")
		if err != nil {
			return fmt.Errorf("make a sign-in address for the role %s: %w", role, err)
		}
		// Behind the # it reaches no server's log and no Referer.
		p.signIns = append(p.signIns, signIn{role, strings.TrimRight(url, "/") + "/sign-in#" + code})
	}
	g.Loop("directory", dir.Run)
	g.Loop("orchestrator", orch.Run)
	if obs != nil {
		g.Loop("observer", obs.Run)
	}
	for _, w := range []struct {
		name      string
		slots     int
		functions []worker.Function
	}{
		// These wait for the disk most of the time. What computes for long is bounded where it does.
		{"watermark", 4 * runtime.GOMAXPROCS(0), f.watermark.Functions()},
		{"thumbnail", 4 * runtime.GOMAXPROCS(0), f.thumbnail.Functions()},
		{"link", 8, f.link.Functions()},
		{"email", max(p.cfg.Email.Connections, 1), f.email.Functions()},
		{"push", 16, f.push.Functions()},
	} {
		err = p.work(connect, g, w.name, w.slots, w.functions...)
		if err != nil {
			return err
		}
	}
	conn, err := connect("gateway")
	if err != nil {
		return err
	}
	toObserver, err := p.toObserver(observe, "gateway")
	if err != nil {
		return err
	}
	cfg := gateway.DefaultConfig()
	cfg.Addr, cfg.PublicURL, cfg.OIDC = p.cfg.Addr, p.cfg.PublicURL, p.cfg.OIDC
	if cfg.OIDC.Issuer != "" {
		cfg.PublicURL = url // where the provider sends browsers back to
	}
	gate, err := gateway.New(cfg, gateway.Deps{
		Directory: directoryv1.NewDirectoryServiceClient(conn), Files: filev1.NewFileServiceClient(conn),
		Credentials: credentialv1.NewCredentialServiceClient(conn), Distributions: distributionv1.NewDistributionServiceClient(conn),
		Definitions: definitionv1.NewDefinitionServiceClient(conn), Control: controlv1.NewControlServiceClient(conn),
		Schedules: schedulev1.NewScheduleServiceClient(conn), Sessions: sessionv1.NewSessionServiceClient(conn), Thumbnails: thumbnailv1.NewThumbnailServiceClient(conn),
		Observer: toObserver, Blobs: p.blobs, Console: console.Files(), Log: p.log,
	})
	if err != nil {
		return err
	}
	if p.workers != nil {
		err = p.serveWorkers(g, orch)
		if err != nil {
			return err
		}
	}
	if p.admin != nil {
		g.Loop("admin", func(ctx context.Context) error { return run.ServeAdmin(ctx, p.admin, p.metrics, orch.Health, false) })
		p.log.InfoContext(ctx, "metrics are served", "addr", p.admin.Addr().String())
	}
	g.Loop("links", func(ctx context.Context) error { return f.link.Serve(ctx, links) })
	g.Loop("gateway", func(ctx context.Context) error { return gate.Serve(ctx, lis) })
	return nil
}

// serveWorkers serves TaskService, and nothing else, to workers in other processes.
func (p *resources) serveWorkers(g *run.Group, orch taskv1.TaskServiceServer) error {
	srv, err := rpc.NewSecureServer(p.log, p.cfg.WorkerTLS)
	if err != nil {
		return fmt.Errorf("--worker-addr: %w", err)
	}
	taskv1.RegisterTaskServiceServer(srv, orch)
	g.Loop("workers", func(ctx context.Context) error { return rpc.Serve(ctx, srv, p.workers) })
	g.Closer("workers' calls", func() error { close(p.stopping); return nil })
	return nil
}

// functions are the services that do steps.
type functions struct {
	watermark *watermark.Server
	thumbnail *thumbnail.Server
	link      *link.Server
	email     *email.Server
	push      *push.Server
}

func (p *resources) functions(ctx context.Context, connect, observe connector) (functions, error) {
	var f functions
	conn, err := connect("functions")
	if err != nil {
		return f, err
	}
	f.watermark, err = watermark.New(p.cfg.Watermark, watermark.Deps{Blobs: p.blobs, Keys: p.keys, Log: p.log})
	if err != nil {
		return f, err
	}
	f.thumbnail, err = thumbnail.New(thumbnail.DefaultConfig(), thumbnail.Deps{
		Blobs: p.blobs, Watermark: watermarkv1.NewWatermarkServiceClient(conn), Log: p.log})
	if err != nil {
		return f, err
	}
	cfg := link.DefaultConfig()
	cfg.Addr, cfg.URL = p.cfg.linkAddr(), p.cfg.LinkURL
	drive, err := link.OpenDrive(ctx, p.cfg.Drive, p.blobs)
	if err != nil {
		return f, err
	}
	toObserver, err := p.toObserver(observe, "link")
	if err != nil {
		return f, err
	}
	f.link, err = link.New(cfg, link.Deps{Redis: p.redis, Blobs: p.blobs, Keys: p.keys, Drive: drive, Observer: toObserver, Log: p.log})
	if err != nil {
		return f, err
	}
	f.email, err = email.New(email.Config(p.cfg.Email), email.Deps{Blobs: p.blobs, Links: linkv1.NewLinkServiceClient(conn), Log: p.log})
	if err != nil {
		return f, err
	}
	f.push, err = push.New(p.cfg.Push, push.Deps{Directory: directoryv1.NewDirectoryServiceClient(conn), Log: p.log})
	return f, err
}

func (p *resources) directory(connect connector) (*directory.Server, error) {
	conn, err := connect("directory")
	if err != nil {
		return nil, err
	}
	cfg := directory.DefaultConfig()
	cfg.SignIns = p.cfg.SignIns
	return directory.New(cfg, directory.Deps{
		Redis: p.redis, Blobs: p.blobs, Keys: p.keys, Watermark: watermarkv1.NewWatermarkServiceClient(conn), Log: p.log, Now: time.Now,
	})
}

func (p *resources) orchestrator(ctx context.Context, connect connector) (*orchestrator.Server, error) {
	conn, err := connect("orchestrator")
	if err != nil {
		return nil, err
	}
	return orchestrator.New(ctx, p.cfg.Orchestrator, orchestrator.Deps{
		Redis: p.redis, Directory: directoryv1.NewDirectoryServiceClient(conn), Files: filev1.NewFileServiceClient(conn),
		Credentials: credentialv1.NewCredentialServiceClient(conn), Links: linkv1.NewLinkServiceClient(conn), Log: p.log,
		Metrics: prometheus.WrapRegistererWith(prometheus.Labels{"service": "orchestrator"}, p.metrics), Stopping: p.stopping,
	})
}

// toObserver is a connection to the observer; nil when there is none.
func (p *resources) toObserver(observe connector, name string) (grpc.ClientConnInterface, error) {
	if !p.cfg.Observe {
		return nil, nil
	}
	return observe(name)
}

func (p *resources) observer(connect connector, url string) (*observer.Server, error) {
	conn, err := connect("observer")
	if err != nil {
		return nil, err
	}
	var replica redis.UniversalClient
	if p.cfg.Replica != "" {
		replica, err = observer.OpenReplica(p.cfg.Replica, "")
		if err != nil {
			return nil, err
		}
	}
	dir := filepath.Join(p.dir, "observer")
	err = os.MkdirAll(dir, 0o700)
	if err != nil {
		return nil, fmt.Errorf("make the observer's folder: %w", err)
	}
	cfg := p.cfg.Observer
	cfg.PublicURL = cmp.Or(cfg.PublicURL, url)
	return observer.New(cfg, observer.Deps{
		Redis: p.redis, Replica: replica, Blobs: p.blobs, Keys: p.keys, Dir: dir,
		Distributions: distributionv1.NewDistributionServiceClient(conn), Control: controlv1.NewControlServiceClient(conn),
		Directory: directoryv1.NewDirectoryServiceClient(conn), Credentials: credentialv1.NewCredentialServiceClient(conn),
		Links: linkv1.NewLinkServiceClient(conn), Email: emailv1.NewEmailServiceClient(conn), Log: p.log, Stopping: p.stopping,
	})
}

// credentials makes the first production, and the tokens of credentials.json valid, before anybody can read them there.
func (p *resources) credentials(ctx context.Context, dir *directory.Server, path, url string) error {
	err := dir.EnsureProduction(ctx, "default", "Default")
	if err != nil {
		return fmt.Errorf("create production default: %w", err)
	}
	creds, err := loadCredentials(path)
	if err != nil {
		return err
	}
	for _, role := range roles {
		err = dir.EnsureToken(ctx, creds.Tokens[role], role, []string{"*"}, "first start")
		if err != nil {
			return fmt.Errorf("token of role %s in %s: %w", role, path, err)
		}
	}
	creds.URL, creds.LinkURL, creds.WorkerAddr, creds.AdminAddr = url, p.cfg.LinkURL, p.cfg.WorkerAddr, ""
	if p.admin != nil {
		creds.AdminAddr = p.admin.Addr().String()
	}
	return creds.save(path)
}

type connector = func(name string) (*grpc.ClientConn, error)

// work starts a worker for functions.
func (p *resources) work(connect connector, g *run.Group, name string, slots int, functions ...worker.Function) error {
	conn, err := connect(name)
	if err != nil {
		return err
	}
	w := worker.Over(worker.Config{Name: run.WorkerName(name), Slots: slots}, conn, p.log, functions...)
	g.Loop(name+" worker", w.Run)
	return nil
}
