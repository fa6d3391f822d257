// Package redistest starts a private, real redis-server for one test: on a unix socket, with the settings the product
// asks for, gone with the test. It is cluster-enabled with all slots on the one node, since only then does Redis refuse
// a script that touches keys of two slots.
package redistest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
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

	t   testing.TB
	dir string
	cmd *exec.Cmd
}

// Start starts a server.
func Start(t testing.TB) *Server {
	t.Helper()
	_, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed: deploy/setup.sh installs it")
		}
		t.Skip("redis-server is not installed: deploy/setup.sh installs it")
	}
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
	s.wait(func(ctx context.Context) error {
		info, err := s.Client.ClusterInfo(ctx).Result()
		if err == nil && len(info) > 16 && info[:16] != "cluster_state:ok" {
			err = fmt.Errorf("cluster not ready: %.40q", info)
		}
		return err
	})
	return s
}

// Restart starts the server process on the same data, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", s.Socket, "--dir", s.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction",
		"--cluster-enabled", "yes", "--cluster-port", "1", "--loglevel", "warning")
	err := s.cmd.Start()
	if err != nil {
		s.t.Fatalf("start redis-server: %v", err)
	}
	probe := redis.NewClient(&redis.Options{Network: "unix", Addr: s.Socket})
	defer probe.Close()
	s.wait(func(ctx context.Context) error { return probe.Ping(ctx).Err() })
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Kill() // already gone is as good
		_ = s.cmd.Wait()
	}
}

func (s *Server) wait(ok func(context.Context) error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("redis-server did not come up: %v", err)
		case <-tick.C:
		}
	}
}
