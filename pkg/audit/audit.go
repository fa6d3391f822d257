// Package audit tells the observer who did or saw what, without ever holding up whoever does: lines go into a queue that is
// bounded, and from there in batches, each until it is told. Nothing is told twice. What finds no room in the queue, or cannot be
// told before the process ends, is lost; that is counted and logged.
package audit

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

const (
	// room is how many lines wait at most: some minutes of much traffic.
	room = 20_000
	// batch is how many are told at once.
	batch = 500
	// field bounds each text of a line, in bytes.
	field = 512
	// flush is how long a process that ends waits for what it has to tell.
	flush = 5 * time.Second
	// patience is how long one telling may take.
	patience = 5 * time.Second
)

// Line is one access.
type Line struct {
	Production, Subject, Action, Object, Detail string
}

// Recorder takes lines at any time and tells them while Run runs. A nil one takes none. It is safe for concurrent use.
type Recorder struct {
	observer observerv1.ObserverServiceClient
	log      *slog.Logger

	mu    sync.Mutex
	queue []*observerv1.AuditLine
	lost  int64
	full  bool // it was said that there is no room
	wake  chan struct{}

	// Of Run alone: the batch that was not told yet, which is told again under its name.
	name string
	size int
}

// New returns a recorder that tells observer.
func New(observer observerv1.ObserverServiceClient, log *slog.Logger) *Recorder {
	return &Recorder{observer: observer, log: log, wake: make(chan struct{}, 1)}
}

// Record takes a line. It does not wait.
func (r *Recorder) Record(l Line) {
	if r == nil {
		return
	}
	line := &observerv1.AuditLine{Time: timestamppb.Now(), Production: Bounded(l.Production), Subject: Bounded(l.Subject), Action: Bounded(l.Action),
		Object: Bounded(l.Object), Detail: Bounded(l.Detail)}
	r.mu.Lock()
	fits := len(r.queue) < room
	say := !fits && !r.full
	if fits {
		r.queue = append(r.queue, line)
	} else {
		r.lost++
		r.full = true
	}
	r.mu.Unlock()
	if say {
		r.log.Error("the observer does not take the audit, and no more can wait; lines are lost until it does")
	}
	select {
	case r.wake <- struct{}{}:
	default: // it is awake
	}
}

// Bounded is text as a line takes it: short, and UTF-8. Callers of the API make some of it, and one line that cannot be told would
// take its whole batch with it.
func Bounded(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), field)], "")
}

// Lost is how many lines could not be told.
func (r *Recorder) Lost() int64 {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// Run tells lines until ctx ends, and then for a few seconds what is left. It returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	if r == nil {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-r.wake:
			r.tell(ctx)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flush)
	defer cancel()
	r.tell(last)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.queue); n > 0 {
		r.lost += int64(n)
		r.queue = nil
	}
	if r.lost > 0 {
		r.log.Error("lines of the audit were lost since this process began", "lines", r.lost)
	}
	return nil
}

// tell tells all that waits, or as much as it can until ctx ends.
func (r *Recorder) tell(ctx context.Context) {
	wait, failing := 100*time.Millisecond, false
	for {
		r.mu.Lock()
		if r.size == 0 {
			r.name, r.size = rand.Text(), min(len(r.queue), batch)
		}
		n := r.size
		lines := r.queue[:n:n]
		r.mu.Unlock()
		if n == 0 {
			if failing {
				r.log.Info("the observer takes the audit again")
			}
			return
		}
		call, cancel := context.WithTimeout(ctx, patience)
		_, err := r.observer.RecordAccess(call, &observerv1.RecordAccessRequest{Lines: lines, Batch: r.name})
		cancel()
		if err == nil {
			wait = 100 * time.Millisecond
			r.took(n)
			continue
		}
		if ctx.Err() == nil && !fault.Transient(err) {
			r.log.Error("the observer refuses lines of the audit; they are lost", "lines", n, "err", err)
			r.took(n)
			r.mu.Lock()
			r.lost += int64(n)
			r.mu.Unlock()
			continue
		}
		if !failing {
			r.log.Warn("the observer does not take the audit now; it is told later", "err", err)
		}
		failing = true
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// took removes lines that were told.
func (r *Recorder) took(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append([]*observerv1.AuditLine(nil), r.queue[n:]...)
	r.size, r.full = 0, false
}
