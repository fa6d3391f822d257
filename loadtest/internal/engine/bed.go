package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/loadtest/internal/rig"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
)

// production is whose distributions are measured, unless others are named.
const production = "load"

// bed is an orchestrator in a process of its own, on a Redis, with workers in this process.
type bed struct {
	*rig.Rig
	log           *slog.Logger
	redis         *rig.Redis
	orchestrator  *rig.Process
	distributions distributionv1.DistributionServiceClient
	load          workload
}

// open starts a bed; r ends it.
func open(ctx context.Context, r *rig.Rig, o Options, load workload, log *slog.Logger) (*bed, error) {
	b := &bed{Rig: r, log: log, load: load}
	var err error
	if o.Redis == "" {
		b.redis, err = r.StartRedis(ctx, o.Fsync)
	} else {
		b.redis, err = r.OpenRedis(o.Redis)
	}
	if err != nil {
		return nil, err
	}
	others, err := b.directory()
	if err != nil {
		return nil, err
	}
	program, err := r.Program(ctx, "orchestrator")
	if err != nil {
		return nil, err
	}
	args := []string{"--redis", b.redis.URL, "--directory", others, "--link", others, "--log-level", "warn", "--i-accept-unsafe-redis"}
	if o.Profile != "" {
		args = append(args, "--pprof")
	}
	b.orchestrator, err = r.Start(ctx, true, program, args...)
	if err != nil {
		return nil, err
	}
	conn, err := b.dial()
	if err != nil {
		return nil, err
	}
	b.distributions = distributionv1.NewDistributionServiceClient(conn)
	if load.source != "" {
		_, err = definitionv1.NewDefinitionServiceClient(conn).PutDefinition(ctx, &definitionv1.PutDefinitionRequest{Source: load.source})
		if err != nil {
			return nil, fmt.Errorf("put the definition: %w", err)
		}
	}
	return b, b.work(o)
}

// directory serves what the orchestrator needs of others, and returns where.
func (b *bed) directory() (address string, err error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("serve a directory: %w", err)
	}
	srv := rpc.NewServer(b.log)
	directoryv1.RegisterDirectoryServiceServer(srv, directory{})
	filev1.RegisterFileServiceServer(srv, directory{})
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(lis) }) // ends with Stop
	b.Closer(func() error {
		srv.Stop()
		serving.Wait()
		return nil
	})
	return lis.Addr().String(), nil
}

// dial connects to the orchestrator as a service, with the real interceptors.
func (b *bed) dial() (*grpc.ClientConn, error) {
	conn, err := rpc.Dial(b.orchestrator.Word("grpc"), "loadtest", "orchestrator", rpc.TLS{})
	if err != nil {
		return nil, fmt.Errorf("connect to the orchestrator: %w", err)
	}
	b.Closer(conn.Close)
	return conn, nil
}

// work starts the workers, each on a connection of its own as if in a process of its own.
func (b *bed) work(o Options) error {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range o.Workers {
		conn, err := b.dial()
		if err != nil {
			cancel()
			return err
		}
		w := worker.Over(worker.Config{Name: "load-" + strconv.Itoa(i+1), Slots: o.Slots}, conn, b.log, b.load.functions...)
		running.Go(func() { _ = w.Run(ctx) }) // returns nil when it was told to stop
	}
	b.Closer(func() error {
		cancel()
		running.Wait()
		return nil
	})
	return nil
}

// order asks for a distribution of n items to one file's n recipients; beyond the most that one may have, of more files.
func (b *bed) order(in string, n int) *distributionv1.CreateDistributionRequest {
	req := &distributionv1.CreateDistributionRequest{Production: in, Title: "Load", IdempotencyKey: rand.Text(), Definition: b.load.definition}
	files := (n + MostRecipients - 1) / MostRecipients
	for i := range files {
		sum := sha256.Sum256([]byte(strconv.Itoa(i)))
		req.Files = append(req.Files, &distributionv1.FileRef{Sha256: hex.EncodeToString(sum[:])})
	}
	for i := range n / files {
		req.Recipients = append(req.Recipients, &distributionv1.RecipientInput{Name: fmt.Sprint("Person ", i+1), Email: fmt.Sprintf("p%d@example.com", i+1)})
	}
	return req
}

const (
	// MostRecipients is the most that a distribution may have.
	MostRecipients = 10_000
	// MostItems is the most that one has here; the product takes twice as many.
	MostItems = 100_000
)

// runAll runs n items, as several distributions one after the other when they are more than one may have. id is the last.
func (b *bed) runAll(ctx context.Context, in string, n int) (id string, took time.Duration, err error) {
	for n > 0 && err == nil {
		part := min(n, MostItems)
		var t time.Duration
		id, t, err = b.run(ctx, in, part)
		n, took = n-part, took+t
	}
	return id, took, err
}

// run runs a distribution of n items to its end, and says how long that took, from the request on.
func (b *bed) run(ctx context.Context, in string, n int) (id string, took time.Duration, err error) {
	req := b.order(in, n)
	start := time.Now()
	resp, err := b.distributions.CreateDistribution(ctx, req)
	if err != nil {
		return "", 0, fmt.Errorf("create a distribution: %w", err)
	}
	id = resp.GetDistribution().GetId()
	err = b.ended(ctx, in, id)
	return id, time.Since(start), err
}

// ended waits for a distribution's end, which must be a good one. It looks again after a hundredth of the time that has
// passed, so that it is neither late by more than that nor a load.
func (b *bed) ended(ctx context.Context, in, id string) error {
	start := time.Now()
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		resp, err := b.distributions.GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: in, Distribution: id})
		if err != nil {
			return fmt.Errorf("look at distribution %s: %w", id, err)
		}
		d := resp.GetDistribution()
		if d.GetEndedAt() != nil {
			if d.GetState() != "completed" {
				return fmt.Errorf("distribution %s ended as %s (%v), want it completed; the orchestrator's last words:\n%s", id, d.GetState(), d.GetItems(), b.orchestrator.LastWords())
			}
			return nil
		}
		look.Reset(max(time.Millisecond, time.Since(start)/100))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-b.orchestrator.Gone():
			return errors.New("the orchestrator ended in the middle; its last words:\n" + b.orchestrator.LastWords())
		case <-look.C:
		}
	}
}
