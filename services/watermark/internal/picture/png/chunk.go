package png

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// MediaType is what is read and written.
const MediaType = "image/png"

const signature = "\x89PNG\r\n\x1a\n"

// chunkFrame is what a chunk has around its data: length, type and checksum.
const chunkFrame = 12

// appendChunk appends a chunk whose data are the parts.
func appendChunk(dst []byte, kind string, parts ...[]byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, kind...)
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return closeChunk(dst, start)
}

// closeChunk makes what dst has from start on, four bytes for the length, type and data, a chunk.
func closeChunk(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-8))
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start+4:]))
}

// chunks reads a file's chunks.
type chunks struct {
	r    *bufio.Reader
	kind string
	left uint32
	crc  uint32
}

// next reads the header of the next chunk, over what is left of the last.
func (c *chunks) next() error {
	err := c.end()
	if err != nil {
		return err
	}
	var head [8]byte
	_, err = io.ReadFull(c.r, head[:])
	if err != nil {
		return cut(err)
	}
	c.left, c.kind = binary.BigEndian.Uint32(head[:]), string(head[4:])
	c.crc = crc32.ChecksumIEEE(head[4:])
	if c.left > 1<<31-1 {
		return source.Broken("a part of it has an impossible length")
	}
	return nil
}

// end reads what is left of a chunk, and its checksum.
func (c *chunks) end() error {
	if c.kind == "" {
		return nil
	}
	_, err := io.Copy(io.Discard, c)
	if err != nil {
		return err
	}
	var sum [4]byte
	_, err = io.ReadFull(c.r, sum[:])
	if err != nil {
		return cut(err)
	}
	// What does not concern the pixels may be wrong, as other readers have it.
	if binary.BigEndian.Uint32(sum[:]) != c.crc && c.kind[0] >= 'A' && c.kind[0] <= 'Z' {
		return source.Broken("a part of it has a wrong checksum")
	}
	c.kind = ""
	return nil
}

// Read reads data of the chunk.
func (c *chunks) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(uint32(len(p)), c.left)])
	c.left -= uint32(n)
	c.crc = crc32.Update(c.crc, crc32.IEEETable, p[:n])
	if err != nil {
		return n, cut(err)
	}
	return n, nil
}

// data reads all data of a chunk; nil if they are more than limit.
func (c *chunks) data(limit uint32) ([]byte, error) {
	if c.left > limit {
		return nil, nil
	}
	data := make([]byte, c.left)
	_, err := io.ReadFull(c, data)
	return data, err
}

// cut makes the end of a file a refusal.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return source.Broken("it ends too early")
	}
	return err
}

// pixels reads the data of all IDAT chunks, of which c is at the first, as one.
type pixels struct{ c *chunks }

// Read implements io.Reader.
func (p pixels) Read(b []byte) (int, error) {
	for p.c.left == 0 {
		if p.c.kind != "IDAT" {
			return 0, io.EOF
		}
		err := p.c.next()
		if err != nil {
			return 0, err
		}
		if p.c.kind != "IDAT" {
			return 0, io.EOF
		}
	}
	return p.c.Read(b)
}
