package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark/internal/compile"
	"github.com/filigreehq/filigree/services/watermark/internal/picture"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

const function = "watermark"

func init() { sandbox.Register(function, work) }

// job is what the child is told, on a pipe.
type job struct {
	Limits compile.Limits
}

// answer is what the child says: a refusal, or nothing.
type answer struct {
	Refused *compile.Error `json:",omitempty"`
}

// work runs in the child: it reads the first file and writes the template to the second.
func work(files []*os.File, args []byte) ([]byte, error) {
	var j job
	err := json.Unmarshal(args, &j)
	if err != nil {
		return nil, fmt.Errorf("read job: %w", err)
	}
	if len(files) != 2 {
		return nil, errors.New("want a source and a file for the template")
	}
	info, err := files[0].Stat()
	if err != nil {
		return nil, err
	}
	var a answer
	// Its own position: the descriptor's is shared with whoever handed it in.
	err = read(io.NewSectionReader(files[0], 0, info.Size()), files[1], j)
	if err != nil && !errors.As(err, &a.Refused) {
		return nil, err
	}
	return json.Marshal(a)
}

func read(from *io.SectionReader, to io.Writer, j job) error {
	out := bufio.NewWriterSize(to, 256<<10)
	head := make([]byte, headLen)
	n, err := from.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read source: %w", err)
	}
	if isPicture(head[:n]) {
		err = readPicture(from, out, head[:n])
	} else {
		err = readDocument(from, out, j)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

func readDocument(from io.ReadSeeker, to io.Writer, j job) error {
	t, err := compile.Compile(context.Background(), from, j.Limits) // the child's life is its deadline
	if err != nil {
		return err
	}
	return template.Write(to, t)
}

// headLen is how much of a source says what it is.
const headLen = 16

// isPicture reports whether a source that begins so is a picture, of a kind that is taken or not.
func isPicture(head []byte) bool {
	return picture.MediaType(head) != "" || picture.Unsupported(head) != nil
}

func readPicture(from io.Reader, to io.Writer, head []byte) error {
	err := picture.Unsupported(head)
	if err == nil {
		_, err = picture.Compile(from, to, picture.DefaultLimits())
	}
	var refusal *picture.Error
	if errors.As(err, &refusal) {
		return &compile.Error{Reason: refusal.Reason, Message: refusal.Message}
	}
	return err
}
