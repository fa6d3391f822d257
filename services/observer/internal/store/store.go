// Package store keeps in Redis, under {obs}:, what all observers must agree on: runs that were reported, what changed lately.
//
// All methods are safe for concurrent use by any number of processes. An error of theirs means that nothing is known of the
// outcome: repeat the call. Time is Redis's.
package store

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Store is the observer's part of Redis.
type Store struct {
	c redis.UniversalClient
}

// New returns the store on c. Nothing is asked yet.
func New(c redis.UniversalClient) *Store { return &Store{c: c} }

// key makes every key of the observer.
func key(parts ...string) string { return "{obs}:" + strings.Join(parts, ":") }

//go:embed lua/*.lua
var luaFiles embed.FS

// source reads an embedded script.
func source(name string) *redis.Script {
	raw, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(fmt.Sprintf("script %s: %v", name, err))
	}
	return redis.NewScript(string(raw))
}

// run runs a script that answers with a code and a text.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) (code int64, text string, err error) {
	got, err := script.Run(ctx, s.c, keys, args...).Slice()
	if err != nil {
		return 0, "", err
	}
	if len(got) == 2 {
		n, isNumber := got[0].(int64)
		t, isText := got[1].(string)
		if isNumber && isText {
			return n, t, nil
		}
	}
	return 0, "", fmt.Errorf("a script answered %v", got)
}
