package standalone

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/directory"
	"github.com/filigreehq/filigree/services/email"
	"github.com/filigreehq/filigree/services/gateway"
	"github.com/filigreehq/filigree/services/orchestrator"
	"github.com/filigreehq/filigree/services/watermark"
)

// serve makes all services, connects them in memory and starts them, leaves first. When it returns, lis answers.
func (p *resources) serve(ctx context.Context, g *group, lis net.Listener, credentialsPath, url string) error {
	srv := rpc.NewServer(p.log)
	connect, stop := rpc.InProcess(srv)
	g.closer("calls", func() error { stop(); return nil })
	dir, err := p.directory(connect)
	if err != nil {
		return err
	}
	orch, err := p.orchestrator(ctx, connect)
	if err != nil {
		return err
	}
	marks, err := watermark.New(p.cfg.Watermark, watermark.Deps{Blobs: p.blobs, Keys: p.keys, Log: p.log})
	if err != nil {
		return err
	}
	mails, err := email.New(email.Config(p.cfg.Email), email.Deps{Blobs: p.blobs, Log: p.log})
	if err != nil {
		return err
	}
	g.closer("mail connections", mails.Close)
	dir.Register(srv)
	orch.Register(srv)
	marks.Register(srv)
	mails.Register(srv)
	err = p.credentials(ctx, dir, credentialsPath, url)
	if err != nil {
		return err
	}
	g.loop("directory", dir.Run)
	g.loop("orchestrator", orch.Run)
	err = p.work(connect, g, "watermark", runtime.GOMAXPROCS(0),
		worker.Func("watermark.Prepare", marks.Prepare), worker.Func("watermark.Stamp", marks.Stamp))
	if err != nil {
		return err
	}
	err = p.work(connect, g, "email", max(p.cfg.Email.Connections, 1), worker.Func("email.Send", mails.Send))
	if err != nil {
		return err
	}
	conn, err := connect("gateway")
	if err != nil {
		return err
	}
	cfg := gateway.DefaultConfig()
	cfg.Addr = p.cfg.Addr
	gate, err := gateway.New(cfg, gateway.Deps{
		Directory: directoryv1.NewDirectoryServiceClient(conn), Files: filev1.NewFileServiceClient(conn),
		Distributions: distributionv1.NewDistributionServiceClient(conn), Log: p.log,
	})
	if err != nil {
		return err
	}
	g.loop("gateway", func(ctx context.Context) error { return gate.Serve(ctx, lis) })
	return nil
}

func (p *resources) directory(connect connector) (*directory.Server, error) {
	conn, err := connect("directory")
	if err != nil {
		return nil, err
	}
	return directory.New(directory.DefaultConfig(), directory.Deps{
		Redis: p.redis, Blobs: p.blobs, Keys: p.keys, Watermark: watermarkv1.NewWatermarkServiceClient(conn), Log: p.log, Now: time.Now,
	})
}

func (p *resources) orchestrator(ctx context.Context, connect connector) (*orchestrator.Server, error) {
	conn, err := connect("orchestrator")
	if err != nil {
		return nil, err
	}
	return orchestrator.New(ctx, p.cfg.Orchestrator, orchestrator.Deps{
		Redis: p.redis, Directory: directoryv1.NewDirectoryServiceClient(conn), Files: filev1.NewFileServiceClient(conn), Log: p.log,
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
	creds.URL = url
	return creds.save(path)
}

type connector = func(name string) (*grpc.ClientConn, error)

// work starts a worker for functions.
func (p *resources) work(connect connector, g *group, name string, slots int, functions ...worker.Function) error {
	conn, err := connect(name)
	if err != nil {
		return err
	}
	w := worker.New(worker.Config{Name: workerName(name), Slots: slots}, taskv1.NewTaskServiceClient(conn), p.log, functions...)
	g.loop(name+" worker", w.Run)
	return nil
}

// workerName is unique per process, and says where to look.
func workerName(service string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("%s@%.30s/%d/%.4s", service, host, os.Getpid(), rand.Text())
}
