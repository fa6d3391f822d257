package template

import (
	"bytes"
	"fmt"
	"hash/adler32"

	"github.com/klauspost/compress/flate"
)

// Deflater makes pieces of bytes. Its compressor is one whose version is pinned in go.mod, since what it writes must not
// change with the release of Go. The zero value is ready. It is not safe for concurrent use.
type Deflater struct{ z *flate.Writer }

// Piece deflates parts, one behind the other, into a piece that stands for itself: blocks that refer to nothing before them, none of them final, the
// last one ending on a whole byte.
func (d *Deflater) Piece(parts ...[]byte) Piece {
	var b bytes.Buffer
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	b.Grow(length/3 + 64)
	var err error
	if d.z == nil { // a compressor is large: one for all pieces
		d.z, err = flate.NewWriter(&b, flate.DefaultCompression)
	} else {
		d.z.Reset(&b)
	}
	sum := adler32.New()
	for _, p := range parts {
		_, _ = sum.Write(p) // never fails
		if err == nil {
			_, err = d.z.Write(p)
		}
	}
	if err == nil {
		err = d.z.Flush()
	}
	if err != nil {
		panic(fmt.Sprintf("deflate to memory: %v", err)) // a buffer takes everything
	}
	return Piece{Kind: Deflated, Bytes: b.Bytes(), Length: int64(length), Adler: sum.Sum32()}
}
