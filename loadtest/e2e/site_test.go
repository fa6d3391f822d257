package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filigreehq/filigree/loadtest/internal/ledger"
	"github.com/filigreehq/filigree/pkg/need"
)

// site is a data folder and the `filigree up` that serves it. The process can be killed and started again; the folder
// stays.
type site struct {
	t    *testing.T
	dir  string
	args []string
	log  *os.File
	cmd  *exec.Cmd
	url  string
	box  ledger.Box
	// said brings what a process says below that it is ready, a line each.
	said chan string
}

// start starts `filigree up` on a new folder, with further arguments, and waits until it serves. When the test ends it
// is stopped, which must go cleanly, and the folder removed unless the test failed.
func start(t *testing.T, args ...string) *site {
	t.Helper()
	need.Programs(t, "redis-server")
	dir, err := os.MkdirTemp("", "filigree-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: filepath.Join(dir, "data"), args: args, log: log}
	s.box = ledger.NewFolder(filepath.Join(s.dir, "outbox"))
	t.Cleanup(func() {
		s.stop()
		s.buryRedis()
		_ = log.Close() // only read from now on
		if t.Failed() {
			t.Logf("kept for a look: %s\nlast lines of the log:\n%s", dir, s.tail(40))
			return
		}
		err := os.RemoveAll(dir)
		if err != nil {
			t.Error(err)
		}
	})
	s.up()
	return s
}

// up starts the process and waits for "ready". It is also the way back after a kill.
func (s *site) up() {
	s.t.Helper()
	s.cmd = exec.Command(program, append([]string{"up", "--data", s.dir, "--addr", "127.0.0.1:0", "--link-addr", "127.0.0.1:0", "--log-level", "debug"}, s.args...)...)
	s.cmd.Stderr = s.log
	s.cmd.WaitDelay = 5 * time.Second // the redis-server that outlives it has its pipes
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	err = s.cmd.Start()
	if err != nil {
		s.t.Fatalf("start filigree up: %v", err)
	}
	ready, said := make(chan string, 1), make(chan string, 100)
	s.said = said
	go func() {
		in := bufio.NewReader(out)
		line, err := in.ReadString('\n') // no line is no word of being ready
		ready <- strings.TrimSpace(line)
		for n := 0; err == nil; n++ {
			line, err = in.ReadString('\n')
			if n < cap(said) {
				said <- strings.TrimSpace(line)
			}
		}
	}()
	select {
	case line := <-ready:
		url, ok := strings.CutPrefix(line, "ready ")
		if !ok {
			s.t.Fatalf("filigree up says %q, want ready and its address; its log ends:\n%s", line, s.tail(20))
		}
		s.url = url
	case <-time.After(2 * time.Minute):
		s.t.Fatalf("filigree up is not ready after 2 min; its log ends:\n%s", s.tail(20))
	}
}

func (s *site) system() system {
	_, tokens := credentials(s.t, filepath.Join(s.dir, "credentials.json"))
	return system{url: s.url, tokens: tokens, box: s.box, site: s}
}

// kill ends the process as a power cut would. redis-server stays.
func (s *site) kill() {
	s.t.Helper()
	err := s.cmd.Process.Kill()
	if err != nil {
		s.t.Fatalf("kill filigree: %v", err)
	}
	_ = s.cmd.Wait() // "signal: killed"
	s.cmd = nil
}

// killRedis ends the redis-server of this folder as a power cut would.
func (s *site) killRedis() {
	s.t.Helper()
	pid := s.redis()
	if pid == 0 {
		s.t.Fatal("redis.json names no process")
	}
	err := syscall.Kill(pid, syscall.SIGKILL)
	if err != nil {
		s.t.Fatalf("kill redis-server %d: %v", pid, err)
	}
	await(s.t, 10*time.Second, "the end of redis-server", func() (bool, error) { return !alive(pid), nil })
}

// redis is the process of this folder's redis-server; 0 if none runs.
func (s *site) redis() int {
	text, err := os.ReadFile(filepath.Join(s.dir, "redis.json"))
	if err != nil {
		return 0
	}
	var r struct {
		Dir string `json:"dir"`
		Pid int    `json:"pid"`
	}
	err = json.Unmarshal(text, &r)
	if err != nil || !strings.HasPrefix(r.Dir, s.dir) || r.Pid == 0 || !alive(r.Pid) {
		return 0
	}
	// A number may be somebody else's by now.
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", r.Pid))
	if err != nil || !bytes.Contains(line, []byte("redis")) {
		return 0
	}
	return r.Pid
}

// alive reports whether a process runs; one that only waits to be noticed by its parent does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return len(rest) > 0 && rest[0] != 'Z' && rest[0] != 'X'
}

// stop asks the process to end and wants it to do so soon and cleanly.
func (s *site) stop() {
	if s.cmd == nil {
		return
	}
	cmd := s.cmd
	s.cmd = nil
	err := cmd.Process.Signal(syscall.SIGTERM)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("stop filigree: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
		if err != nil {
			s.t.Errorf("filigree up ended with %v after SIGTERM, want no error", err)
		}
	case <-time.After(2 * time.Minute):
		s.t.Errorf("filigree up goes on 2 min after SIGTERM")
		_ = cmd.Process.Kill() // it has been told off
		<-ended
	}
}

// buryRedis makes sure that nothing of this folder runs on. After a clean stop it finds nothing.
func (s *site) buryRedis() {
	pid := s.redis()
	if pid == 0 {
		return
	}
	s.t.Errorf("filigree up left its redis-server (process %d) running after a clean stop", pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// tail is the end of the log, without the lines that each call leaves.
func (s *site) tail(lines int) string {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	all := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(text)), "\n"), func(line string) bool {
		return strings.Contains(line, "msg=call ") || strings.Contains(line, "msg=request ")
	})
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
