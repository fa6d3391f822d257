package redisconf_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/redisconf"
	"github.com/filigreehq/filigree/pkg/redistest"
)

func TestCheck(t *testing.T) {
	c := redistest.New(t).(*redis.Client)
	for _, tt := range []struct {
		name, setting, value string
		good                 string // what the setting is put back to
		want                 string // what the refusal must mention; empty: accepted
	}{
		{name: "the product's own settings are accepted", setting: "appendfsync", value: "always", good: "everysec"},
		{name: "evicting keys is refused", setting: "maxmemory-policy", value: "allkeys-lru", good: "noeviction", want: `maxmemory-policy is "allkeys-lru"`},
		{name: "never calling fsync is refused", setting: "appendfsync", value: "no", good: "everysec", want: "appendfsync is no"},
		{name: "no append-only file is refused", setting: "appendonly", value: "no", good: "yes", want: "appendonly is no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set(t, c, tt.setting, tt.value)
			defer set(t, c, tt.setting, tt.good)
			_, err := redisconf.Check(t.Context(), c, false)
			if tt.want == "" {
				if err != nil {
					t.Fatalf("got %v, want no error", err)
				}
				return
			}
			f := faultOf(t, err, "REDIS_UNSAFE")
			for _, want := range []string{tt.want, redisconf.AcceptFlag} {
				if !strings.Contains(f.Message, want) {
					t.Errorf("got %q, want it to mention %q", f.Message, want)
				}
			}
			accepted, err := redisconf.Check(t.Context(), c, true)
			if err != nil || len(accepted) != 1 || !strings.Contains(accepted[0], tt.want) {
				t.Errorf("accepted by name: got %q, %v, want the one finding and no error", accepted, err)
			}
		})
	}
	t.Run("an old version is refused", func(t *testing.T) {
		_, err := redisconf.Check(t.Context(), old{Cmdable: c}, false)
		f := faultOf(t, err, "REDIS_UNSAFE")
		if !strings.Contains(f.Message, "version 6.2.14") {
			t.Errorf("got %q, want it to name the version", f.Message)
		}
	})
}

func TestCheckUnreachable(t *testing.T) {
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: t.TempDir() + "/nobody", MaxRetries: -1, DialerRetries: 1})
	defer c.Close()
	_, err := redisconf.Check(t.Context(), c, true)
	f := faultOf(t, err, "REDIS_UNREACHABLE")
	if !f.Transient() {
		t.Error("got a permanent fault, want a transient one")
	}
}

func set(t *testing.T, c *redis.Client, setting, value string) {
	t.Helper()
	err := c.ConfigSet(t.Context(), setting, value).Err()
	if err != nil {
		t.Fatal(err)
	}
}

func faultOf(t *testing.T, err error, reason string) *fault.Error {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Reason != reason {
		t.Fatalf("got %v, want a fault %s", err, reason)
	}
	return f
}
