package observer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// asService is who the observer itself is.
func asService(ctx context.Context) context.Context {
	return rpc.Serving(ctx, &accessv1.Principal{Subject: "service:test", Role: accessv1.Role_ROLE_SERVICE})
}

func TestRecordsAreReadByTheirVersion(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	records := readside.New(readside.Deps{Redis: s.Client})
	ask := func() error {
		_, err := records.GetDistribution(asService(t.Context()), &distributionv1.GetDistributionRequest{Production: "default", Distribution: "x"})
		return err
	}
	for _, step := range []struct {
		meta   []any
		reason string
	}{
		{nil, "RECORDS_MISSING"},
		{[]any{"shards", 2, "schema", readside.Version + 1}, "RECORDS_VERSION"},
		{[]any{"schema", readside.Version}, "DISTRIBUTION_UNKNOWN"},
	} {
		if step.meta != nil {
			err := s.Client.HSet(t.Context(), "{0}:meta", step.meta...).Err()
			if err != nil {
				t.Fatal(err)
			}
		}
		f := fault.From(ask())
		if f == nil || f.Reason != step.reason {
			t.Errorf("with %v: got %v, want %s", step.meta, f, step.reason)
		}
	}
}

// A user of Redis who may only read is enough for all of it.
func TestNothingIsWrittenByReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.work("worker-1")
	id := w.create("default", 2, 3)
	w.ended("default", id)
	_, err := w.control.SetLimit(t.Context(), &controlv1.SetLimitRequest{Production: "default", Name: "drive", Limit: &controlv1.Limit{Name: "drive", Concurrency: 2}})
	if err != nil {
		t.Fatal(err)
	}
	err = w.redis.Client.Do(t.Context(), "ACL", "SETUSER", "reader", "on", ">word", "~*", "&*", "+@read", "+@connection", "+time", "+info").Err()
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{w.redis.Socket}, Username: "reader", Password: "word"})
	t.Cleanup(func() { _ = client.Close() })
	if client.Set(t.Context(), "x", "y", 0).Err() == nil {
		t.Fatal("the reader may write")
	}
	r := readside.New(readside.Deps{Redis: client})
	ctx := asService(t.Context())
	d := distributionv1.GetDistributionRequest{Production: "default", Distribution: id}
	for name, read := range map[string]func() error{
		"GetDistribution": func() error { _, err := r.GetDistribution(ctx, &d); return err },
		"ListDistributions": func() error {
			_, err := r.ListDistributions(ctx, &distributionv1.ListDistributionsRequest{Production: "default"})
			return err
		},
		"ListItems": func() error {
			_, err := r.ListItems(ctx, &distributionv1.ListItemsRequest{Production: "default", Distribution: id})
			return err
		},
		"ListRecipients": func() error {
			_, err := r.ListRecipients(ctx, &distributionv1.ListRecipientsRequest{Production: "default", Distribution: id})
			return err
		},
		"ListEvents": func() error {
			_, err := r.ListEvents(ctx, &distributionv1.ListEventsRequest{Production: "default", Distribution: id})
			if err != nil && fault.From(err).Reason == "EVENTS_ARCHIVED" { // which was read, too
				return nil
			}
			return err
		},
		"GetDistributionGraph": func() error {
			_, err := r.GetDistributionGraph(ctx, &distributionv1.GetDistributionGraphRequest{Production: "default", Distribution: id})
			return err
		},
		"ListBatches": func() error {
			_, err := r.ListBatches(ctx, &distributionv1.ListBatchesRequest{Production: "default"})
			return err
		},
		"ListFunctions": func() error { _, err := r.ListFunctions(ctx, &controlv1.ListFunctionsRequest{}); return err },
		"ListWorkers":   func() error { _, err := r.ListWorkers(ctx, &controlv1.ListWorkersRequest{}); return err },
		"GetPauses":     func() error { _, err := r.GetPauses(ctx, &controlv1.GetPausesRequest{}); return err },
		"ListLimits": func() error {
			_, err := r.ListLimits(ctx, &controlv1.ListLimitsRequest{Production: "default"})
			return err
		},
		"ListResources": func() error {
			_, err := r.ListResources(ctx, &controlv1.ListResourcesRequest{Production: "default"})
			return err
		},
		"ListStudioLimits": func() error { _, err := r.ListStudioLimits(ctx, &controlv1.ListStudioLimitsRequest{}); return err },
		"ListDefinitions":  func() error { _, err := r.ListDefinitions(ctx, &definitionv1.ListDefinitionsRequest{}); return err },
		"Changes":          func() error { _, _, _, err := r.Changes(ctx, "", 10, 0); return err },
		"Unended":          func() error { _, err := r.Unended(ctx, 10); return err },
		"Ended":            func() error { _, err := r.Ended(ctx, time.Time{}, 10); return err },
		"Held":             func() error { _, err := r.Held(ctx, 10); return err },
		"Aside":            func() error { _, err := r.Aside(ctx, []string{"default"}); return err },
		"Room":             func() error { _, err := r.Room(ctx); return err },
	} {
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if st := r.State(ctx); !st.Alive || st.Note() != "" {
		t.Errorf("State: %+v", st)
	}
}

