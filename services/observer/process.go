package observer

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/redisconf"
	"github.com/filigreehq/filigree/pkg/run"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
)

// Process is an observer in a process of its own.
type Process struct {
	run.Flags
	Redis        redisconf.Flags `embed:""`
	Replica      string          `name:"redis-replica" placeholder:"URL" help:"A replica of Redis, which is read first; the same password as --redis-password."`
	Keys         keyring.Flags   `embed:""`
	Blob         string          `required:"" placeholder:"URL" help:"Where documents are kept, and the archive: a folder, or s3://bucket?region=…."`
	Data         string          `required:"" placeholder:"DIR" help:"Folder for the index, of this observer alone. What is in it is made anew when it is lost."`
	Orchestrator string          `required:"" placeholder:"HOST:PORT" help:"Where distributions are, for what is to be done about something; several replicas with commas between."`
	Directory    string          `required:"" placeholder:"HOST:PORT" help:"Where the directory is; several replicas with commas between."`
	Link         string          `required:"" placeholder:"HOST:PORT" help:"Where the link service is; several replicas with commas between."`
	Email        string          `placeholder:"HOST:PORT" help:"Where the email service is, for alerts by mail; empty: there are none."`
	Config       Config          `embed:""`
}

// Build implements run.Service.
func (p *Process) Build(ctx context.Context, h *run.Host) error {
	client, err := p.Redis.OpenAbsent(ctx, h.Log)
	if err != nil {
		return err
	}
	h.Closer("redis", client.Close)
	var replica redis.UniversalClient
	if p.Replica != "" {
		replica, err = OpenReplica(p.Replica, p.Redis.Password.Reveal())
		if err != nil {
			return err
		}
		h.Closer("redis replica", replica.Close)
	}
	blobs, err := blob.Open(ctx, p.Blob)
	if err != nil {
		return err
	}
	h.Closer("blobs", blobs.Close)
	keys, err := p.Keys.Open()
	if err != nil {
		return err
	}
	err = os.MkdirAll(p.Data, 0o700)
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	orch, err := h.Dial("orchestrator", p.Orchestrator)
	if err != nil {
		return err
	}
	dir, err := h.Dial("directory", p.Directory)
	if err != nil {
		return err
	}
	link, err := h.Dial("link", p.Link)
	if err != nil {
		return err
	}
	var mail emailv1.EmailServiceClient
	if p.Email != "" {
		conn, err := h.Dial("email", p.Email)
		if err != nil {
			return err
		}
		mail = emailv1.NewEmailServiceClient(conn)
	}
	s, err := New(p.Config, Deps{
		Redis: client, Replica: replica, Blobs: blobs, Keys: keys, Dir: p.Data,
		Distributions: distributionv1.NewDistributionServiceClient(orch), Control: controlv1.NewControlServiceClient(orch),
		Directory: directoryv1.NewDirectoryServiceClient(dir), Credentials: credentialv1.NewCredentialServiceClient(dir),
		Links: linkv1.NewLinkServiceClient(link), Email: mail, Log: h.Log, Now: time.Now, Stopping: h.Stopping(),
	})
	if err != nil {
		return err
	}
	h.Closer("index", s.Close)
	s.Register(h.Server())
	h.Health(s.Health)
	h.Loop("observer", s.Run)
	return nil
}

// OpenReplica returns a client that reads from the replica at url; url may be that of a cluster's nodes, whose replicas are
// read then. Nothing is asked yet.
func OpenReplica(url, password string) (redis.UniversalClient, error) {
	opts, err := redisconf.Parse(url)
	if err != nil {
		return nil, fmt.Errorf("--redis-replica: %w", err)
	}
	if password != "" {
		opts.Password = password
	}
	opts.ReadOnly = true
	return redisconf.Connect(opts), nil
}
