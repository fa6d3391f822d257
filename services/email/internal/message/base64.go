package message

import (
	"encoding/base64"
	"fmt"
	"io"
)

const lineLen = 76

var crlf = []byte("\r\n")

// writeDocument copies a document into its part. The size was promised to the server, so it must hold.
func writeDocument(w io.Writer, d Document) error {
	r, err := d.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	lines := &lineWriter{w: w}
	enc := base64.NewEncoder(base64.StdEncoding, lines)
	n, err := io.Copy(enc, r)
	if err != nil {
		return err
	}
	if n != d.Size {
		return fmt.Errorf("document has %d bytes, %d were announced", n, d.Size)
	}
	return enc.Close()
}

// encodedLen is how many bytes writeDocument writes for size.
func encodedLen(size int64) int64 {
	n := (size + 2) / 3 * 4
	if n == 0 {
		return 0
	}
	return n + 2*((n-1)/lineLen)
}

// lineWriter breaks what it is given into lines of 76; the last has no end.
type lineWriter struct {
	w    io.Writer
	used int
}

func (l *lineWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if l.used == lineLen {
			_, err := l.w.Write(crlf)
			if err != nil {
				return written, err
			}
			l.used = 0
		}
		n, err := l.w.Write(p[:min(len(p), lineLen-l.used)])
		written += n
		l.used += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}

type counter struct {
	w io.Writer // nil: only count
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	if c.w == nil {
		c.n += int64(len(p))
		return len(p), nil
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
