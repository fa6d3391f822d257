package engine

import "io"

// Reader returns what c writes, to be read. Closing it ends the writing, wherever it is.
func Reader(c io.WriterTo) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := c.WriteTo(w)
		_ = w.CloseWithError(err) // it never fails; nil is the end of the copy
	}()
	return r
}
