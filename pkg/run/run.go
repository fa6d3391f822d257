// Package run is the frame of a service's process: flags and environment, logs, the gRPC server, an admin port with
// health, readiness and metrics, signals, and stopping in order: not ready, nothing new, finish, close.
package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/telemetry"
	"github.com/filigreehq/filigree/pkg/worker"
)

// Flags are what every process takes.
type Flags struct {
	Listen   string        `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where to serve gRPC; port 0 takes a free one."`
	Admin    string        `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where to serve /healthz, /readyz and /metrics; port 0 takes a free one."`
	LogLevel string        `name:"log-level" enum:"debug,info,warn,error" default:"info" help:"What to log to standard error: debug, info, warn or error."`
	Pprof    bool          `help:"Serve /debug/pprof/profile, heap, allocs, goroutine, mutex and block on --admin, too; whoever reaches it can slow the process down."`
	Drain    time.Duration `default:"0s" help:"How long to go on serving after readiness was taken back, so that balancers notice."`
	TLS      rpc.TLS       `embed:"" prefix:"tls-"`
}

// Service is a service's process: its flags, and how it is put together. Build starts nothing but what it hands to h.
type Service interface {
	Common() *Flags
	Build(ctx context.Context, h *Host) error
}

// Common makes Flags, embedded, give themselves to Main.
func (f *Flags) Common() *Flags { return f }

// Host is what a process offers its service.
type Host struct {
	*Group
	Log     *slog.Logger
	Metrics prometheus.Registerer

	name   string
	flags  *Flags
	server *grpc.Server
	health []func(context.Context) error
	ready  []string // more to say when ready: "http 127.0.0.1:8080"

	stopping chan struct{}
}

// Server is where the service registers itself.
func (h *Host) Server() grpc.ServiceRegistrar { return h.server }

// Stopping is closed when the process begins to stop, for calls that would wait longer than it wants to.
func (h *Host) Stopping() <-chan struct{} { return h.stopping }

// Health makes check part of readiness.
func (h *Host) Health(check func(context.Context) error) { h.health = append(h.health, check) }

// Says adds a word about where something is served to what is printed when ready.
func (h *Host) Says(what, address string) { h.ready = append(h.ready, what+"="+address) }

// Dial connects to the service named peer at addresses ("host:port", several with commas between); the connection is
// closed with the process.
func (h *Host) Dial(peer, addresses string) (*grpc.ClientConn, error) {
	if addresses == "" {
		return nil, fmt.Errorf("no address of the %s service is given: --%s", peer, peer)
	}
	conn, err := rpc.Dial(addresses, h.name, peer, h.flags.TLS)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", peer, err)
	}
	h.Closer("connection to "+peer, conn.Close)
	return conn, nil
}

// Work starts a worker that serves functions from the orchestrators at addresses.
func (h *Host) Work(addresses string, slots int, functions ...worker.Function) error {
	conn, err := h.Dial("orchestrator", addresses)
	if err != nil {
		return err
	}
	w := worker.Over(worker.Config{Name: WorkerName(h.name), Slots: slots}, conn, h.Log, functions...)
	h.Loop("worker", w.Run)
	return nil
}

// WorkerName is unique per process, and says where to look.
func WorkerName(service string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("%s@%.30s/%d/%.4s", service, host, os.Getpid(), rand.Text())
}

// Main runs service s as process name until SIGINT or SIGTERM, and exits. Flags are also read from the environment:
// --lease of the orchestrator is FILIGREE_ORCHESTRATOR_LEASE.
func Main(name string, s Service) {
	kong.Parse(s, kong.Name(name), kong.Description("The "+name+" service of Filigree."),
		kong.DefaultEnvars("FILIGREE_"+strings.ToUpper(name)))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := Run(ctx, name, s)
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", name, err) // there is nobody else to tell
		os.Exit(1)
	}
}

// Run runs service s as process name until ctx ends. When it serves it prints "ready name grpc=… admin=…" to standard
// output. It returns nil after a clean stop.
func Run(ctx context.Context, name string, s Service) error {
	flags := s.Common()
	var level slog.Level
	err := level.UnmarshalText([]byte(flags.LogLevel))
	if err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	log := slog.New(worker.LogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))).With("service", name)
	flush, err := telemetry.Start(ctx, name, log)
	if err != nil {
		return err
	}
	defer flush()
	metrics := NewMetrics()
	server, err := rpc.NewSecureServer(log, flags.TLS)
	if err != nil {
		return err
	}
	h := &Host{
		Group: NewGroup(log), Log: log, name: name, flags: flags, server: server, stopping: make(chan struct{}),
		Metrics: prometheus.WrapRegistererWith(prometheus.Labels{"service": name}, metrics),
	}
	var serving atomic.Bool
	admin, err := net.Listen("tcp", flags.Admin)
	if err != nil {
		return fmt.Errorf("serve on --admin %s: %w", flags.Admin, err)
	}
	ready := func(ctx context.Context) error {
		if !serving.Load() {
			return errors.New("not serving")
		}
		for _, check := range h.health {
			err := check(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	}
	h.Loop("admin", func(ctx context.Context) error { return ServeAdmin(ctx, admin, metrics, ready, flags.Pprof) })
	err = s.Build(ctx, h)
	if err != nil {
		return errors.Join(err, h.Stop())
	}
	lis, err := net.Listen("tcp", flags.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("serve on --listen %s: %w", flags.Listen, err), h.Stop())
	}
	h.Loop("grpc", func(ctx context.Context) error { return rpc.Serve(ctx, server, lis) })
	serving.Store(true)
	fmt.Println(strings.Join(append([]string{"ready", name, "grpc=" + lis.Addr().String(), "admin=" + admin.Addr().String()}, h.ready...), " "))
	log.InfoContext(ctx, "ready", "grpc", lis.Addr().String(), "admin", admin.Addr().String(), "tls", flags.TLS.On())
	select {
	case <-ctx.Done():
		log.Info("stopping")
	case <-h.Failed():
	}
	serving.Store(false)
	if flags.Drain > 0 && ctx.Err() != nil {
		timer := time.NewTimer(flags.Drain)
		<-timer.C
	}
	close(h.stopping)
	return h.Stop()
}
