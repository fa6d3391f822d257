package compile

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"github.com/pdfcpu/pdfcpu/pkg/filter"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"
)

// Content returns the decoded content of a page, its streams joined as a reader joins them. It can be called once for
// each page.
func (t *source) Content(p *Page) ([]byte, error) {
	var out []byte
	for i := range p.contents {
		data, err := t.decoded(&p.contents[i])
		if err != nil {
			return nil, err
		}
		if len(p.contents) == 1 { // the usual case, and without a copy
			out = data
			break
		}
		if len(out) > 0 {
			out = append(out, '\n')
		}
		out = append(out, data...)
	}
	p.contents = nil
	return out, nil
}

// decoded returns the decoded data of a content stream, and counts it.
//
// A stream that breaks off gives what is there of it, as readers show it; one that cannot be decoded at all is an
// error, unless the limits were lenient: then the page goes without it, as in readers.
func (t *source) decoded(s *types.StreamDict) ([]byte, error) {
	data, err := t.decode(s)
	if errors.Is(err, filter.ErrDecodeLimitExceeded) && t.long(s) || int64(len(data)) > maxStream {
		return nil, tooComplex("content of pages too long")
	}
	if err != nil && t.lenient {
		return nil, nil
	}
	if err != nil {
		return nil, broken(fmt.Sprintf("content of a page: %v", err))
	}
	t.budget -= int64(len(data))
	if t.budget < 0 {
		return nil, tooComplex("content of pages too long")
	}
	return data, nil
}

// long reports whether a stream that pdfcpu would not decode is one that inflates without end, and not one whose parameters
// make no sense.
func (t *source) long(s *types.StreamDict) bool {
	if len(s.FilterPipeline) == 0 || s.FilterPipeline[0].Name != filter.Flate {
		return true
	}
	n, err := io.Copy(io.Discard, io.LimitReader(&inflater{from: bytes.NewReader(s.Raw)}, maxStream+1))
	return err != nil || n > maxStream
}

func (t *source) decode(s *types.StreamDict) ([]byte, error) {
	var r io.Reader = bytes.NewReader(s.Raw)
	for _, f := range s.FilterPipeline {
		predictor := f.DecodeParms.IntEntry("Predictor")
		if f.Name != filter.Flate || predictor != nil && *predictor > 1 {
			probe := *s // pdfcpu keeps what it decoded
			err := probe.DecodeWithLimit(min(t.budget, maxStream) + 1)
			return probe.Content, err
		}
		r = &inflater{from: r}
	}
	data, err := io.ReadAll(io.LimitReader(r, min(t.budget, maxStream)+1))
	if err != nil {
		return nil, err
	}
	return data, nil
}

// inflater inflates and ends quietly where its data breaks.
type inflater struct {
	from io.Reader
	z    io.Reader
}

func (i *inflater) Read(p []byte) (int, error) {
	if i.z == nil {
		head := make([]byte, 2)
		n, _ := io.ReadFull(i.from, head) // a short head is a broken stream, seen below
		rest := io.MultiReader(bytes.NewReader(head[:n]), i.from)
		if n == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
			z, err := zlib.NewReader(rest)
			if err != nil {
				return 0, io.EOF
			}
			i.z = z
		} else {
			i.z = flate.NewReader(rest)
		}
	}
	n, err := i.z.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}
