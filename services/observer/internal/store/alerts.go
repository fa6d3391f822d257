package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

var leadScript, leaveScript = source("lead"), source("leave")

func rulesKey() string     { return key("rules") }            // hash: name → rule as JSON
func rulesVersion() string { return key("rules", "version") } // counts changes of rules
func alertsKey() string    { return key("alerts") }           // hash: id → alert as JSON
func acksKey() string      { return key("alerts", "acks") }   // hash: id → who has it
func memoryKey() string    { return key("memory") }           // string: what rules remember, as JSON
func leaderKey() string    { return key("leader") }           // string: the observer that looks, with a time to live
func beatsKey() string     { return key("beats") }            // hash: observer → when it was there last

// Lead says whether name may look at rules for the next ttl: one observer at a time does.
func (s *Store) Lead(ctx context.Context, name string, ttl time.Duration) (bool, error) {
	n, err := leadScript.Run(ctx, s.c, []string{leaderKey(), beatsKey()}, name, ttl.Milliseconds()).Int()
	if err != nil {
		return false, fmt.Errorf("ask who looks: %w", err)
	}
	return n == 1, nil
}

// Peers returns when each observer was there last, by Redis's clock, and what that says now.
func (s *Store) Peers(ctx context.Context) (now time.Time, seen map[string]time.Time, err error) {
	pipe := s.c.Pipeline()
	clock, beats := pipe.Time(ctx), pipe.HGetAll(ctx, beatsKey())
	_, err = pipe.Exec(ctx)
	if err != nil {
		return now, nil, fmt.Errorf("ask for other observers: %w", err)
	}
	seen = map[string]time.Time{}
	for name, ms := range beats.Val() {
		n, _ := strconv.ParseInt(ms, 10, 64) // Redis's own
		seen[name] = time.UnixMilli(n)
	}
	return clock.Val(), seen, nil
}

// Leave forgets an observer that will not come back; if it was the one that looks at rules, another may at once.
func (s *Store) Leave(ctx context.Context, name string) error {
	err := leaveScript.Run(ctx, s.c, []string{leaderKey(), beatsKey()}, name).Err()
	if err != nil {
		return fmt.Errorf("take leave: %w", err)
	}
	return nil
}

// Acknowledge keeps who has an alert.
func (s *Store) Acknowledge(ctx context.Context, alert, by string) error {
	err := s.c.HSet(ctx, acksKey(), alert, by).Err()
	if err != nil {
		return fmt.Errorf("acknowledge alert: %w", err)
	}
	return nil
}

// Acks returns who has which alert, by its id.
func (s *Store) Acks(ctx context.Context) (map[string]string, error) {
	acks, err := s.c.HGetAll(ctx, acksKey()).Result()
	if err != nil {
		return nil, fmt.Errorf("read who has alerts: %w", err)
	}
	return acks, nil
}

// Rules returns all rules that people made, by name, and the version of the whole.
func (s *Store) Rules(ctx context.Context) (rules map[string]string, version string, err error) {
	pipe := s.c.TxPipeline()
	all, v := pipe.HGetAll(ctx, rulesKey()), pipe.Get(ctx, rulesVersion())
	_, err = pipe.Exec(ctx)
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, "", fmt.Errorf("read rules: %w", err)
	}
	return all.Val(), v.Val(), nil
}

// RulesVersion is the version of the rules alone.
func (s *Store) RulesVersion(ctx context.Context) (string, error) {
	v, err := s.c.Get(ctx, rulesVersion()).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read rules: %w", err)
	}
	return v, nil
}

// PutRules keeps rules, by name, all or none.
func (s *Store) PutRules(ctx context.Context, rules map[string]string) error {
	if len(rules) == 0 {
		return nil
	}
	pipe := s.c.TxPipeline()
	pipe.HSet(ctx, rulesKey(), rules)
	pipe.Incr(ctx, rulesVersion())
	_, err := pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep rules: %w", err)
	}
	return nil
}

// DeleteRule removes a rule, and reports whether there was one.
func (s *Store) DeleteRule(ctx context.Context, name string) (bool, error) {
	pipe := s.c.TxPipeline()
	n := pipe.HDel(ctx, rulesKey(), name)
	pipe.Incr(ctx, rulesVersion())
	_, err := pipe.Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("delete rule: %w", err)
	}
	return n.Val() > 0, nil
}

// Alerts returns all alerts that are kept, by id, and what rules remember.
func (s *Store) Alerts(ctx context.Context) (alerts map[string]string, memory string, err error) {
	pipe := s.c.TxPipeline()
	all, m := pipe.HGetAll(ctx, alertsKey()), pipe.Get(ctx, memoryKey())
	_, err = pipe.Exec(ctx)
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, "", fmt.Errorf("read alerts: %w", err)
	}
	return all.Val(), m.Val(), nil
}

// PutAlerts keeps alerts, forgets others, and keeps what rules remember.
func (s *Store) PutAlerts(ctx context.Context, alerts map[string]string, forget []string, memory string) error {
	pipe := s.c.TxPipeline()
	for id, a := range alerts {
		pipe.HSet(ctx, alertsKey(), id, a)
	}
	if len(forget) > 0 {
		pipe.HDel(ctx, alertsKey(), forget...)
		pipe.HDel(ctx, acksKey(), forget...)
	}
	pipe.Set(ctx, memoryKey(), memory, 0)
	_, err := pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep alerts: %w", err)
	}
	return nil
}
