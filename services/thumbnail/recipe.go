package thumbnail

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"

	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
)

// Engine names the version of what draws and encodes. It changes with anything that changes a picture's bytes.
const Engine = "filigree-thumbnail-2"

// versions names what bytes depend on besides the request: ours, the encoders' (the Go release), how this kind of
// processor rounds, and the renderer's.
func versions(renderer string) string {
	return Engine + " " + runtime.Version() + " " + runtime.GOARCH + " " + renderer
}

// artifact names the picture by everything that it depends on.
func artifact(req *thumbnailv1.RenderRequest, o order, pixels int, versions string) string {
	m := req.GetMark()
	parts := []string{
		"thumbnail", req.GetProduction(), req.GetFile().GetSha256(), req.GetItem(), fmt.Sprint(req.GetRevision()),
		m.GetTemplate(), m.GetLayout(), m.GetColor(), fmt.Sprint(m.GetOpacity()), fmt.Sprint(m.GetSize()), m.GetPages(),
		fmt.Sprint(o.page), fmt.Sprint(o.width), fmt.Sprint(int(o.format)), fmt.Sprint(pixels), versions, "fields",
	}
	for _, name := range slices.Sorted(maps.Keys(req.GetFields())) {
		parts = append(parts, name, req.GetFields()[name])
	}
	h := sha256.New()
	var length [4]byte
	for _, part := range parts {
		binary.BigEndian.PutUint32(length[:], uint32(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// digest reads r to its end.
func digest(r io.Reader) (int64, string, error) {
	h := sha256.New()
	size, err := io.Copy(h, r)
	return size, hex.EncodeToString(h.Sum(nil)), err
}
