package redisd

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// mostLog is the size at which the child's log file is cut back to nothing. It holds what was forwarded already.
const mostLog = 4 << 20

// A follower forwards what the child writes into its log file. A file, and not a pipe, since a child that outlives us
// must be able to go on writing, and be followed again when it is adopted.
type follower struct {
	path string
	log  *slog.Logger
	quit chan struct{}
	done chan struct{}
}

// follow forwards what is written into path from now on.
func follow(path string, log *slog.Logger) *follower {
	f := &follower{path: path, log: log, quit: make(chan struct{}), done: make(chan struct{})}
	var at int64
	info, err := os.Stat(path)
	if err == nil {
		at = info.Size()
	}
	go f.run(at)
	return f
}

// open opens the file for what a child says before it opens it itself; nil when that cannot be.
func (f *follower) open() *os.File {
	out, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		f.log.Warn("redis-server's log file cannot be opened", "err", err)
		return nil
	}
	return out
}

// stop forwards what there is, and ends.
func (f *follower) stop() {
	close(f.quit)
	<-f.done
}

func (f *follower) run(at int64) {
	defer close(f.done)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-f.quit:
			f.forward(at)
			return
		case <-tick.C:
		}
		at = f.forward(at)
		if at < mostLog {
			continue
		}
		err := os.Truncate(f.path, 0)
		if err != nil {
			f.log.Warn("redis-server's log file cannot be cut", "err", err)
		}
		at = 0
	}
}

// forward logs the whole lines from position at on, and returns the position after them.
func (f *follower) forward(at int64) int64 {
	file, err := os.Open(f.path)
	if err != nil {
		return at // not written yet, or removed by somebody: the next look tells
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, at, mostLog))
	if err != nil {
		f.log.Warn("redis-server's log file cannot be read", "err", err)
		return at
	}
	end := bytes.LastIndexByte(text, '\n')
	if end < 0 {
		return at
	}
	for line := range strings.Lines(string(text[:end+1])) {
		level, message := parse(strings.TrimSpace(line))
		if message != "" {
			f.log.Log(context.Background(), level, "redis-server says", "line", message)
		}
	}
	return at + int64(end) + 1
}

// parse takes "pid:role date time mark message" apart. The mark is one of ". - * #", for debug to warning.
func parse(line string) (slog.Level, string) {
	f := strings.SplitN(line, " ", 7)
	if len(f) < 7 || !strings.Contains(f[0], ":") {
		return slog.LevelDebug, line
	}
	switch f[5] {
	case "#":
		return slog.LevelInfo, f[6]
	default:
		return slog.LevelDebug, f[6]
	}
}
