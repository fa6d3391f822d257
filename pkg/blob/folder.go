package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// folder writes blobs as files. gocloud's own writer will not do for that: it looks whether the file is there and then
// renames over it, so two writers at once both win, and it leaves the bytes to the page cache. Here a write is a
// temporary file, synced, that gets its name by link(2), which exactly one of many can do; the folder is synced after.
type folder struct {
	root string
}

// halfDir keeps what is being written. It starts with a dot, as no key may.
const halfDir = ".half"

func newFolder(root string) (folder, error) {
	return folder{root}, os.MkdirAll(filepath.Join(root, halfDir), 0o700)
}

func (f folder) path(key string) string { return filepath.Join(f.root, filepath.FromSlash(key)) }

// create writes all of r as key; fs.ErrExist if it is there, found out after r was read.
func (f folder) create(ctx context.Context, key string, r io.Reader) error {
	tmp, err := os.CreateTemp(filepath.Join(f.root, halfDir), "")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // what stays is the other name; a leftover is swept
	_, err = io.Copy(tmp, r)
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	return f.link(tmp.Name(), f.path(key))
}

// link gives the file old the further name path, durably, unless the name is taken (fs.ErrExist).
func (f folder) link(old, path string) error {
	dir := filepath.Dir(path)
	err := f.makeDir(dir)
	if err != nil {
		return err
	}
	linkErr := os.Link(old, path)
	if linkErr != nil && !errors.Is(linkErr, fs.ErrExist) {
		return linkErr
	}
	// Also when it was there: whoever made it may not have come as far as this.
	err = syncDir(dir)
	if err != nil {
		return err
	}
	return linkErr
}

// makeDir makes dir and what lacks above it, each durable before anything is put into it.
func (f folder) makeDir(dir string) error {
	_, err := os.Stat(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	err = f.makeDir(parent)
	if err != nil {
		return err
	}
	err = os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sweep removes files that a crash left half-written before t.
func (f folder) sweep(t time.Time) (removed int, err error) {
	half := filepath.Join(f.root, halfDir)
	entries, err := os.ReadDir(half)
	if err != nil {
		return 0, fmt.Errorf("look for half-written blobs: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // its writer has just finished
		}
		if err != nil {
			return removed, fmt.Errorf("look for half-written blobs: %w", err)
		}
		if !info.ModTime().Before(t) {
			continue
		}
		err = os.Remove(filepath.Join(half, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, fmt.Errorf("remove a half-written blob: %w", err)
		}
		removed++
	}
	return removed, nil
}
