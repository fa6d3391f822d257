package watermark

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/former"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/trace"
)

type (
	// Trace is whose copy a suspect is, as far as it says.
	Trace = trace.Result
	// Traced is a copy of ours that a suspect has a part of.
	Traced = trace.Copy
	// Evidence is what one channel of a suspect says.
	Evidence = trace.Evidence
	// Outcome is what a trace comes to.
	Outcome = trace.Outcome
	// About says whose copy it is.
	About = hidden.About
	// Finder knows copies by the number they carry.
	Finder = trace.Finder
)

// What a trace comes to; see package trace.
const (
	TraceMatch      = trace.Match
	TraceAmbiguous  = trace.Ambiguous
	TraceForged     = trace.Forged
	TraceDamaged    = trace.Damaged
	TraceUnknownKey = trace.UnknownKey
	TraceNone       = trace.None
)

// Tracer finds out whose copies documents are. It is safe for concurrent use.
type Tracer struct {
	tracer *trace.Tracer
	keys   *keyring.Ring
}

// NewTracer returns a tracer for copies made under keys, or why there can be none here. The program must have called
// sandbox.Main first.
func NewTracer(cfg Config, keys *keyring.Ring, log *slog.Logger) (*Tracer, error) {
	err := ready(cfg, log)
	if err != nil {
		return nil, err
	}
	return newTracer(cfg, keys, log), nil
}

func newTracer(cfg Config, keys *keyring.Ring, log *slog.Logger) *Tracer {
	limits := trace.DefaultLimits()
	limits.Content = max(limits.Content, cfg.MaxContent)
	return &Tracer{keys: keys, tracer: trace.New(trace.Config{
		Limits:  limits,
		Sandbox: sandbox.Limits{Memory: cfg.Memory, CPU: cfg.CPU, Wall: cfg.Wall, Unconfined: cfg.AcceptUnsandboxed},
		TempDir: cfg.TempDir,
	}, log)}
}

// Trace looks at a suspect, with password if it is locked, and asks find, which may be nil, for names of what it does
// not name itself. Errors are faults; with LOOKUP_FAILED the trace is whole but for names.
func (t *Tracer) Trace(ctx context.Context, suspect *os.File, password string, find Finder) (Trace, error) {
	found, err := t.tracer.Find(ctx, suspect, password)
	if err != nil {
		return Trace{}, explainTrace(err)
	}
	result, err := trace.Judge(ctx, found, t.keysOf, find)
	if err != nil && result.Outcome != "" {
		err = fault.New(fault.Unavailable, "LOOKUP_FAILED", "whose copy it is could not be looked up").Because(err)
	}
	return result, err
}

// maxKey is up to which number keys of a ring are tried for an id that names its key modulo 256.
const maxKey = 1 << 12

func (t *Tracer) keysOf(number uint8) []trace.Key {
	var all []trace.Key
	for n := int(number); n <= maxKey; n += 256 {
		if n == 0 {
			continue // keys count from 1, and 0 would be the active one
		}
		mac, err := t.keys.Derive(n, keyring.IDMAC, macContext)
		if err != nil {
			continue // it is not in the ring
		}
		seal, err := t.keys.Derive(n, keyring.IDMAC, sealContext)
		if err != nil {
			continue
		}
		all = append(all, trace.Key{MAC: mac, Seal: seal})
	}
	return all
}

func explainTrace(err error) error {
	var refusal *trace.Error
	if errors.As(err, &refusal) {
		return fault.New(fault.Invalid, refusal.Reason, "%s", refusal.Message).Because(err)
	}
	var ended *sandbox.Error
	if !errors.As(err, &ended) {
		return err
	}
	switch ended.Kind {
	case sandbox.Time, sandbox.Killed:
		return fault.New(fault.Unavailable, "WATERMARK_OVERLOADED", "this machine had too little time or memory for the file; try again").Because(err)
	case sandbox.Unavailable:
		return fault.New(fault.Unavailable, "SANDBOX_UNAVAILABLE", "the sandbox in which PDFs are opened could not be started on this machine").Because(err)
	}
	return fault.New(fault.Internal, "INTERNAL", "the file could not be looked at").Because(err)
}

// Stored finds copies in the store of a server.
type Stored struct {
	Blobs *blob.Bucket
	// Tracer reads what a stored copy says of itself.
	Tracer *Tracer
	// TempDir is where a stored copy lies while it is read; the system's if empty.
	TempDir string
}

// Find implements Finder. Of a copy that is locked only production and artifact are known.
func (s Stored) Find(ctx context.Context, number uint64) ([]About, error) {
	productions, err := s.Blobs.List(ctx, "art/")
	if err != nil {
		return nil, err
	}
	var all []About
	for _, p := range productions {
		keys, err := s.Blobs.List(ctx, fmt.Sprintf("%s%012x", p, number))
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			copied, gone := former.Key(key)
			about := About{Production: path.Base(p), Artifact: path.Base(copied)}
			_, err = hex.DecodeString(about.Artifact)
			if err != nil {
				continue // it belongs to a copy and is none
			}
			if gone {
				whose, err := former.Read(ctx, s.Blobs, copied)
				if err != nil {
					return nil, err
				}
				about.Distribution, about.Item, about.Name, about.Email = whose.Distribution, whose.Item, whose.Name, whose.Email
				all = append(all, about)
				continue
			}
			said, err := s.read(ctx, key)
			if err != nil {
				return nil, err
			}
			if said.Artifact == about.Artifact {
				about = said
			}
			all = append(all, about)
		}
	}
	return all, nil
}

// read returns what the copy under key says of itself, which is nothing if it is locked.
func (s Stored) read(ctx context.Context, key string) (About, error) {
	f, err := s.Blobs.Fetch(ctx, key, s.TempDir)
	if err != nil {
		return About{}, err
	}
	defer func() { _ = f.Close() }() // unlinked, only read
	found, err := s.Tracer.tracer.Find(ctx, f, "")
	var refusal *trace.Error
	if errors.As(err, &refusal) {
		return About{}, nil
	}
	if err != nil {
		return About{}, err
	}
	result, err := trace.Judge(ctx, trace.Findings{Sealed: found.Sealed}, s.Tracer.keysOf, nil)
	if err != nil || len(result.Copies) != 1 || len(result.Copies[0].Who) != 1 {
		return About{}, err
	}
	return result.Copies[0].Who[0], nil
}
