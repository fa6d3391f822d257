package picture

import (
	"bytes"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/jpeg"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/png"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// headSize is how much of a file tells what it is.
const headSize = 16

// MediaType tells, by the first 16 bytes of a file, whether it is a picture that can be marked: image/png or image/jpeg,
// else empty.
func MediaType(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return png.MediaType
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		return jpeg.MediaType
	}
	return ""
}

// others are the kinds of pictures that people send and that cannot be marked.
var others = []struct {
	at    int
	magic string
	name  string
}{
	{0, "GIF8", "a GIF"},
	{0, "BM", "a BMP"},
	{0, "II*\x00", "a TIFF"},
	{0, "MM\x00*", "a TIFF"},
	{0, "8BPS", "a Photoshop document"},
	{8, "WEBP", "a WebP picture"},
	{4, "ftyphei", "a HEIC picture, as phones take them"},
	{4, "ftypmif1", "a HEIC picture, as phones take them"},
	{4, "ftypavi", "an AVIF picture"},
	{0, "\x00\x00\x00\x0cjP  ", "a JPEG 2000"},
	{0, "\xff\x0a", "a JPEG XL picture"},
	{0, "\x00\x00\x00\x0cJXL ", "a JPEG XL picture"},
	{0, "<svg", "an SVG"},
}

// Unsupported refuses, by the first 16 bytes of a file, a picture of a kind that cannot be marked; nil if it is not known
// to be one.
func Unsupported(head []byte) error {
	for _, o := range others {
		if len(head) > o.at && bytes.HasPrefix(head[o.at:], []byte(o.magic)) {
			return source.Unsupported("the file is %s: save it as PNG or JPEG and send that", o.name)
		}
	}
	return nil
}
