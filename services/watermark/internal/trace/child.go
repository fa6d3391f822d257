package trace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/filigreehq/filigree/pkg/sandbox"
)

const function = "trace"

func init() { sandbox.Register(function, work) }

// answer is what the child says: why it could not look, or what it found.
type answer struct {
	Encrypted, NoPDF bool     `json:",omitempty"`
	Broken           string   `json:",omitempty"`
	Findings         Findings `json:",omitzero"`
}

// work runs in the child: it looks at the first file.
func work(files []*os.File, args []byte) ([]byte, error) {
	var limits Limits
	err := json.Unmarshal(args, &limits)
	if err != nil {
		return nil, fmt.Errorf("read limits: %w", err)
	}
	info, err := files[0].Stat()
	if err != nil {
		return nil, err
	}
	// Its own position: the descriptor's is shared with whoever handed it in.
	found, err := look(context.Background(), io.NewSectionReader(files[0], 0, info.Size()), limits) // the child's life is its deadline
	a := answer{Findings: found}
	switch {
	case errors.Is(err, errEncrypted):
		a.Encrypted = true
	case errors.Is(err, errNoPDF):
		a.NoPDF = true
	case err != nil:
		a.Broken = err.Error()
	}
	return json.Marshal(a)
}
