// Command countersign is a function of somebody's own, between watermark and email: it signs who gets which bytes, with a
// key that Filigree does not have, and enters that in a book before the copy is mailed. Whoever finds a copy later shows
// by its SHA-256, from the book alone, that it was made for that person.
//
// countersign.yaml beside it is a definition that has it as a step. What such a program needs, docs/functions.md says.
package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/pkg/worker"
)

type countersign struct {
	run.Flags
	Orchestrator string `required:"" placeholder:"HOST:PORT" help:"Where tasks are fetched; several replicas with commas between."`
	Key          string `required:"" type:"existingfile" help:"The Ed25519 key: 32 random bytes. Each line of the book is a signature and what it signs."`
	Book         string `default:"countersign.book" type:"path" help:"Where copies are entered."`
}

// copied is what the step's `with` says of a copy.
type copied struct {
	Item, File, Name, Email, SHA256 string
}

func main() { run.Main("countersign", &countersign{}) }

func (c *countersign) Build(_ context.Context, h *run.Host) error {
	return h.Work(c.Orchestrator, 4, worker.JSON("example.Countersign", c.enter))
}

func (c *countersign) enter(ctx context.Context, of copied) (map[string]string, error) {
	seed, err := os.ReadFile(c.Key)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fault.New(fault.Unavailable, "KEY_UNREADABLE", "--key of countersign is to hold 32 bytes and holds %d", len(seed)).Because(err)
	}
	line, err := json.Marshal(of)
	if err != nil {
		return nil, err
	}
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(ed25519.NewKeyFromSeed(seed), line))
	err = worker.Checkpoint(ctx, "book") // from here on the world sees it: may we still?
	if err != nil {
		return nil, err
	}
	// An attempt that died after this leaves the same line twice, which says the same.
	book, err := os.OpenFile(c.Book, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "BOOK_UNAVAILABLE", "countersign cannot open its book").Because(err)
	}
	_, err = fmt.Fprintf(book, "%s %s\n", signature, line)
	return map[string]string{"signature": signature}, errors.Join(err, book.Sync(), book.Close())
}
