package orchestrator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// CreateBatch implements distributionv1.DistributionServiceServer.
func (s *Server) CreateBatch(ctx context.Context, req *distributionv1.CreateBatchRequest) (*distributionv1.CreateBatchResponse, error) {
	key := req.GetIdempotencyKey()
	md, _ := metadata.FromIncomingContext(ctx)
	header := md.Get("idempotency-key")
	if key == "" && len(header) > 0 {
		key = header[0]
	}
	if key == "" || len(key) > 128 {
		return nil, fault.New(fault.Invalid, "IDEMPOTENCY_KEY_MISSING",
			"send a header Idempotency-Key of 1 to 128 characters with it, so that repeating the request cannot start a second batch")
	}
	for _, state := range req.GetFilter().GetStates() {
		if !slices.Contains(plan.DistributionStates, plan.DistributionState(state)) {
			return nil, fault.New(fault.Invalid, "BATCH_FILTER_INVALID", "%q is no state of a distribution; there are %v", state, plan.DistributionStates)
		}
	}
	_, err := s.deps.Directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: req.GetProduction()})
	if err != nil {
		return nil, err
	}
	bare := proto.CloneOf(req)
	bare.IdempotencyKey = ""
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(bare)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	filter, err := protojson.Marshal(req.GetFilter())
	if err != nil {
		return nil, err
	}
	id, err := s.store.CreateBatch(ctx, store.Batch{ID: ulid.Make().String(), Production: req.GetProduction(), Operation: req.GetOperation(),
		Filter: filter, By: who(ctx)}, key, hex.EncodeToString(sum[:16]))
	if errors.Is(err, store.ErrConflict) {
		return nil, fault.New(fault.Conflict, "IDEMPOTENCY_CONFLICT", "this Idempotency-Key was used for another batch; take a new key for a new one")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	s.kickBatches()
	s.deps.Log.InfoContext(ctx, "batch accepted", "batch", id, "production", req.GetProduction(), "operation", req.GetOperation(), "by", who(ctx))
	b, err := s.batch(ctx, req.GetProduction(), id)
	if err != nil {
		return nil, err
	}
	return &distributionv1.CreateBatchResponse{Batch: b}, nil
}

func (s *Server) kickBatches() {
	select {
	case s.batched <- struct{}{}:
	default:
	}
}

// GetBatch implements distributionv1.DistributionServiceServer.
func (s *Server) GetBatch(ctx context.Context, req *distributionv1.GetBatchRequest) (*distributionv1.GetBatchResponse, error) {
	b, err := s.batch(ctx, req.GetProduction(), req.GetBatch())
	if err != nil {
		return nil, err
	}
	return &distributionv1.GetBatchResponse{Batch: b}, nil
}

// ListBatches implements distributionv1.DistributionServiceServer.
func (s *Server) ListBatches(ctx context.Context, req *distributionv1.ListBatchesRequest) (*distributionv1.ListBatchesResponse, error) {
	all, next, err := s.store.ListBatches(ctx, req.GetProduction(), req.GetPageToken(), page(req.GetPageSize()))
	if errors.Is(err, store.ErrNotFound) {
		return nil, badCursor(req.GetPageToken())
	}
	if err != nil {
		return nil, unavailable(err)
	}
	resp := &distributionv1.ListBatchesResponse{NextPageToken: next}
	for _, b := range all {
		v, err := batchView(b)
		if err != nil {
			return nil, err
		}
		resp.Batches = append(resp.Batches, v)
	}
	return resp, nil
}

// PauseBatch implements distributionv1.DistributionServiceServer.
func (s *Server) PauseBatch(ctx context.Context, req *distributionv1.PauseBatchRequest) (*distributionv1.PauseBatchResponse, error) {
	b, err := s.haltBatch(ctx, req.GetProduction(), req.GetBatch(), true)
	if err != nil {
		return nil, err
	}
	return &distributionv1.PauseBatchResponse{Batch: b}, nil
}

// ResumeBatch implements distributionv1.DistributionServiceServer.
func (s *Server) ResumeBatch(ctx context.Context, req *distributionv1.ResumeBatchRequest) (*distributionv1.ResumeBatchResponse, error) {
	b, err := s.haltBatch(ctx, req.GetProduction(), req.GetBatch(), false)
	if err != nil {
		return nil, err
	}
	return &distributionv1.ResumeBatchResponse{Batch: b}, nil
}

