// Package redisconf refuses a Redis whose settings would lose what Filigree believes is kept: one that evicts keys when
// memory is short, that writes no append-only file, or that is older than what our scripts are tested on.
//
// It reads INFO, which managed services answer too; CONFIG is asked only for what INFO does not say.
package redisconf

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/fault"
)

// OldestMajor is the oldest major version of Redis that is supported.
const OldestMajor = 7

// AcceptFlag is the option by which a person takes the risk; the refusal names it.
const AcceptFlag = "--i-accept-unsafe-redis"

// Check asks the Redis behind c for its settings; of a cluster, every primary.
//
// Unsafe settings are a fault REDIS_UNSAFE that says all of them and what to do, unless accept is set: then they are
// returned, one sentence each, to be logged and shown on the health page. A Redis that does not answer is a transient
// fault REDIS_UNREACHABLE, whatever accept says.
func Check(ctx context.Context, c redis.Cmdable, accept bool) (accepted []string, err error) {
	var (
		mu       sync.Mutex
		findings []string
	)
	inspectNode := func(ctx context.Context, name string, node redis.Cmdable) error {
		found, err := inspect(ctx, node)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for _, f := range found {
			findings = append(findings, name+f)
		}
		return nil
	}
	cluster, ok := c.(*redis.ClusterClient)
	if ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			return inspectNode(ctx, node.Options().Addr+": ", node)
		})
	} else {
		err = inspectNode(ctx, "", c)
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "REDIS_UNREACHABLE",
			"Redis does not tell its settings (%v). Check that its address is right, that it runs, and that INFO is allowed.",
			err).Because(err)
	}
	if len(findings) == 0 || accept {
		return findings, nil
	}
	return nil, fault.New(fault.Invalid, "REDIS_UNSAFE",
		"this Redis would lose accepted work: %s. Change its settings, or start with %s to take the risk.",
		strings.Join(findings, "; "), AcceptFlag)
}

// inspect returns what is unsafe about one node, a clause each.
func inspect(ctx context.Context, node redis.Cmdable) ([]string, error) {
	text, err := node.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	info := fields(text)
	version := info["redis_version"]
	if version == "" {
		return nil, errors.New("INFO names no redis_version")
	}
	var found []string
	major, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	if err != nil || major < OldestMajor {
		found = append(found, fmt.Sprintf("it is version %s and must be %d.0 or newer", version, OldestMajor))
	}
	policy := info["maxmemory_policy"]
	if policy != "noeviction" {
		found = append(found, fmt.Sprintf("maxmemory-policy is %q and must be noeviction, else it deletes records when memory is short", policy))
	}
	if info["aof_enabled"] != "1" {
		found = append(found, "appendonly is no and must be yes, else a crash forgets what was accepted")
		return found, nil
	}
	// Managed services refuse CONFIG and do not offer this setting either, so a refusal is no finding.
	conf, err := node.ConfigGet(ctx, "appendfsync").Result()
	if err == nil && conf["appendfsync"] == "no" {
		found = append(found, "appendfsync is no and must be always or everysec, else the time of a write to disk is left to chance")
	}
	return found, nil
}

// fields splits the "name:value" lines of INFO.
func fields(text string) map[string]string {
	m := make(map[string]string)
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if ok {
			m[name] = value
		}
	}
	return m
}
