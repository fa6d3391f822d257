package jpeg

import (
	"errors"
	"io"
	"strings"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// Find returns what follows key and a space in the first comment that begins with them, before the first scan; empty if
// there is none. Errors are *source.Error, or r's.
func Find(r io.Reader, key string) (string, error) {
	d := newReader(r, source.Limits{})
	for {
		marker, err := d.marker()
		if errors.Is(err, io.EOF) || err == nil && (marker == markEOI || marker == markSOS) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if marker >= markRST0 && marker <= markSOI || marker == markTEM {
			continue
		}
		data, err := d.segment()
		if err != nil {
			return "", err
		}
		text, found := strings.CutPrefix(string(data), key+" ")
		if marker == markCOM && found {
			return text, nil
		}
	}
}
