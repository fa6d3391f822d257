package redisconf_test

import (
	"context"
	"regexp"

	"github.com/redis/go-redis/v9"
)

// old is a Redis that says it is version 6.2.14.
type old struct{ redis.Cmdable }

var version = regexp.MustCompile(`redis_version:[^\r\n]+`)

func (o old) Info(ctx context.Context, sections ...string) *redis.StringCmd {
	cmd := o.Cmdable.Info(ctx, sections...)
	cmd.SetVal(version.ReplaceAllString(cmd.Val(), "redis_version:6.2.14"))
	return cmd
}
