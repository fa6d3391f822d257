package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Verdict is what is known of a document.
type Verdict string

const (
	Unknown Verdict = "unknown" // not inspected yet
	OK      Verdict = "ok"      // copies can be made of it
	Refused Verdict = "refused" // they cannot
)

// File is a document's record.
type File struct {
	SHA256  string
	Name    string
	Size    int64
	Created time.Time
	Finding
	seq int64
}

// Finding is what an inspection told.
type Finding struct {
	Verdict      Verdict
	Pages        int
	ErrorCode    string
	ErrorMessage string
	Notes        []string
	// Open says that it was found where documents are taken that are encrypted but open without a password.
	Open bool
}

// PutFile records a document and returns its record, which is an older one if the same bytes were recorded before.
func (t Tenant) PutFile(ctx context.Context, sha256, name string, size int64) (File, error) {
	p := t.production
	keys := []string{productionKey(p), fileKey(p, sha256), filesKey(p), fileSeqKey(p)}
	r, err := t.s.run(ctx, t.s.scripts.filePut, 0, keys, sha256, name, size)
	if err != nil {
		return File{}, fmt.Errorf("record file %s: %w", sha256, err)
	}
	switch r.code {
	case "created", "exists":
		return t.File(ctx, sha256)
	case "no_production":
		return File{}, ErrNoProduction
	}
	return File{}, r.unexpected()
}

// File returns a document's record; ErrNoFile if there is none.
func (t Tenant) File(ctx context.Context, sha256 string) (File, error) {
	found, err := t.files(ctx, []string{sha256})
	if err != nil {
		return File{}, fmt.Errorf("look for file %s: %w", sha256, err)
	}
	if len(found) == 0 {
		return File{}, ErrNoFile
	}
	return found[0], nil
}

// Files returns up to limit documents, newest first, that came before the one numbered before (0: all). next is the
// before of the following page, 0 when there is none. A document that comes in meanwhile changes no later page.
func (t Tenant) Files(ctx context.Context, before int64, limit int) (page []File, next int64, err error) {
	limit = min(limit, maxPage)
	from := "+inf"
	if before != 0 {
		from = "(" + strconv.FormatInt(before, 10)
	}
	shas, err := t.s.redis.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: filesKey(t.production), Start: from, Stop: "-inf", ByScore: true, Rev: true, Count: int64(limit) + 1,
	}).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("list files of %s: %w", t.production, err)
	}
	page, err = t.files(ctx, shas[:min(len(shas), limit)])
	if err != nil {
		return nil, 0, fmt.Errorf("list files of %s: %w", t.production, err)
	}
	if len(shas) > limit && len(page) > 0 {
		next = page[len(page)-1].seq
	}
	return page, next, nil
}

func (t Tenant) files(ctx context.Context, shas []string) ([]File, error) {
	read := make([]*redis.MapStringStringCmd, len(shas))
	_, err := t.s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, sha := range shas {
			read[i] = p.HGetAll(ctx, fileKey(t.production, sha))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var found []File
	for i, sha := range shas {
		record := read[i].Val()
		if len(record) == 0 {
			continue
		}
		f, err := decodeFile(sha, record)
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", sha, err)
		}
		found = append(found, f)
	}
	return found, nil
}

func decodeFile(sha string, record map[string]string) (File, error) {
	created, err := millis(record["created"])
	if err != nil {
		return File{}, err
	}
	size, err := strconv.ParseInt(record["size"], 10, 64)
	if err != nil {
		return File{}, err
	}
	seq, err := strconv.ParseInt(record["seq"], 10, 64)
	if err != nil {
		return File{}, err
	}
	f := File{SHA256: sha, Name: record["name"], Size: size, Created: created, seq: seq}
	f.Verdict = Verdict(record["verdict"])
	if f.Verdict == Unknown {
		return f, nil
	}
	f.Pages, err = strconv.Atoi(record["pages"])
	if err != nil {
		return File{}, err
	}
	f.ErrorCode, f.ErrorMessage, f.Open = record["error_code"], record["error_message"], record["open"] == on
	return f, json.Unmarshal([]byte(record["notes"]), &f.Notes)
}

// SetVerdict records what an inspection found and returns the record. That copies can be made is final; a refusal may
// be lifted by a later inspection, which may know more kinds of documents. What was found with Open is no longer so once
// something was found without.
func (t Tenant) SetVerdict(ctx context.Context, sha256 string, found Finding) (File, error) {
	notes, err := json.Marshal(found.Notes)
	if err != nil {
		return File{}, fmt.Errorf("record the verdict on file %s: %w", sha256, err)
	}
	r, err := t.s.run(ctx, t.s.scripts.fileVerdict, 0, []string{fileKey(t.production, sha256)},
		string(found.Verdict), found.Pages, found.ErrorCode, found.ErrorMessage, notes, flag(found.Open),
		string(Unknown), string(Refused))
	if err != nil {
		return File{}, fmt.Errorf("record the verdict on file %s: %w", sha256, err)
	}
	switch r.code {
	case "set", "already":
		return t.File(ctx, sha256)
	case "no_file":
		return File{}, ErrNoFile
	}
	return File{}, r.unexpected()
}
