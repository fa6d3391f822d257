package rig

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is a redis-server to measure: one of our own, or somebody's.
type Redis struct {
	// URL is how others reach it: unix:///path, or what was given.
	URL    string
	client *redis.Client
}

// StartRedis starts a redis-server with the settings that the product asks for; fsync is always or everysec.
func (r *Rig) StartRedis(ctx context.Context, fsync string) (*Redis, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not installed: deploy/setup.sh test installs it, or name one with --redis")
	}
	dir, err := r.Dir("redis")
	if err != nil {
		return nil, err
	}
	socket, err := r.socket()
	if err != nil {
		return nil, err
	}
	p, err := r.Start(ctx, false, path, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", fsync, "--maxmemory-policy", "noeviction", "--hash-max-listpack-value", "512", "--loglevel", "warning")
	if err != nil {
		return nil, err
	}
	s, err := r.OpenRedis("unix://" + socket)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyIn)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		err = s.client.Ping(ctx).Err()
		if err == nil {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("redis-server does not answer: %w; its last words:\n%s", err, p.LastWords())
		case <-p.Gone():
			return nil, fmt.Errorf("redis-server ended at once; its last words:\n%s", p.LastWords())
		case <-look.C:
		}
	}
}

// OpenRedis uses the one at url, redis://host:port or unix:///path.
func (r *Rig) OpenRedis(url string) (*Redis, error) {
	opts := &redis.Options{Network: "unix"}
	path, ok := strings.CutPrefix(url, "unix://")
	if ok {
		opts.Addr = path
	} else {
		var err error
		opts, err = redis.ParseURL(url)
		if err != nil {
			return nil, fmt.Errorf("--redis: %w; say redis://host:port or unix:///path", err)
		}
	}
	s := &Redis{URL: url, client: redis.NewClient(opts)}
	r.Closer(s.client.Close)
	return s, nil
}

// Usage is what a redis-server has used.
type Usage struct {
	Memory int64         // bytes that it holds now
	CPU    time.Duration // user and system, since it started
}

// Usage asks for it.
func (s *Redis) Usage(ctx context.Context) (Usage, error) {
	text, err := s.client.Info(ctx, "memory", "cpu").Result()
	if err != nil {
		return Usage{}, fmt.Errorf("ask Redis what it uses: %w", err)
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		info[name] = value
	}
	memory, err1 := strconv.ParseInt(info["used_memory"], 10, 64)
	user, err2 := strconv.ParseFloat(info["used_cpu_user"], 64)
	system, err3 := strconv.ParseFloat(info["used_cpu_sys"], 64)
	err = errors.Join(err1, err2, err3)
	if err != nil {
		return Usage{}, fmt.Errorf("read what Redis says it uses: %w", err)
	}
	return Usage{Memory: memory, CPU: time.Duration((user + system) * float64(time.Second))}, nil
}
