package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/loadtest/internal/rig"
	"github.com/filigreehq/filigree/loadtest/internal/stat"
)

// rivalWorkers is asynq's concurrency.
const rivalWorkers = 64

// rival is one round of asynq's.
type rival struct {
	rate       float64
	took       time.Duration
	cpu, redis time.Duration
}

func figuresOf(rounds []rival) *Rival {
	var rates, took, cpu, redis []float64
	for _, r := range rounds {
		rates, took = append(rates, r.rate), append(took, r.took.Seconds())
		cpu, redis = append(cpu, r.cpu.Seconds()), append(redis, r.redis.Seconds())
	}
	out := &Rival{Rates: append([]float64(nil), rates...)}
	out.StepsPerSecond, out.Seconds, out.CPU, out.RedisCPU = stat.Median(rates), stat.Median(took), stat.Median(cpu), stat.Median(redis)
	return out
}

// rival runs asynq in a process of its own on a redis-server of its own, or on the one that was named.
func (o Options) rival(ctx context.Context) (_ rival, err error) {
	r, err := rig.New()
	if err != nil {
		return rival{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var server *rig.Redis
	if o.Redis == "" {
		server, err = r.StartRedis(ctx, o.Fsync)
	} else {
		server, err = r.OpenRedis(o.Redis)
	}
	if err != nil {
		return rival{}, err
	}
	before, err := server.Usage(ctx)
	if err != nil {
		return rival{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return rival{}, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, RivalCommand, server.URL, strconv.Itoa(o.Items), strconv.Itoa(o.Steps))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		return rival{}, fmt.Errorf("asynq's process: %w; its last words:\n%s", err, strings.TrimSpace(words.String()))
	}
	var took time.Duration
	err = json.Unmarshal(out, &took)
	if err != nil {
		return rival{}, fmt.Errorf("asynq's process said %q: %w", out, err)
	}
	after, err := server.Usage(ctx)
	if err != nil {
		return rival{}, err
	}
	return rival{
		rate: float64(o.Items*o.Steps) / took.Seconds(), took: took,
		cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), redis: after.CPU - before.CPU,
	}, nil
}

// RivalCommand is the command by which this program starts itself as asynq's process.
const RivalCommand = "asynq-process"

// ServeRival is asynq's process: it sends items through steps on the Redis at url, and writes how long that took to out.
// Each step writes a field of the item's hash and enqueues the item's next step, as a user of asynq would chain them.
func ServeRival(ctx context.Context, url string, items, steps int, out io.Writer) error {
	at := asynq.RedisClientOpt{Network: "unix", PoolSize: 2 * rivalWorkers}
	path, ok := strings.CutPrefix(url, "unix://")
	if ok {
		at.Addr = path
	} else {
		opts, err := redis.ParseURL(url)
		if err != nil {
			return err
		}
		at = asynq.RedisClientOpt{Addr: opts.Addr, Username: opts.Username, Password: opts.Password, DB: opts.DB, TLSConfig: opts.TLSConfig, PoolSize: 2 * rivalWorkers}
	}
	client := asynq.NewClient(at)
	defer client.Close()
	records := redis.NewClient(&redis.Options{Network: at.Network, Addr: at.Addr, Username: at.Username, Password: at.Password, DB: at.DB, TLSConfig: at.TLSConfig, PoolSize: 2 * rivalWorkers})
	defer records.Close()
	server := asynq.NewServer(at, asynq.Config{Concurrency: rivalWorkers, LogLevel: asynq.ErrorLevel})
	var left atomic.Int64
	left.Store(int64(items))
	finished := make(chan struct{})
	handle := func(ctx context.Context, t *asynq.Task) error {
		var at struct{ Item, Step int }
		err := json.Unmarshal(t.Payload(), &at)
		if err != nil {
			return err
		}
		err = records.HSet(ctx, "item:"+strconv.Itoa(at.Item), strconv.Itoa(at.Step), "done").Err()
		if err != nil {
			return err
		}
		if at.Step < steps {
			return enqueue(ctx, client, at.Item, at.Step+1)
		}
		if left.Add(-1) == 0 {
			close(finished)
		}
		return nil
	}
	err := server.Start(asynq.HandlerFunc(handle))
	if err != nil {
		return fmt.Errorf("start asynq: %w", err)
	}
	defer server.Shutdown()
	start := time.Now()
	next := make(chan int)
	failed := make(chan error, rivalWorkers)
	var senders sync.WaitGroup
	for range rivalWorkers {
		senders.Go(func() {
			for item := range next {
				err := enqueue(ctx, client, item, 1)
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	senders.Go(func() {
		defer close(next)
		for item := range items {
			select {
			case next <- item:
			case <-ctx.Done():
				return
			}
		}
	})
	select {
	case <-finished:
	case err = <-failed:
		return fmt.Errorf("enqueue: %w", err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	took := time.Since(start)
	senders.Wait()
	return json.NewEncoder(out).Encode(took)
}

func enqueue(ctx context.Context, client *asynq.Client, item, step int) error {
	payload, err := json.Marshal(struct{ Item, Step int }{item, step})
	if err != nil {
		return err
	}
	_, err = client.EnqueueContext(ctx, asynq.NewTask("step", payload))
	return err
}
