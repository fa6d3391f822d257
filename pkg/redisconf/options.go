package redisconf

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/conf"
	"github.com/filigreehq/filigree/pkg/fault"
)

// Flags say which Redis a service keeps its records in.
type Flags struct {
	Redis    string      `required:"" placeholder:"URL" help:"Redis to keep records in: redis://[user@]host:port, rediss://…, unix:///path; several nodes of a cluster with commas between."`
	Password conf.Secret `name:"redis-password" placeholder:"SECRET" help:"Password for Redis; goes before one in the URL."`
	Accept   bool        `name:"i-accept-unsafe-redis" help:"Start although Redis can lose records: no append-only file, or an eviction policy."`
}

// Open connects and refuses settings that can lose records, unless they were accepted by name.
func (f Flags) Open(ctx context.Context, log *slog.Logger) (redis.UniversalClient, error) {
	return f.open(ctx, log, false)
}

// OpenAbsent is Open for whoever has something to say while Redis does not answer: that is no error.
func (f Flags) OpenAbsent(ctx context.Context, log *slog.Logger) (redis.UniversalClient, error) {
	return f.open(ctx, log, true)
}

func (f Flags) open(ctx context.Context, log *slog.Logger, absent bool) (redis.UniversalClient, error) {
	opts, err := Parse(f.Redis)
	if err != nil {
		return nil, err
	}
	if f.Password != "" {
		opts.Password = f.Password.Reveal()
	}
	client := Connect(opts)
	accepted, err := Check(ctx, client, f.Accept)
	if err != nil && absent && fault.From(err).Kind == fault.Unavailable {
		log.WarnContext(ctx, "Redis does not answer; its settings are not looked at", "err", err)
		return client, nil
	}
	if err != nil {
		_ = client.Close() // the first error is the one to tell
		return nil, err
	}
	for _, a := range accepted {
		log.WarnContext(ctx, "unsafe Redis setting accepted", "setting", a)
	}
	return client, nil
}

// Parse reads addresses of Redis as Flags describes them.
func Parse(urls string) (*redis.UniversalOptions, error) {
	var out *redis.UniversalOptions
	for _, url := range strings.Split(urls, ",") {
		path, ok := strings.CutPrefix(url, "unix://")
		if ok {
			return &redis.UniversalOptions{Addrs: []string{path}}, nil
		}
		one, err := redis.ParseURL(url)
		if err != nil {
			return nil, fmt.Errorf("--redis: %w; say redis://host:port or unix:///path", err)
		}
		if out == nil {
			out = &redis.UniversalOptions{Username: one.Username, Password: one.Password, DB: one.DB, TLSConfig: one.TLSConfig}
		}
		out.Addrs = append(out.Addrs, one.Addr)
	}
	return out, nil
}
