// Command observe is a program of somebody's own that Filigree does not start: it copies a folder, and has the observer know
// of it, so that it is found, watched and alerted on beside distributions (filigree search, filigree top, rules on runs).
//
//	FILIGREE_TOKEN=fg_… observe --url http://127.0.0.1:8080 --id backup-2026-11-26 FROM TO
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
)

type observe struct{ from, to string }

func main() {
	id := flag.String("id", "", "what this copy is called")
	production := flag.String("production", "default", "the production that the copy is for")
	url := flag.String("url", os.Getenv("FILIGREE_URL"), "where the API is")
	flag.Parse()
	if flag.NArg() != 2 || *id == "" {
		_, _ = fmt.Fprintln(os.Stderr, "observe --id ID FROM TO") // there is nobody else to tell
		os.Exit(2)
	}
	o := observe{flag.Arg(0), flag.Arg(1)}
	err := worker.Observe(context.Background(), worker.Observed{
		Production: *production, ID: *id, Name: "copy-folder", Labels: map[string]string{"from": filepath.Base(o.from)},
		URL: *url, Token: os.Getenv("FILIGREE_TOKEN"), // not a flag: others on the machine see those
	}, o.copyAll)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "observe:", err)
		os.Exit(1)
	}
}

// copyAll copies every file, and says how far it is.
func (o *observe) copyAll(_ context.Context, r *worker.Run) error {
	var files []string
	err := filepath.WalkDir(o.from, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return fault.New(fault.Unavailable, "FOLDER_UNREADABLE", "the folder %s cannot be read", filepath.Base(o.from)).Because(err)
	}
	r.Total(int64(len(files)))
	for i, path := range files {
		n, err := copyOne(path, filepath.Join(o.to, filepath.Base(path)))
		if err != nil {
			r.Logf("error", "%s: %v", filepath.Base(path), err)
			return fault.New(fault.Unavailable, "FILE_NOT_COPIED", "%s could not be copied", filepath.Base(path)).Because(err)
		}
		r.Bytes(n, n)
		r.Progress(int64(i + 1))
	}
	r.Metric("files_copied", float64(len(files)))
	return nil
}

func copyOne(from, to string) (int64, error) {
	src, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer func() { _ = src.Close() }() // it was only read
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(dst, src)
	return n, errors.Join(err, dst.Close())
}