func (s *Server) haltBatch(ctx context.Context, production, id string, on bool) (*distributionv1.Batch, error) {
	err := s.store.HaltBatch(ctx, production, id, on)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, unknownBatch(id)
	case errors.Is(err, store.ErrEnded):
		return nil, fault.New(fault.Conflict, "BATCH_ENDED", "batch %s is done; there is nothing to pause or to resume", id)
	case err != nil:
		return nil, unavailable(err)
	}
	s.kickBatches()
	return s.batch(ctx, production, id)
}

func unknownBatch(id string) error {
	return fault.New(fault.NotFound, "BATCH_UNKNOWN", "there is no batch %q in this production; they are kept for 30 days", id)
}

func (s *Server) batch(ctx context.Context, production, id string) (*distributionv1.Batch, error) {
	b, err := s.store.Batch(ctx, production, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknownBatch(id)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return batchView(b)
}

func batchView(b *store.Batch) (*distributionv1.Batch, error) {
	v := &distributionv1.Batch{Id: b.ID, Production: b.Production, Operation: b.Operation, Filter: &distributionv1.BatchFilter{}, State: b.State,
		Seen: int32(b.Counts.Seen), Found: int32(b.Counts.Found), Changed: int32(b.Counts.Changed), Unchanged: int32(b.Counts.Unchanged),
		Failed: int32(b.Counts.Failed), Total: int32(b.Total), CreatedAt: stamp(b.Created), EndedAt: stamp(b.Ended), CreatedBy: b.By}
	if b.Code != "" {
		v.Error = &distributionv1.Error{Code: b.Code, Message: b.Message}
	}
	err := protojson.Unmarshal(b.Filter, v.GetFilter())
	if err != nil {
		return nil, fmt.Errorf("filter of batch %s: %w", b.ID, err)
	}
	return v, nil
}

// batches does what is under way, a slice of each in turn, until there is nothing that nobody else does.
func (s *Server) batches(ctx context.Context) error {
	for {
		all, err := s.store.Batches(ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		var done sync.WaitGroup
		errs := make([]error, len(all))
		for i, b := range all {
			done.Go(func() { errs[i] = s.batchSlice(ctx, b) })
		}
		done.Wait()
		err = errors.Join(errs...)
		if err != nil {
			return err
		}
	}
}

// batchSlice looks at the next distributions of a batch. What is to be done to one is recorded before, and counted after
// it: whoever goes on after a crash in between does it again, which changes nothing, and counts it once.
func (s *Server) batchSlice(ctx context.Context, b *store.Batch) error {
	v, err := batchView(b)
	if err != nil {
		return err
	}
	all, cursors, err := s.store.Next(ctx, b.Production, b.Cursor, b.Created, 20)
	if err != nil {
		return err
	}
	for i, sum := range all {
		st := store.Step{Cursor: cursors[i], Counts: store.BatchCounts{Seen: 1}}
		if sum != nil {
			st, err = s.batchOne(ctx, b, v.GetFilter(), sum, st)
		}
		goOn := false
		if err == nil {
			st.Free = i == len(all)-1
			goOn, err = s.store.Advance(ctx, b, st)
		}
		if errors.Is(err, store.ErrTaken) || errors.Is(err, errHalted) {
			return nil
		}
		if err != nil || !goOn {
			return err
		}
	}
	if len(all) > 0 {
		return nil
	}
	_, err = s.store.Advance(ctx, b, store.Step{Cursor: b.Cursor, Done: true})
	if errors.Is(err, store.ErrTaken) {
		return nil
	}
	s.deps.Log.InfoContext(ctx, "batch done", "batch", b.ID, "production", b.Production)
	return err
}

// errHalted: the batch was paused before anything was begun.
var errHalted = errors.New("paused")

// batchOne does b's operation to one distribution, if the filter finds it, and says how to count that.
func (s *Server) batchOne(ctx context.Context, b *store.Batch, f *distributionv1.BatchFilter, sum *store.Summary, st store.Step) (store.Step, error) {
	begun := b.Doing == sum.ID // by somebody who did not come to counting it
	if !begun {
		found, err := s.matches(ctx, f, sum)
		if err != nil || !found {
			return st, err
		}
	}
	st.Counts.Found = 1
	if !begun && !mayChange(b.Operation, sum) {
		st.Counts.Unchanged = 1
		return st, nil
	}
	if !begun {
		goOn, err := s.store.Advance(ctx, b, store.Step{Cursor: b.Cursor, Doing: sum.ID})
		if err == nil && !goOn {
			err = errHalted
		}
		if err != nil {
			return st, err
		}
	}
	err := s.operate(ctx, b, sum.ID)
	var refused *fault.Error
	switch {
	case err == nil:
		st.Counts.Changed = 1
	case errors.Is(err, store.ErrEnded), errors.Is(err, store.ErrNotFound):
		st.Counts.Unchanged = 1
	case errors.As(err, &refused) && (refused.Reason == "NOTHING_TO_RETRY" || refused.Reason == "DISTRIBUTION_CANCELLED"):
		// Begun before, it is nothing any more because it was done.
		if begun && refused.Reason == "NOTHING_TO_RETRY" {
			st.Counts.Changed = 1
		} else {
			st.Counts.Unchanged = 1
		}
	case errors.As(err, &refused) && refused.Kind != fault.Unavailable:
		st.Counts.Failed = 1
		st.Code, st.Message = refused.Reason, sum.ID+": "+refused.Message
	default:
		return st, err // the store: it goes on with this one
	}
	return st, nil
}

// mayChange reports whether an operation can change anything of a distribution.
func mayChange(operation string, sum *store.Summary) bool {
	switch operation {
	case "cancel":
		return !sum.State.Final() && !sum.CancelRequested
	case "pause":
		return !sum.State.Final() && sum.State != plan.Paused
	case "resume":
		return sum.State == plan.Paused || sum.State == plan.Accepted
	}
	return !sum.CancelRequested && anyEnded(sum, false)
}

// operate does b's operation to a distribution.
func (s *Server) operate(ctx context.Context, b *store.Batch, id string) error {
	var err error
	switch b.Operation {
	case "cancel":
		err = s.family(ctx, b.Production, id, func(id string) error { return s.store.Cancel(ctx, b.Production, id, b.By) })
	case "pause", "resume":
		err = s.family(ctx, b.Production, id, func(id string) error {
			return s.store.Pause(ctx, b.Production, id, b.By, b.Operation == "pause")
		})
	case "retry":
		d, err := s.load(ctx, b.Production, id)
		if err != nil {
			return err
		}
		return s.retry(ctx, d, choice{By: b.By})
	default:
		return fault.New(fault.Invalid, "BATCH_OPERATION_UNKNOWN", "%q is not known here; an orchestrator of another version may know it", b.Operation)
	}
	s.kickChores()
	return err
}

// matches reports whether a filter finds a distribution.
func (s *Server) matches(ctx context.Context, f *distributionv1.BatchFilter, sum *store.Summary) (bool, error) {
	switch {
	case len(f.GetStates()) > 0 && !slices.Contains(f.GetStates(), string(sum.State)),
		f.GetCreatedAfter() != nil && !sum.Created.After(f.GetCreatedAfter().AsTime()),
		f.GetCreatedBefore() != nil && !sum.Created.Before(f.GetCreatedBefore().AsTime()),
		f.GetDefinition() != "" && f.GetDefinition() != sum.Definition,
		f.GetCode() != "" && !anyEnded(sum, false):
		return false, nil
	}
	if f.GetTitle() != "" {
		raw, err := s.store.Spec(ctx, sum.Production, sum.ID)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		var sp spec
		err = json.Unmarshal(raw, &sp)
		if err != nil {
			return false, fmt.Errorf("read spec of %s: %w", sum.ID, err)
		}
		if !strings.Contains(strings.ToLower(sp.Title), strings.ToLower(f.GetTitle())) {
			return false, nil
		}
	}
	if f.GetCode() == "" {
		return true, nil
	}
	return s.anyFailedWith(ctx, sum, f.GetCode())
}

// anyFailedWith reports whether anything of a distribution failed with code.
func (s *Server) anyFailedWith(ctx context.Context, sum *store.Summary, code string) (bool, error) {
	for from := 0; from < sum.Size.Units(); from += 500 {
		var units []plan.Unit
		for n := from; n < min(from+500, sum.Size.Units()); n++ {
			units = append(units, sum.Size.UnitAt(n))
		}
		records, err := s.store.Units(ctx, sum.Production, sum.ID, units)
		if err != nil {
			return false, err
		}
		if household(records).failedWith(code) {
			return true, nil
		}
	}
	return false, nil
}
