package directory

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

const (
	// maxWaiting is how many documents may wait for their inspection; what comes beyond stays unknown.
	maxWaiting = 1000
	// maxNotes and maxTextBytes bound what is kept of a verdict.
	maxNotes     = 32
	maxTextBytes = 1024
)

// patience is how long to wait before each further attempt at an inspection that failed for no fault of the document.
var patience = [...]time.Duration{time.Second, 5 * time.Second}

// inspection is one document to inspect.
type inspection struct {
	tenant             store.Tenant
	production, sha256 string
	name               string
	open               bool // the production takes documents that are encrypted but open without a password
}

type inspectionKey struct{ production, sha256 string }

func (i inspection) key() inspectionKey { return inspectionKey{i.production, i.sha256} }

// inspector has documents inspected by the watermark service, a few at once, each once however many ask for it.
type inspector struct {
	watermark watermarkv1.WatermarkServiceClient
	atOnce    int
	timeout   time.Duration
	log       *slog.Logger
	queue     chan inspection

	mu      sync.Mutex
	pending map[inspectionKey]chan struct{}
}

func newInspector(cfg Config, watermark watermarkv1.WatermarkServiceClient, log *slog.Logger) *inspector {
	return &inspector{
		watermark: watermark, atOnce: cfg.Inspections, timeout: cfg.InspectTimeout, log: log,
		queue: make(chan inspection, maxWaiting), pending: map[inspectionKey]chan struct{}{},
	}
}

// submit queues i, unless it is queued already. What it returns is closed when the inspection ended or was given up.
func (n *inspector) submit(i inspection) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	done, ok := n.pending[i.key()]
	if ok {
		return done
	}
	done = make(chan struct{})
	select {
	case n.queue <- i:
		n.pending[i.key()] = done
	default: // too many wait: it stays unknown
		close(done)
	}
	return done
}

func (n *inspector) finish(i inspection) {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.pending[i.key()])
	delete(n.pending, i.key())
}

// run inspects until ctx ends.
func (n *inspector) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range n.atOnce {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case i := <-n.queue:
					n.inspect(ctx, i)
					n.finish(i)
				}
			}
		})
	}
	workers.Wait()
}

// inspect asks the watermark service and records what it says.
func (n *inspector) inspect(ctx context.Context, i inspection) {
	found, err := n.ask(ctx, i)
	for attempt := 0; err != nil && fault.Transient(err) && attempt < len(patience); attempt++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(patience[attempt]):
		}
		found, err = n.ask(ctx, i)
	}
	if err == nil {
		_, err = i.tenant.SetVerdict(ctx, i.sha256, found)
	}
	if err != nil && ctx.Err() == nil {
		n.log.WarnContext(ctx, "document not inspected, its verdict stays unknown", "production", i.production, "file", i.sha256, "err", err)
	}
}

func (n *inspector) ask(ctx context.Context, i inspection) (store.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	resp, err := n.watermark.Prepare(ctx, &watermarkv1.PrepareRequest{
		Production: i.production, File: &watermarkv1.File{Sha256: i.sha256, Name: i.name, OpenRestricted: i.open},
	})
	if err == nil {
		return store.Finding{Verdict: store.OK, Pages: int(resp.GetPages()), Notes: bounded(resp.GetNotes()), Open: i.open}, nil
	}
	f := fault.From(err)
	if !refusal(f) {
		return store.Finding{}, err
	}
	return store.Finding{Verdict: store.Refused, ErrorCode: f.Reason, ErrorMessage: cut(f.Message, maxTextBytes), Open: i.open}, nil
}

// refusal reports whether f speaks of the document, not of the call: one that the service has not, or was asked wrongly.
func refusal(f *fault.Error) bool {
	return f.Kind == fault.Invalid && f.Reason != "INVALID" && f.Reason != "UNKNOWN_METHOD"
}

func bounded(notes []string) []string {
	kept := notes[:min(len(notes), maxNotes)]
	for i, note := range kept {
		kept[i] = cut(note, maxTextBytes)
	}
	return kept
}
