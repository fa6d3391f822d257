// Package s3test starts a private, real S3 server (versitygw, over a temporary folder) for one test: on a loopback port,
// with one empty bucket, gone with the test.
package s3test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/need"
)

// Bucket is the bucket that there is.
const Bucket = "filigree"

const (
	program = "versitygw"
	// override names the program where it is not in the workspace's bin/.
	override = "FILIGREE_VERSITYGW"
	region   = "us-east-1"

	keyName, secretName = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
)

// New starts a server and returns the URL of its bucket, as pkg/blob takes it. Without the program the test is skipped,
// or fails when CI is set.
//
// Where the environment has no AWS credentials this process gets some: the URL cannot carry them, and the tests of a
// process run at the same time, so that none may set them for itself.
func New(t testing.TB) string {
	t.Helper()
	return Start(t).URL
}

// Server is a running server that a test may kill and start again.
type Server struct {
	// URL is the bucket's, as pkg/blob takes it.
	URL string
	// Endpoint is the server's: http://127.0.0.1:PORT.
	Endpoint string
	// Dir is where it keeps the bucket: a folder, and the objects as files in it.
	Dir string

	t    testing.TB
	addr string
	bin  string
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended
}

// Start starts a server.
func Start(t testing.TB) *Server {
	t.Helper()
	bin, err := find()
	need.Working(t, "S3 server", err)
	if os.Getenv(keyName) == "" {
		err = errors.Join(os.Setenv(keyName, "filigree-test"), os.Setenv(secretName, "filigree-test-secret"))
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &Server{t: t, bin: bin, Dir: t.TempDir()}
	err = os.Mkdir(filepath.Join(s.Dir, Bucket), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.Restart()
	s.Endpoint = "http://" + s.addr
	s.URL = URL(s.Endpoint)
	return s
}

// URL is that of the bucket at a server that answers at endpoint, for a test with something in between.
func URL(endpoint string) string {
	q := url.Values{"endpoint": {endpoint}, "region": {region}, "s3ForcePathStyle": {"true"}}
	return "s3://" + Bucket + "?" + q.Encode()
}

// Env is what a process must find in its environment to get at the bucket.
func (s *Server) Env() []string {
	return []string{keyName + "=" + os.Getenv(keyName), secretName + "=" + os.Getenv(secretName)}
}

// find looks for the program where the environment says, or in the bin folder of the workspace around us.
func find() (string, error) {
	named := os.Getenv(override)
	if named != "" {
		_, err := os.Stat(named)
		if err != nil {
			return "", fmt.Errorf("%s: %w", override, err)
		}
		return named, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err = os.Stat(filepath.Join(dir, "go.work"))
		if err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("the S3 server for tests was not found: no workspace around here, and %s is not set", override)
		}
		dir = parent
	}
	bin := filepath.Join(dir, "bin", program)
	_, err = os.Stat(bin)
	if err != nil {
		return "", fmt.Errorf("the S3 server for tests is not built: make bin/%s", program)
	}
	return bin, nil
}

// Restart starts the server process on the same data and, from the second time on, the same port, and waits until it
// answers.
func (s *Server) Restart() {
	s.t.Helper()
	var err error
	for range 5 {
		err = s.start()
		if err == nil {
			err = s.wait()
		}
		if err == nil {
			return
		}
	}
	s.t.Fatalf("the S3 server did not come up: %v", err)
}

// start starts the process. Between our finding a free port and its taking it somebody else may have, and then it ends at
// once.
func (s *Server) start() error {
	addr := s.addr
	if s.URL == "" {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addr = free.Addr().String()
		err = free.Close()
		if err != nil {
			return err
		}
	}
	cmd := exec.Command(s.bin, "--port", addr, "--region", region, "--health", "/health", "--quiet", "--keep-alive", "posix", s.Dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+os.Getenv(keyName), "ROOT_SECRET_KEY="+os.Getenv(secretName))
	err := cmd.Start()
	if err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = cmd.Wait() // killed, as often as not
	}()
	s.addr, s.cmd, s.gone = addr, cmd, gone
	return nil
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // already gone is as good
		<-s.gone
	}
}

// wait polls until the server answers; it gives up after a while, or when the process has ended.
func (s *Server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			s.Kill()
			return err
		case <-s.gone:
			return fmt.Errorf("%s ended: %w", program, err)
		case <-tick.C:
		}
	}
}

func (s *Server) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/health", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	err = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return cmp.Or(err, fmt.Errorf("it answers %s", resp.Status))
	}
	return err
}
