package standalone_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/webhook"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
)

// faulty is a connection on which one call of ten never arrives, and another is carried out while its caller hears of
// nothing but a timeout.
type faulty struct {
	grpc.ClientConnInterface

	mu   sync.Mutex
	rand *rand.Rand
	// By method: calls that never arrived, calls that were carried out and whose answer was lost, all calls.
	never, lost, all map[string]int
	next             map[string][]int // by method: what becomes of the next calls
}

func newFaulty(conn grpc.ClientConnInterface, seed uint64) *faulty {
	return &faulty{ClientConnInterface: conn, rand: rand.New(rand.NewPCG(seed, 27)), never: map[string]int{}, lost: map[string]int{}, all: map[string]int{}, next: map[string][]int{}}
}

// draw says what becomes of a call: 0 it never arrives, 1 its answer is lost. Of each ten calls of a method one fares so.
func (f *faulty) draw(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.next[method]) == 0 {
		f.next[method] = f.rand.Perm(10)
	}
	n := f.next[method][0]
	f.next[method] = f.next[method][1:]
	f.all[method]++
	switch n {
	case 0:
		f.never[method]++
	case 1:
		f.lost[method]++
	}
	return n
}

func (f *faulty) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	n := f.draw(method)
	switch n {
	case 0:
		return fault.From(status.Error(codes.Unavailable, "connection refused, by the test"))
	case 1:
		// The answer goes nowhere, as it does when it comes too late.
		err := f.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
		if err != nil {
			return err
		}
		return fault.From(status.Error(codes.DeadlineExceeded, "timeout, by the test"))
	}
	return f.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
}

// effects counts what was done, by key.
type effects struct {
	mu   sync.Mutex
	done map[string]int
}

func (e *effects) did(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done[key]++
}

// fire is a call as a sender makes it, signed at a moment with secret.
func fire(name, secret, id, body string, at time.Time) *schedulev1.FireHookRequest {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signature, err := webhook.Sign(secret, id, timestamp, []byte(body))
	if err != nil {
		panic(err)
	}
	return &schedulev1.FireHookRequest{Production: "default", Name: name, Id: id, Timestamp: timestamp, Signature: signature, Body: []byte(body)}
}
