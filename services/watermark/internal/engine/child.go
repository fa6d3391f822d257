package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
	"github.com/filigreehq/filigree/services/watermark/internal/stamp"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

const function = "watermark"

func init() { sandbox.Register(function, work) }

// job is what the child is told, on a pipe.
type job struct {
	Limits   template.Limits
	Template string
	Fields   map[string]string
	Seed     pdf.Seed
	Password string
}

// answer is what the child says: a refusal, or a report.
type answer struct {
	Refused  *template.Error `json:",omitempty"`
	Unmarked *mark.Error     `json:",omitempty"`
	Report   Report
}

// work runs in the child: it reads the first file and writes the copy to the second, if there is one.
func work(files []*os.File, args []byte) ([]byte, error) {
	var j job
	err := json.Unmarshal(args, &j)
	if err != nil {
		return nil, fmt.Errorf("read job: %w", err)
	}
	var to io.Writer = io.Discard
	if len(files) > 1 {
		to = files[1]
	}
	info, err := files[0].Stat()
	if err != nil {
		return nil, err
	}
	// Its own position: the descriptor's is shared with whoever handed it in.
	report, err := copyOf(io.NewSectionReader(files[0], 0, info.Size()), to, j)
	a := answer{Report: report}
	if err != nil && !errors.As(err, &a.Refused) && !errors.As(err, &a.Unmarked) {
		return nil, err
	}
	return json.Marshal(a)
}

func copyOf(from io.ReadSeeker, to io.Writer, j job) (Report, error) {
	m, err := mark.Compose(j.Template, j.Fields)
	if err != nil {
		return Report{}, err
	}
	t, err := template.Read(context.Background(), from, j.Limits) // the child's life is its deadline
	if err != nil {
		return Report{}, err
	}
	report := describe(t)
	out := bufio.NewWriterSize(to, 256<<10)
	err = stamp.Write(out, t, m, pdf.Options{Seed: j.Seed, Password: j.Password})
	if err != nil {
		return Report{}, err
	}
	return report, out.Flush()
}

// describe folds consecutive pages that are alike.
func describe(t *template.Template) Report {
	r := Report{Pages: len(t.Pages), Notes: t.Notes}
	for _, p := range t.Pages {
		page := mark.Page{Box: p.Box, Rotate: p.Rotate, Unit: p.Unit}
		if n := len(r.Runs); n > 0 && r.Runs[n-1].Page == page {
			r.Runs[n-1].Count++
			continue
		}
		r.Runs = append(r.Runs, Run{Count: 1, Page: page})
	}
	return r
}
