package watermark

import (
	"bytes"
	"context"

	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
)

// Sampled is how many copies there are to one that is proved before it is stored.
const Sampled = sampled

// SetProve has proofs of sampled copies end as prove says.
func (s *Server) SetProve(prove func(context.Context) error) {
	s.prove = func(ctx context.Context, _ *engine.Template, _ engine.Recipe, _ string) error { return prove(ctx) }
}

// Number is the id number that is hidden in the copy which req asks for. Nothing is stored under art/.
func (s *Server) Number(ctx context.Context, req *watermarkv1.StampRequest) (uint64, error) {
	_, o, err := s.order(ctx, req)
	return o.recipe.ID.Number, err
}

// Held is what templates take in memory, in bytes.
func (s *Server) Held() int64 { return s.sources.templates.Size() }

// Locks is how many times the slow part of a password's encryption was done.
func (s *Server) Locks() int {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	return len(s.locks.known)
}

// Locked is the copy that req asks for, locked with a password of this text and owner.
func (s *Server) Locked(ctx context.Context, req *watermarkv1.StampRequest, text, owner string) ([]byte, error) {
	t, o, err := s.order(ctx, req)
	if err != nil {
		return nil, err
	}
	o.recipe.Lock, err = s.locks.get(s.keys, s.keys.Active(), password{text, []string{owner}})
	if err != nil {
		return nil, err
	}
	c, err := t.Copy(o.recipe)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, err = c.WriteTo(&out)
	return out.Bytes(), err
}
