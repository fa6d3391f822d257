package redisd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/fault"
)

// A child is one life of a redis-server.
type child struct {
	proc    *os.Process
	socket  string
	adopted bool          // it was found running
	ended   chan struct{} // closed when the process is gone
	why     string        // how it ended; read after ended
}

// start starts a child that inherits lock, and waits until it answers.
func (s *Server) start(ctx context.Context, lock *os.File) (*child, error) {
	defer lock.Close() // the child has its own copy by then, or never came to be
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fault.New(fault.Unavailable, "REDIS_NOT_INSTALLED",
			"redis-server is not installed, and no other Redis was named. Install it (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis), or name one with --redis.").Because(err)
	}
	socket, err := s.chooseSocket()
	if err != nil {
		return nil, fmt.Errorf("choose a socket for redis-server: %w", err)
	}
	rec := record{Dir: s.data, Socket: socket}
	err = s.writeRecord(rec)
	if err != nil {
		return nil, err
	}
	cmd, err := s.command(binary, socket)
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{lock}
	out := s.log.open()
	if out != nil {
		defer out.Close() // the child has its own copy
		cmd.Stdout, cmd.Stderr = out, out
	}
	err = cmd.Start()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	c := &child{proc: cmd.Process, socket: socket, ended: make(chan struct{})}
	go func() {
		// The exit status says everything, an error included.
		_ = cmd.Wait()
		c.why = cmd.ProcessState.String()
		close(c.ended)
	}()
	rec.Pid, rec.Started = c.proc.Pid, startTime(c.proc.Pid)
	err = s.writeRecord(rec)
	if err == nil {
		err = c.ready(ctx, socket)
	}
	if err != nil {
		c.stop(s.cfg.Log)
		if s.socket == "" {
			s.removeSocket(socket)
		}
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, fault.New(fault.Unavailable, "REDIS_NOT_STARTED",
			"redis-server did not start on %s (%v). Its last words: %s. A damaged file is mended by redis-check-aof --fix.",
			s.data, err, tail(s.log.path, 3)).Because(err)
	}
	return c, nil
}

// command is the redis-server with all its settings on the command line, so that no file can say otherwise.
func (s *Server) command(binary, socket string) (*exec.Cmd, error) {
	err := os.Remove(socket)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of an earlier redis-server: %w", err)
	}
	cmd := exec.Command(binary,
		"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--protected-mode", "yes",
		"--dir", s.data, "--appendonly", "yes", "--appendfsync", s.cfg.Fsync, "--aof-load-truncated", "yes",
		"--no-appendfsync-on-rewrite", "no", "--save", "", "--hash-max-listpack-value", "512",
		"--maxmemory", "0", "--maxmemory-policy", "noeviction",
		"--daemonize", "no", "--loglevel", "notice", "--logfile", s.log.path)
	cmd.Dir = s.data
	// Nothing of our environment: it may carry secrets, and anybody of this user can read a process's environment.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	// A session of its own: Ctrl-C in a terminal reaches us alone, and we stop it when its last client is done.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// ready waits until the child answers, however long it loads its records.
func (c *child) ready(ctx context.Context, socket string) error {
	for {
		err := ping(ctx, socket)
		if err == nil {
			return nil
		}
		select {
		case <-c.ended:
			return fmt.Errorf("it ended: %s", c.why)
		case <-ctx.Done():
			return fmt.Errorf("wait for redis-server: %w", context.Cause(ctx))
		case <-time.After(poll):
		}
	}
}

// stop ends the process and waits for its end: SIGTERM first, so that it flushes what it has.
func (c *child) stop(log *slog.Logger) {
	// An error means that it is gone already.
	_ = c.proc.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
		return
	case <-time.After(grace):
	}
	log.Warn("redis-server did not stop when asked, killing it", "pid", c.proc.Pid)
	_ = c.proc.Kill()
	<-c.ended
}

// adopt makes the process that holds the records our child, if it is a redis-server on them that answers.
func (s *Server) adopt(ctx context.Context) (*child, error) {
	rec, ok := s.readRecord()
	if !ok {
		// The folder was moved while it ran, or redis.json is lost: where it listens unless that path is too long.
		rec = record{Dir: s.data, Socket: filepath.Join(s.data, socketName)}
	}
	err := ping(ctx, rec.Socket)
	if err != nil {
		return nil, err
	}
	pid, err := identify(ctx, rec.Socket, s.data)
	if err != nil {
		return nil, err
	}
	started := startTime(pid)
	if rec.Pid != 0 && (rec.Pid != pid || rec.Started != started) {
		return nil, fmt.Errorf("%s is answered by process %d, started at %s, not by process %d of redis.json", rec.Socket, pid, started, rec.Pid)
	}
	// The handle is bound to the process before it is asked once more who it is: its number cannot be reused from here.
	proc, err := os.FindProcess(pid)
	if err != nil {
		return nil, fmt.Errorf("find process %d: %w", pid, err)
	}
	if startTime(pid) != started {
		return nil, fmt.Errorf("process %d ended meanwhile", pid)
	}
	rec.Pid, rec.Started = pid, started
	err = s.writeRecord(rec)
	if err != nil {
		return nil, err
	}
	c := &child{proc: proc, socket: rec.Socket, adopted: true, ended: make(chan struct{}), why: "unknown: it was adopted"}
	go func() {
		// It is not our child to wait for; ask until it is gone.
		for startTime(pid) == started && proc.Signal(syscall.Signal(0)) == nil {
			time.Sleep(poll)
		}
		close(c.ended)
	}()
	return c, nil
}

// identify returns the process id of the redis-server at socket, which must work on the folder data.
func identify(ctx context.Context, socket, data string) (int, error) {
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	defer client.Close()
	conf, err := client.ConfigGet(ctx, "dir").Result()
	if err != nil {
		return 0, fmt.Errorf("ask for its folder: %w", err)
	}
	if !sameFile(conf["dir"], data) {
		return 0, fmt.Errorf("%s is the socket of a redis-server on %s", socket, conf["dir"])
	}
	info, err := client.InfoMap(ctx, "server").Result()
	if err != nil {
		return 0, fmt.Errorf("ask for its process id: %w", err)
	}
	pid, err := strconv.Atoi(info["Server"]["process_id"])
	if err != nil {
		return 0, fmt.Errorf("read its process id: %w", err)
	}
	return pid, nil
}

// errLoading is the answer of a server that still reads its records.
var errLoading = errors.New("it is loading its records")

// ping asks the server at socket for a sign of life. It speaks the protocol itself, because a client library retries,
// and logs, what is expected here.
func ping(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	err = conn.SetDeadline(deadline)
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("PING\r\n"))
	if err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(answer, "+PONG"):
		return nil
	case strings.HasPrefix(answer, "-LOADING"):
		return errLoading
	}
	return fmt.Errorf("%s answered %q", filepath.Base(socket), strings.TrimSpace(answer))
}

// startTime returns the kernel's start time of a process, in ticks since boot; empty when there is no such process, or
// it has ended and only waits to be reaped.
func startTime(pid int) string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The name, in parentheses, may hold anything; the fields after it do not.
	after := string(text[strings.LastIndexByte(string(text), ')')+1:])
	f := strings.Fields(after)
	const state, start = 0, 19 // fields 3 and 22 of proc(5)
	if len(f) <= start || f[state] == "Z" || f[state] == "X" {
		return ""
	}
	return f[start]
}
