package redisd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/services/standalone/internal/redisd"
)

// helperDir makes the test binary a process that starts a server on the folder it names, says its process id, and waits.
const helperDir = "FILIGREE_REDISD_HELPER"

func TestMain(m *testing.M) {
	dir := os.Getenv(helperDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := redisd.Start(context.Background(), redisd.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.Addr())
	select {} // until killed
}

func TestRecordsSurviveTheServersDeath(t *testing.T) {
	t.Parallel()
	s := start(t, folder(t), "")
	c := client(t, s)
	must(t, c.Set(t.Context(), "k", "v", 0).Err())
	before := pid(t, c)
	must(t, syscall.Kill(before, syscall.SIGKILL))
	eventually(t, "a new server on the same socket", func() error {
		got, err := c.Get(t.Context(), "k").Result()
		if err == nil && got != "v" {
			err = fmt.Errorf("got %q, want v", got)
		}
		return err
	})
	if pid(t, c) == before {
		t.Error("the killed process answers")
	}
}

func TestCleanStopEndsTheServer(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s, err := redisd.Start(t.Context(), redisd.Config{Dir: dir})
	must(t, err)
	was := pid(t, client(t, s))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, s.Run(ctx))
	err = syscall.Kill(was, 0)
	if !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after Run returned: got %v, want no such process", was, err)
	}
	again := start(t, dir, "everysec")
	fsync, err := client(t, again).ConfigGet(t.Context(), "appendfsync").Result()
	if err != nil || fsync["appendfsync"] != "everysec" {
		t.Errorf("got %v, %v, want everysec", fsync, err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	c := client(t, start(t, folder(t), ""))
	want := map[string]string{
		"port": "0", "appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction",
		"aof-load-truncated": "yes", "protected-mode": "yes", "unixsocketperm": "700",
	}
	for name, value := range want {
		got, err := c.ConfigGet(t.Context(), name).Result()
		if err != nil || got[name] != value {
			t.Errorf("%s: got %q, %v, want %q", name, got[name], err, value)
		}
	}
}

func TestSecondStartOnOneFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	start(t, dir, "")
	_, err := redisd.Start(t.Context(), redisd.Config{Dir: dir})
	var f *fault.Error
	if !errors.As(err, &f) || f.Reason != "DATA_IN_USE" {
		t.Fatalf("got %v, want a fault DATA_IN_USE", err)
	}
	for _, want := range []string{dir, strconv.Itoa(os.Getpid())} {
		if !strings.Contains(f.Message, want) {
			t.Errorf("got %q, want it to name %s", f.Message, want)
		}
	}
}

func TestServerThatOutlivedItsParentIsAdopted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		dir   func(*testing.T) string
		spoil func(t *testing.T, dir string) // what happens between the parent's death and the next start
	}{
		{"in a short folder", folder, nil},
		{"in a folder too long for a socket", longFolder, nil},
		{"when the parent died before it recorded the process", longFolder, func(t *testing.T, dir string) {
			editRecord(t, dir, func(r map[string]any) { delete(r, "pid"); delete(r, "started") })
		}},
		{"when redis.json is lost", folder, func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "redis.json")))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := tt.dir(t)
			was := outlive(t, dir)
			if tt.spoil != nil {
				tt.spoil(t, dir)
			}
			s, err := redisd.Start(t.Context(), redisd.Config{Dir: dir, Fsync: "everysec"})
			must(t, err)
			c := client(t, s)
			if got := pid(t, c); got != was {
				t.Errorf("got process %d, want the living %d", got, was)
			}
			fsync, err := c.ConfigGet(t.Context(), "appendfsync").Result()
			if err != nil || fsync["appendfsync"] != "everysec" {
				t.Errorf("fsync of the adopted server: got %v, %v, want everysec", fsync, err)
			}
			run(t, s)
			must(t, syscall.Kill(was, syscall.SIGKILL))
			eventually(t, "a new server after the adopted one", func() error {
				return c.Get(t.Context(), "mark").Err()
			})
		})
	}
}

func TestDeadServersRecordIsNotBelieved(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	was := outlive(t, dir)
	must(t, syscall.Kill(was, syscall.SIGKILL))
	// A stranger has the number now.
	editRecord(t, dir, func(r map[string]any) { r["pid"] = os.Getpid() })
	c := client(t, start(t, dir, ""))
	must(t, c.Get(t.Context(), "mark").Err())
}

func TestCopiedFolderGetsItsOwnServer(t *testing.T) {
	t.Parallel()
	dir := longFolder(t)
	one := start(t, dir, "")
	must(t, client(t, one).Set(t.Context(), "k", "v", 0).Err())
	twin := longFolder(t)
	must(t, os.CopyFS(twin, os.DirFS(dir)))
	two := start(t, twin, "")
	if one.Addr() == two.Addr() {
		t.Errorf("both listen on %s", one.Addr())
	}
	must(t, client(t, one).Get(t.Context(), "k").Err())
	must(t, client(t, two).Get(t.Context(), "k").Err())
}

func TestLongFolder(t *testing.T) {
	t.Parallel()
	s := start(t, longFolder(t), "")
	info, err := os.Stat(filepath.Dir(s.Addr()))
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder: got mode %v, want 0700", info.Mode().Perm())
	}
	must(t, client(t, s).Ping(t.Context()).Err())
}

