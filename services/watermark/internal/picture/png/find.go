package png

import (
	"bufio"
	"io"
	"strings"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// Find returns the text of the first text chunk called key before the pixels; empty if there is none. Errors are
// *source.Error, or r's.
func Find(r io.Reader, key string) (string, error) {
	c := chunks{r: bufio.NewReader(r)}
	var start [len(signature)]byte
	_, err := io.ReadFull(c.r, start[:])
	if err != nil || string(start[:]) != signature {
		return "", source.Broken("it does not begin as a PNG")
	}
	for {
		err = c.next()
		if err != nil {
			return "", err
		}
		if c.kind == "IDAT" || c.kind == "IEND" {
			return "", nil
		}
		if c.kind != "tEXt" {
			continue
		}
		data, err := c.data(maxChunk)
		if err != nil {
			return "", err
		}
		name, text, found := strings.Cut(string(data), "\x00")
		if found && name == key {
			return text, nil
		}
	}
}
