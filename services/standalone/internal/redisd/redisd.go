// Package redisd runs the private redis-server of a standalone Filigree: a child process that listens on a unix socket
// in the data folder, on no TCP port, with the settings the records need (append-only file, no eviction).
//
// What it guarantees:
//   - One process works on a data folder: DIR/lock is held as long as this process lives, and a second one is refused.
//   - One redis-server writes the records: DIR/redis/lock is inherited by the child and by nobody else, so it stays held
//     while that child lives, whatever became of us. (Two redis-servers on one append-only folder both start, and ruin
//     it.)
//   - A child that outlived us, for instance after kill -9, is adopted: no restart, no loading.
//   - A child that dies is started again on the same socket, with back-off.
//
// What it does not: it writes no backups, and it repairs no append-only file that is damaged elsewhere than at its end.
package redisd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/redisconf"
)

const (
	// patience is how long a child may hold the records without answering, before Start gives up.
	patience = 30 * time.Second
	// poll is how often a condition outside of this process is looked at.
	poll = 20 * time.Millisecond
	// grace is how long a child gets to end after SIGTERM. It only has to flush its append-only file.
	grace = 20 * time.Second
	// firstPause and lastPause bound the back-off between restarts; a child that lived for lastPause resets it.
	firstPause = 50 * time.Millisecond
	lastPause  = 10 * time.Second
)

// Config says where the server keeps its data and how sure a write is.
type Config struct {
	// Dir is the data folder; it is made (0700) when it does not exist. The records go to Dir/redis.
	Dir string
	// Fsync is "always" (the default: a write is answered when it is on disk) or "everysec" (a power cut may lose the
	// last second; the end of a process loses nothing).
	Fsync string
	// Log receives the child's own log lines, too. nil discards.
	Log *slog.Logger
}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	if c.Dir == "" {
		return fault.New(fault.Invalid, "CONFIG_INVALID", "the data folder has no name: give one.")
	}
	if c.Fsync != "" && c.Fsync != "always" && c.Fsync != "everysec" {
		return fault.New(fault.Invalid, "CONFIG_INVALID", "fsync is %q: choose always or everysec.", c.Fsync)
	}
	return nil
}

// A Server is a running redis-server that belongs to this process.
type Server struct {
	cfg    Config
	data   string   // absolute path of Dir/redis
	up     *os.File // DIR/lock
	socket string   // set once, by Start
	log    *follower
	child  *child
}

// Start returns when the server answers and its records are loaded; ctx bounds the wait and nothing else. Then Run keeps
// it alive; who does not call Run calls Close.
//
// Errors for people are faults: DATA_IN_USE, REDIS_NOT_INSTALLED, REDIS_NOT_STARTED, REDIS_UNSAFE.
func Start(ctx context.Context, cfg Config) (_ *Server, err error) {
	err = cfg.Validate()
	if err != nil {
		return nil, err
	}
	if cfg.Fsync == "" {
		cfg.Fsync = "always"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Dir, err = filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	s := &Server{cfg: cfg, data: filepath.Join(cfg.Dir, "redis")}
	err = os.MkdirAll(s.data, 0o700)
	if err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	s.up, err = lockForThisProcess(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s.log = follow(filepath.Join(s.data, "redis.log"), cfg.Log)
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	s.child, err = s.obtain(ctx)
	if err != nil {
		return nil, err
	}
	s.socket = s.child.socket
	err = s.settle(ctx)
	if err != nil {
		s.child.stop(cfg.Log)
		s.removeSocket(s.socket)
		return nil, err
	}
	cfg.Log.InfoContext(ctx, "redis-server ready", "pid", s.child.proc.Pid, "adopted", s.child.adopted, "socket", s.socket)
	return s, nil
}

// Addr is the path of the unix socket; it stays the same through restarts of the server.
func (s *Server) Addr() string { return s.socket }

// Options returns what a client needs to reach the server. The caller may set more.
func (s *Server) Options() *redis.UniversalOptions {
	return &redis.UniversalOptions{Addrs: []string{s.socket}}
}

// Run starts the server again whenever it ends, until ctx is done; then it stops the server, waits for its end, and
// returns nil. It is called once.
func (s *Server) Run(ctx context.Context) error {
	pause := firstPause
	for {
		born := time.Now()
		select {
		case <-ctx.Done():
			return s.Close()
		case <-s.child.ended:
		}
		s.cfg.Log.WarnContext(ctx, "redis-server ended by itself", "pid", s.child.proc.Pid, "cause", s.child.why)
		if time.Since(born) > lastPause {
			pause = firstPause
		}
		for {
			select {
			case <-ctx.Done():
				return s.Close()
			case <-time.After(pause):
			}
			pause = min(2*pause, lastPause)
			next, err := s.obtain(ctx)
			if err == nil {
				s.child = next
				break
			}
			if ctx.Err() == nil {
				s.cfg.Log.ErrorContext(ctx, "redis-server does not start, trying again", "err", err, "pause", pause)
			}
		}
		s.cfg.Log.InfoContext(ctx, "redis-server ready again", "pid", s.child.proc.Pid)
	}
}

// Close stops the server and waits for its end, for callers that never came to Run.
func (s *Server) Close() error {
	s.child.stop(s.cfg.Log)
	s.removeSocket(s.socket)
	s.release()
	return nil
}

// release gives back what Start took, the child excepted.
func (s *Server) release() {
	s.log.stop()
	_ = s.up.Close() // closing gives the lock back, and nothing was written
}

// obtain returns a server that answers: a new one when nobody holds the records, else the one that does.
func (s *Server) obtain(ctx context.Context) (*child, error) {
	deadline := time.Now().Add(patience)
	var why error
	for time.Now().Before(deadline) {
		lock, err := tryLock(filepath.Join(s.data, "lock"))
		if err != nil {
			return nil, fmt.Errorf("lock the records: %w", err)
		}
		if lock != nil {
			return s.start(ctx, lock)
		}
		var c *child
		c, why = s.adopt(ctx)
		if why == nil {
			return c, nil
		}
		if errors.Is(why, errLoading) {
			deadline = time.Now().Add(patience) // it is alive and busy
		}
		// Most likely a child that was just told to stop, or was started a moment before its parent died.
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the redis-server of %s: %w", s.data, context.Cause(ctx))
		case <-time.After(poll):
		}
	}
	return nil, fault.New(fault.Unavailable, "REDIS_NOT_STARTED",
		"a redis-server that an earlier start left behind holds %s and does not answer (%v). End that redis-server, then start again.",
		s.data, why).Because(why)
}

// settle brings the settings of an adopted server back to the configuration, and checks all of them.
func (s *Server) settle(ctx context.Context) error {
	client := redis.NewClient(s.Options().Simple())
	defer client.Close()
	if s.child.adopted {
		for setting, value := range map[string]string{
			"appendonly": "yes", "appendfsync": s.cfg.Fsync, "maxmemory": "0", "maxmemory-policy": "noeviction",
		} {
			err := client.ConfigSet(ctx, setting, value).Err()
			if err != nil {
				return fmt.Errorf("set %s of the adopted redis-server: %w", setting, err)
			}
		}
	}
	_, err := redisconf.Check(ctx, client, false)
	return err
}