// Where the temporary folder is too deep as well there is nothing to be done, and nothing is left behind.
func TestLongTemporaryFolder(t *testing.T) {
	need.Programs(t, "redis-server")
	tmp := longFolder(t)
	t.Setenv("TMPDIR", tmp)
	_, err := redisd.Start(t.Context(), redisd.Config{Dir: filepath.Join(tmp, "data")})
	if err == nil || !strings.Contains(err.Error(), "set TMPDIR to a shorter folder") {
		t.Errorf("got %v, want to be told to set TMPDIR", err)
	}
	left, err := filepath.Glob(filepath.Join(tmp, "filigree-redis-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestAppendOnlyFileCutAtItsEnd(t *testing.T) {
	t.Parallel()
	for _, cut := range []int64{1, 7, 29} {
		t.Run(fmt.Sprintf("%d bytes", cut), func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			must(t, syscall.Kill(outlive(t, dir), syscall.SIGKILL))
			files, err := filepath.Glob(filepath.Join(dir, "redis", "appendonlydir", "*.incr.aof"))
			if err != nil || len(files) != 1 {
				t.Fatalf("got %v, %v, want one append-only file", files, err)
			}
			info, err := os.Stat(files[0])
			must(t, err)
			must(t, os.Truncate(files[0], info.Size()-cut))
			c := client(t, start(t, dir, ""))
			must(t, c.Get(t.Context(), "mark").Err())
			err = c.Get(t.Context(), "last").Err()
			if !errors.Is(err, redis.Nil) {
				t.Errorf("the write that was cut: got %v, want it gone", err)
			}
		})
	}
}

func TestDamagedFileIsExplained(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	must(t, os.MkdirAll(filepath.Join(dir, "redis", "appendonlydir"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "redis", "appendonlydir", "appendonly.aof.manifest"), []byte("nonsense\n"), 0o600))
	_, err := redisd.Start(t.Context(), redisd.Config{Dir: dir})
	var f *fault.Error
	if !errors.As(err, &f) || f.Reason != "REDIS_NOT_STARTED" || !strings.Contains(f.Message, "manifest") {
		t.Errorf("got %v, want a fault REDIS_NOT_STARTED with redis-server's own words", err)
	}
}

func TestRedisServerMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := redisd.Start(t.Context(), redisd.Config{Dir: t.TempDir()})
	var f *fault.Error
	if !errors.As(err, &f) || f.Reason != "REDIS_NOT_INSTALLED" || !strings.Contains(f.Message, "apt-get install redis-server") {
		t.Errorf("got %v, want a fault REDIS_NOT_INSTALLED that says how to install it", err)
	}
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	for _, cfg := range []redisd.Config{{}, {Dir: t.TempDir(), Fsync: "sometimes"}} {
		_, err := redisd.Start(t.Context(), cfg)
		var f *fault.Error
		if !errors.As(err, &f) || f.Reason != "CONFIG_INVALID" {
			t.Errorf("%+v: got %v, want a fault CONFIG_INVALID", cfg, err)
		}
	}
}

// outlive starts a server in another process, writes into it, and kills that process alone. It returns the server's
// process id; the server is killed with the test, too.
func outlive(t *testing.T, dir string) int {
	t.Helper()
	need.Programs(t, "redis-server")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperDir+"="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	must(t, err)
	socket := strings.TrimSpace(line)
	if !filepath.IsAbs(socket) {
		t.Fatalf("the helper says %q", socket)
	}
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	defer c.Close()
	must(t, c.Set(t.Context(), "mark", "v", 0).Err())
	must(t, c.Set(t.Context(), "last", "v", 0).Err())
	was := pid(t, c)
	t.Cleanup(func() { _ = syscall.Kill(was, syscall.SIGKILL) }) // usually gone
	return was
}

func editRecord(t *testing.T, dir string, edit func(map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, "redis.json")
	text, err := os.ReadFile(path)
	must(t, err)
	r := make(map[string]any)
	must(t, json.Unmarshal(text, &r))
	edit(r)
	text, err = json.Marshal(r)
	must(t, err)
	must(t, os.WriteFile(path, text, 0o600))
}

// start starts a server and runs it until the test's end.
func start(t *testing.T, dir, fsync string) *redisd.Server {
	t.Helper()
	need.Programs(t, "redis-server")
	s, err := redisd.Start(t.Context(), redisd.Config{Dir: dir, Fsync: fsync})
	must(t, err)
	run(t, s)
	return s
}

func run(t *testing.T, s *redisd.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		err := <-done
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func client(t *testing.T, s *redisd.Server) *redis.Client {
	t.Helper()
	c := redis.NewClient(s.Options().Simple())
	t.Cleanup(func() { _ = c.Close() }) // a test's client has nothing to lose
	return c
}

func pid(t *testing.T, c *redis.Client) int {
	t.Helper()
	info, err := c.InfoMap(t.Context(), "server").Result()
	must(t, err)
	n, err := strconv.Atoi(info["Server"]["process_id"])
	must(t, err)
	return n
}

// folder is a data folder with a short name and a blank in it.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redisd ")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a leftover in the temporary folder harms nobody
	return dir
}

func longFolder(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), strings.Repeat("long", 20))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}