func TestChangesAreFollowedByPosition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	r := readside.New(readside.Deps{Redis: w.redis.Client})
	_, at, _, err := r.Changes(t.Context(), "$", 100, 0)
	if err != nil {
		t.Fatal(err)
	}
	first, second := w.create("default", 1, 1), w.create("other", 1, 1)
	seen := map[string]string{}
	w.until(func() bool {
		all, next, gap, err := r.Changes(t.Context(), at, 1, 100*time.Millisecond)
		if err != nil || gap {
			t.Fatalf("gap %v, %v", gap, err)
		}
		at = next
		for _, c := range all {
			seen[c.Distribution] = c.Production
		}
		return seen[first] == "default" && seen[second] == "other"
	}, func() any { return seen })
	// What was thrown away before it was read is said to be missing.
	for _, n := range []string{"{0}:changed", "{1}:changed"} {
		err = w.redis.Client.XTrimMaxLen(t.Context(), n, 0).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.create("default", 1, 1)
	_, _, gap, err := r.Changes(t.Context(), at, 100, time.Minute)
	if err != nil || !gap {
		t.Errorf("gap %v, %v; want it to say that something is missing", gap, err)
	}
}

// replicate starts a replica of s; kill ends it as kill -9 does.
func replicate(t *testing.T, s *redistest.Server) (client redis.UniversalClient, kill func()) {
	t.Helper()
	port := 0
	for range 50 {
		port = 12000 + rand.IntN(18000)
		if s.Client.ConfigSet(t.Context(), "port", fmt.Sprint(port)).Err() == nil {
			break
		}
	}
	dir := t.TempDir()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().String()
	_ = lis.Close() // it was only tried
	_, own, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--port", own, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--replicaof", "127.0.0.1 "+fmt.Sprint(port),
		"--logfile", filepath.Join(dir, "log"), "--repl-diskless-sync-delay", "0")
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); _ = cmd.Wait() }() // killed
	kill = func() { _ = cmd.Process.Kill(); <-gone }
	t.Cleanup(kill)
	client, err = observer.OpenReplica("redis://"+addr, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	deadline := time.Now().Add(time.Minute)
	for {
		info, err := client.Info(t.Context(), "replication").Result()
		if err == nil && strings.Contains(info, "master_link_status:up") {
			return client, kill
		}
		if time.Now().After(deadline) {
			t.Fatalf("the replica does not follow: %v\n%s", err, info)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestAReplicaIsReadFirst(t *testing.T) {
	t.Parallel()
	var replica redis.UniversalClient
	var kill func()
	w := newWorldOn(t, redistest.Start(t), func(w *world) func(*observer.Deps) {
		replica, kill = replicate(t, w.redis)
		return func(d *observer.Deps) { d.Replica = replica }
	})
	w.work("worker-1")
	id := w.create("default", 2, 3)
	w.get("default", id) // what the replica may not have heard of yet is there at once
	w.ended("default", id)
	reads := func(c redis.UniversalClient) (n int) {
		info, err := c.Info(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(info) {
			_, _ = fmt.Sscanf(line, "cmdstat_hmget:calls=%d", &n)
		}
		return n
	}
	before := reads(replica)
	for range 20 {
		_, err := w.seen.ListRecipients(t.Context(), &distributionv1.ListRecipientsRequest{Production: "default", Distribution: id})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := reads(replica) - before; got < 20 {
		t.Errorf("the replica was read %d times for 20 pages", got)
	}
	// Without the primary what the replica has is told on, and said to be from there.
	w.redis.Kill()
	w.until(func() bool {
		return strings.Contains(w.overview(t.Context()).GetFreshness().GetNote(), "; this is from a replica.")
	}, func() any { return w.overview(t.Context()) })
	w.until(func() bool { // a call that waited for the primary as it went is told so, once
		d, err := w.seen.GetDistribution(t.Context(), &distributionv1.GetDistributionRequest{Production: "default", Distribution: id})
		return err == nil && d.GetDistribution().GetState() == "completed"
	}, func() any { return "the replica is not read" })
	w.redis.Restart()
	kill()
	// And without the replica the primary is read.
	w.until(func() bool {
		d, err := w.seen.GetDistribution(t.Context(), &distributionv1.GetDistributionRequest{Production: "default", Distribution: id})
		return err == nil && d.GetDistribution().GetState() == "completed"
	}, func() any { return "it is not read" })
	w.until(func() bool { return w.overview(t.Context()).GetFreshness().GetNote() == "" }, func() any { return w.overview(t.Context()) })
}
