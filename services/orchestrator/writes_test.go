package orchestrator_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/filigreehq/filigree/pkg/worker"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// writes notes every wait for a write about a distribution, one a command or pipeline.
type writes struct {
	mu    sync.Mutex
	waits []string
}

func (w *writes) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (w *writes) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		w.note(cmd)
		return err
	}
}

func (w *writes) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		w.note(cmds...)
		return err
	}
}

var reads = map[string]bool{"hget": true, "hmget": true, "hgetall": true, "get": true, "zrange": true, "exists": true, "time": true, "xread": true,
	"zrangebyscore": true, "smembers": true, "info": true, "ping": true, "hkeys": true, "zcard": true, "zcount": true}

func (w *writes) note(cmds ...redis.Cmder) {
	text := ""
	for _, c := range cmds {
		if !reads[c.Name()] && !idle(c) {
			text += fmt.Sprint(c.Args()...) + fmt.Sprint(c)
		}
	}
	if text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = append(w.waits, text)
}

// idle reports whether a script was called that found nothing to do: a worker that waits, a loop that looks.
func idle(c redis.Cmder) bool {
	cmd, ok := c.(*redis.Cmd)
	if !ok {
		return false
	}
	list, ok := cmd.Val().([]any)
	if !ok {
		return false
	}
	for _, v := range list {
		inner, isList := v.([]any)
		if !isList || len(inner) > 0 {
			return false
		}
	}
	return true
}

// about are the waits in which id occurs.
func (w *writes) about(id string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, text := range w.waits {
		if strings.Contains(text, id) {
			out = append(out, text)
		}
	}
	return out
}

// From a request to the mail server's turn stand at most eight waits for the disk, seven of them Redis's: to accept and lay
// out, to hand out and to end prepare and watermark, to hand out email, and to say that the dot comes. (The eighth is the
// copy's own file.)
func TestOneItemWaitsForFewWrites(t *testing.T) {
	t.Parallel()
	s := newStudio(t, 1, orchestrator.Config{})
	w := &writes{}
	s.redis.AddHook(w)
	ok := func(context.Context, *structpb.Struct) (*structpb.Struct, error) {
		return structpb.NewStruct(map[string]any{"artifact": map[string]any{
			"key": "art/x", "sha256": strings.Repeat("a", 64), "size": 1, "pages": 1, "media_type": "application/pdf"}})
	}
	sent := make(chan int, 10)
	s.work("w", 8, map[string]handler{"watermark.Prepare": ok, "watermark.Stamp": ok, "thumbnail.Render": ok, "push.Send": ok,
		"email.Send": func(ctx context.Context, _ *structpb.Struct) (*structpb.Struct, error) {
			err := worker.Checkpoint(ctx, "dot")
			if err != nil {
				return nil, err
			}
			task, _ := worker.TaskFrom(ctx)
			n := 0
			for _, text := range w.about(strings.Split(task.ID, "/")[1]) {
				// The thumbnail is made meanwhile; nobody's mail waits for it.
				if !strings.Contains(text, "thumbnail.out") && !strings.Contains(text, `"s":"thumbnail"`) && !strings.Contains(text, " thumbnail ") {
					n++
				}
			}
			sent <- n
			return &structpb.Struct{}, nil
		}})
	s.ended("one", s.create("one", "", 1, 1)) // scripts are loaded, functions known
	<-sent
	// A machine that has much to do may come between, and then a lease is renewed, or something swept: the road itself is
	// the shortest of a few.
	least := 100
	for range 5 {
		s.ended("one", s.create("one", "", 1, 1))
		least = min(least, <-sent)
	}
	if least > 7 || least < 5 {
		t.Errorf("there were %d waits before the mail, want at most 7 (and no fewer than 5, or they are not counted)", least)
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, text := range w.waits {
			t.Log(text[:min(len(text), 300)])
		}
	}
}
