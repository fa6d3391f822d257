package watermark

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/cache"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/mark"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
)

// sources has templates and what was found out about marks on them: in memory, else in the store, else it makes them and
// puts them there, so that each is made once for all replicas.
//
//	tpl/<sha256>/<engine>           the template
//	tpl/<sha256>/<engine>.open      the same of a source that opens without a password, where that is allowed
//	tpl/<sha256>/<engine>.<mark>    how strong the mark must be on each page: JSON, [[pages, level], …]
//	tpl/<sha256>/<engine>.unsound   an empty one: no more copies
type sources struct {
	engine *engine.Engine
	blobs  *blob.Bucket
	log    *slog.Logger
	temp   string
	// restricted takes sources that open without a password whatever the production says.
	restricted bool

	templates *cache.Cache[string, *engine.Template]
	checks    *cache.Cache[string, []uint8]
}

// checkBytes is what the results of checks may take in memory.
const checkBytes = 8 << 20

func newSources(cfg Config, e *engine.Engine, blobs *blob.Bucket, log *slog.Logger) *sources {
	return &sources{
		engine: e, blobs: blobs, log: log, temp: cfg.TempDir, restricted: cfg.OpenRestricted,
		templates: cache.New[string, *engine.Template](cfg.CacheBytes, lasting), checks: cache.New[string, []uint8](checkBytes, lasting),
	}
}

// lasting reports whether a refusal lies in the source, so that a thousand recipients' tasks need not find it out one
// after the other.
func lasting(err error) bool {
	f := fault.From(err)
	return f.Kind == fault.Invalid && !f.Transient()
}

// key is how what belongs to a file begins.
func (s *sources) key(file *watermarkv1.File) string {
	return "tpl/" + file.GetSha256() + "/" + Engine
}

// template returns the template of a production's file. Errors are faults.
func (s *sources) template(ctx context.Context, production string, file *watermarkv1.File) (*engine.Template, error) {
	// Templates are shared by all productions that have the same source, and by no other.
	src := "src/" + production + "/" + file.GetSha256()
	there, err := s.blobs.Exists(ctx, src)
	if err != nil {
		return nil, unfetched(err)
	}
	if !there {
		return nil, missing(file)
	}
	key, restricted := s.key(file), s.restricted || file.GetOpenRestricted()
	if restricted {
		key += ".open"
	}
	bad, err := s.blobs.Exists(ctx, s.key(file)+".unsound") // which another replica may have found out just now
	if err != nil {
		return nil, unfetched(err)
	}
	if bad {
		return nil, errUnsound
	}
	return s.templates.Get(ctx, key, func(ctx context.Context) (*engine.Template, int64, error) {
		t, err := s.stored(ctx, key)
		if err == nil && t == nil {
			t, err = s.compile(ctx, src, key, file, restricted)
		}
		if err != nil {
			return nil, 0, err
		}
		return t, t.Size(), nil
	})
}

// stored returns the template under key, nil if there is none, or none of this version's.
func (s *sources) stored(ctx context.Context, key string) (*engine.Template, error) {
	raw, err := s.read(ctx, key)
	if err != nil || raw == nil {
		return nil, err
	}
	t, err := engine.Open(raw)
	if err == nil {
		return t, nil
	}
	s.log.WarnContext(ctx, "a template in the store is damaged and is made anew", "key", key, "err", err)
	err = s.blobs.Delete(ctx, key)
	if err != nil {
		return nil, unstored(err)
	}
	return nil, nil
}

// read returns the blob under key, nil if there is none.
func (s *sources) read(ctx context.Context, key string) ([]byte, error) {
	r, err := s.blobs.Read(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unfetched(err)
	}
	raw, err := io.ReadAll(r)
	err = errors.Join(err, r.Close())
	if err != nil {
		return nil, unfetched(err)
	}
	return raw, nil
}

// compile makes the template and stores it. Of replicas that do so at once one wins, and all use the winner's.
func (s *sources) compile(ctx context.Context, src, key string, file *watermarkv1.File, restricted bool) (*engine.Template, error) {
	from, err := s.blobs.Fetch(ctx, src, s.temp)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, missing(file)
	}
	if err != nil {
		return nil, unfetched(err)
	}
	defer func() { _ = from.Close() }() // unlinked, only read
	raw, err := s.engine.Compile(ctx, from, restricted)
	if err != nil {
		return nil, explain(err)
	}
	_, _, err = s.blobs.Create(ctx, key, "application/octet-stream", bytes.NewReader(raw))
	if errors.Is(err, blob.ErrExists) {
		var t *engine.Template
		t, err = s.stored(ctx, key)
		if t != nil {
			return t, nil
		}
		if err == nil { // and is gone again, or was damaged
			err = errors.New("the template was replaced meanwhile")
		}
	}
	if err != nil {
		return nil, unstored(err)
	}
	t, err := engine.Open(raw)
	if err != nil {
		return nil, fmt.Errorf("open a template just made: %w", err)
	}
	return t, nil
}

