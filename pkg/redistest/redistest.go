// Package redistest starts a private, real redis-server for one test: on a unix socket, with the settings the product
// asks for, gone with the test. It is cluster-enabled with all slots on the one node, since only then does Redis refuse
// a script that touches keys of two slots.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/need"
)

// New starts a server and returns a client of it. Without redis-server the test is skipped, or fails when CI is set.
func New(t testing.TB) redis.UniversalClient {
	t.Helper()
	return Start(t).Client
}

// Server is a running redis-server that a test may kill and start again.
type Server struct {
	Client redis.UniversalClient
	Socket string

	t    testing.TB
	dir  string
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended
}

// Start starts a server.
func Start(t testing.TB) *Server {
	t.Helper()
	need.Programs(t, "redis-server")
	// t.TempDir can be longer than a socket's name may be (108 bytes).
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, dir: dir, Socket: filepath.Join(dir, "s")}
	t.Cleanup(func() {
		s.Kill()
		_ = os.RemoveAll(dir) // a leftover in the temporary folder harms nobody
	})
	s.Restart()
	s.Client = redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: []string{s.Socket},
	})
	t.Cleanup(func() { _ = s.Client.Close() })
	err = s.Client.Do(context.Background(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err()
	if err != nil {
		t.Fatalf("give the node all slots: %v", err)
	}
	err = s.wait(s.ready)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ready returns nil when the node serves its slots, which takes it two seconds.
func (s *Server) ready(ctx context.Context) error {
	info, err := s.Client.ClusterInfo(ctx).Result()
	if err == nil && !strings.HasPrefix(info, "cluster_state:ok") {
		err = fmt.Errorf("cluster not ready: %.40q", info)
	}
	return err
}

// Restart starts the server process on the same data, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	probe := redis.NewClient(&redis.Options{Network: "unix", Addr: s.Socket, MaxRetries: -1})
	defer probe.Close()
	var err error
	for range 5 {
		err = s.start()
		if err != nil {
			continue
		}
		err = s.wait(func(ctx context.Context) error { return probe.Ping(ctx).Err() })
		if err == nil && s.Client != nil {
			err = s.wait(s.ready)
		}
		if err == nil {
			return
		}
	}
	s.t.Fatalf("redis-server did not come up: %v", err)
}

// start starts the process. A node of a cluster listens on a port, too; between our finding a free one and its taking
// it somebody else may have, and then the process ends at once.
func (s *Server) start() error {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(free.Addr().String())
	err = errors.Join(err, free.Close())
	if err != nil {
		return err
	}
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", s.Socket, "--dir", s.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--bind", "127.0.0.1",
		"--cluster-enabled", "yes", "--cluster-port", port, "--loglevel", "warning")
	err = cmd.Start()
	if err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = cmd.Wait() // killed, as often as not
	}()
	s.cmd, s.gone = cmd, gone
	return nil
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // already gone is as good
		<-s.gone
	}
}

// wait polls ok until it returns nil; it gives up after a while, or when the process has ended.
func (s *Server) wait(ok func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-s.gone:
			return fmt.Errorf("redis-server ended: %w", err)
		case <-tick.C:
		}
	}
}
