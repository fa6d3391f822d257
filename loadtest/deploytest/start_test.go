package deploytest

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/need"
)

// makeSecrets runs deploy/secrets.sh and returns the folder.
func makeSecrets(t *testing.T) string {
	t.Helper()
	need.Programs(t, "bash", "openssl")
	dir := t.TempDir()
	script(t, "secrets.sh", dir)
	return dir
}

func script(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(deploy, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("deploy/%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// Every service starts with the very arguments of compose.yaml and of the manifests, with addresses and folders of this
// machine in their place, and says that it is ready while nobody it calls is there: a name leads to those that are ready
// only, so waiting for each other would be for ever. Then it answers the health check of its image, and stops when told.
func TestEveryServiceStartsAsDeployed(t *testing.T) {
	t.Parallel()
	need.Programs(t, "redis-server", "qpdf", "pdftoppm")
	secrets := makeSecrets(t)
	script(t, "certs.sh", filepath.Join(secrets, "tls"))
	redis := startRedis(t)
	probe := filepath.Join(t.TempDir(), "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", probe, ".")
	build.Dir, build.Env = filepath.Join(deploy, "tools", "probe"), append(os.Environ(), "GOWORK=off")
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	all := manifests(t)
	for name, c := range composed(t, secrets, "compose.tls.yaml") {
		t.Run("compose "+name, func(t *testing.T) { starts(t, c, secrets, redis, probe) })
		t.Run("kubernetes "+name, func(t *testing.T) { starts(t, all.pod(t, name), secrets, redis, probe) })
	}
}

var adminAddress = regexp.MustCompile(` admin=(\S+)`)

func starts(t *testing.T, c container, secrets, redis, probe string) {
	t.Helper()
	t.Parallel()
	blobs := t.TempDir()
	here := func(flag, value string) string {
		switch {
		case flag == "listen" || flag == "admin" || flag == "addr":
			return "127.0.0.1:0"
		case flag == "redis":
			return redis
		case flag == "blob":
			return blobs
		case flag == "keys":
			return filepath.Join(secrets, filepath.Base(value))
		case strings.HasPrefix(flag, "tls-"):
			return filepath.Join(secrets, "tls", c.service, filepath.Base(value))
		case flag == "admin-token" && value == "secret":
			return "fg_" + strings.Repeat("A", 43)
		case flag == "drain":
			return "0s" // nobody balances here
		}
		return value
	}
	cmd := exec.Command(programs[c.service].path)
	for _, arg := range c.args {
		flag, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		cmd.Args = append(cmd.Args, "--"+flag+"="+here(flag, value))
	}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}
	for variable, value := range c.env {
		flag := flagOf(c.service, variable)
		if flag == "redis-password" { // this machine's has none
			continue
		}
		cmd.Env = append(cmd.Env, variable+"="+here(flag, value))
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }) // it may have ended by itself
	defer limit.Stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	admin := adminAddress.FindStringSubmatch(line)
	if err != nil || !strings.HasPrefix(line, "ready "+c.service+" ") || admin == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("%s %s\nsays %q, not that it is ready:\n%s", c.service, strings.Join(cmd.Args[1:], " "), line, log.String())
	}
	out, probeErr := exec.CommandContext(t.Context(), probe, "http://"+admin[1]+"/readyz").CombinedOutput()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	err = cmd.Wait()
	if probeErr != nil {
		t.Errorf("health check: %v: %s", probeErr, out)
	}
	if err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, log.String())
	}
}

// startRedis starts Redis as compose.yaml does, on a socket, and returns its address.
func startRedis(t *testing.T) string {
	t.Helper()
	command := read(t, filepath.Join(deploy, "compose.yaml"))[0].at("services", "redis", "command").texts()
	dir, err := os.MkdirTemp("", "fg-redis-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a leftover in the temporary folder harms nobody
	socket := filepath.Join(dir, "s")
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, command[0], append(command[1:], "--port", "0", "--unixsocket", socket, "--dir", dir)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was told to stop
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "ready to accept connections") {
			go func() {
				for lines.Scan() { // until it ends: a full pipe would stop it
				}
			}()
			return "unix://" + socket
		}
	}
	t.Fatal("redis-server ended before it was ready")
	return ""
}
