package redisconf

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/telemetry"
)

// Connect returns a client; it connects when it is first asked. What is asked within a span is one, too: which command, in
// how many, and whether it failed; never keys or arguments, which name people.
func Connect(opts *redis.UniversalOptions) redis.UniversalClient {
	client := redis.NewUniversalClient(opts)
	if telemetry.On() {
		client.AddHook(spans{})
	}
	return client
}

type spans struct{}

// DialHook implements redis.Hook.
func (spans) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (spans) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !telemetry.Recording(ctx) {
			return next(ctx, cmd)
		}
		ctx, span := begin(ctx, strings.ToUpper(cmd.Name()), 1)
		defer span.End()
		err := next(ctx, cmd)
		fail(span, err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (spans) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !telemetry.Recording(ctx) {
			return next(ctx, cmds)
		}
		ctx, span := begin(ctx, "pipeline", len(cmds))
		defer span.End()
		err := next(ctx, cmds)
		fail(span, err)
		return err
	}
}

func begin(ctx context.Context, name string, n int) (context.Context, *telemetry.Span) {
	return telemetry.Begin(ctx, telemetry.Called, "redis "+name, "db.system.name", "redis", "db.operation.name", name, "db.operation.batch.size", n)
}

// fail says that it failed. That something is not there, or a script not known yet, is no failure.
func fail(span *telemetry.Span, err error) {
	if err != nil && !errors.Is(err, redis.Nil) && !strings.HasPrefix(err.Error(), "NOSCRIPT") {
		span.Fail("REDIS")
	}
}