// levels returns how strong a mark must be on each page of a file's template. Errors are faults.
func (s *sources) levels(ctx context.Context, file *watermarkv1.File, t *engine.Template, spec mark.Spec) ([]uint8, error) {
	// Who asks for the default by its words, as distributions do, asks for what was found out when the file came.
	sum := fold([]string{
		cmp.Or(strings.TrimSpace(spec.Template), mark.Default), string(cmp.Or(spec.Style.Layout, mark.Diagonal)), spec.Style.Color, fmt.Sprint(spec.Style.Opacity), fmt.Sprint(spec.Style.Size), spec.Style.Pages,
	})
	digest := t.Digest()
	key := s.key(file) + "." + hex.EncodeToString(digest[:8]) + hex.EncodeToString(sum[:16])
	return s.checks.Get(ctx, key, func(ctx context.Context) ([]uint8, int64, error) {
		raw, err := s.read(ctx, key)
		if err != nil {
			return nil, 0, err
		}
		levels, ok := unfoldLevels(raw, t.Pages())
		if !ok {
			levels, err = check(ctx, s.engine, t, spec, nil)
			if err != nil {
				return nil, 0, err
			}
			if raw != nil {
				err = s.blobs.Delete(ctx, key) // it is damaged
			}
			if err == nil {
				_, _, err = s.blobs.Create(ctx, key, "application/json", bytes.NewReader(foldLevels(levels)))
			}
			if err != nil && !errors.Is(err, blob.ErrExists) { // others find out the same for themselves
				s.log.WarnContext(ctx, "what was found out about a mark could not be stored", "key", key, "err", err)
			}
		}
		return levels, int64(len(levels) + len(key)), nil
	})
}

// foldLevels writes levels as counts of consecutive pages.
func foldLevels(levels []uint8) []byte {
	var runs [][2]int
	for _, level := range levels {
		if n := len(runs); n > 0 && runs[n-1][1] == int(level) {
			runs[n-1][0]++
			continue
		}
		runs = append(runs, [2]int{1, int(level)})
	}
	raw, err := json.Marshal(runs)
	if err != nil {
		panic(fmt.Sprintf("write numbers: %v", err)) // they can always be written
	}
	return raw
}

// unfoldLevels reads what foldLevels wrote for so many pages.
func unfoldLevels(raw []byte, pages int) ([]uint8, bool) {
	var runs [][2]int
	err := json.Unmarshal(raw, &runs)
	if err != nil {
		return nil, false
	}
	levels := make([]uint8, 0, pages)
	for _, run := range runs {
		if run[0] < 1 || run[0] > pages-len(levels) || run[1] < 0 || run[1] > 255 {
			return nil, false
		}
		for range run[0] {
			levels = append(levels, uint8(run[1]))
		}
	}
	return levels, len(levels) == pages
}

// quarantine has no more copies made of a file.
func (s *sources) quarantine(ctx context.Context, file *watermarkv1.File) error {
	_, _, err := s.blobs.Create(ctx, s.key(file)+".unsound", "application/octet-stream", bytes.NewReader(nil))
	if err != nil && !errors.Is(err, blob.ErrExists) {
		return unstored(err)
	}
	return nil
}

// errUnsound is why no more copies are made of a file.
var errUnsound = fault.New(fault.Invalid, "COPY_UNSOUND", "a copy of this document was found damaged before it was sent, so all its copies are held back: tell whoever runs this system, and send the document exported anew")

func missing(file *watermarkv1.File) error {
	return fault.New(fault.NotFound, "FILE_MISSING", "%s is not there any more: upload it again", file.GetName())
}

func unfetched(err error) error {
	return fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "the file could not be fetched; it will be tried again").Because(err)
}

func unstored(err error) error {
	if blob.Full(err) {
		return fault.New(fault.Unavailable, "STORE_FULL", "what was read of the file could not be stored: no space is left where documents are kept; it will be tried again").Because(err)
	}
	return fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "what was read of the file could not be stored; it will be tried again").Because(err)
}
