package watermark

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
	"github.com/filigreehq/filigree/services/watermark/internal/stamp"
)

// Engine names the version of what writes copies.
const Engine = stamp.Engine

// recipe is a request turned into what the engine needs, and the name of what comes out.
type recipe struct {
	artifact string
	recipe   engine.Recipe
}

// newRecipe names the artifact by everything that the copy depends on, and derives its secrets.
func newRecipe(req *watermarkv1.StampRequest, keys *keyring.Ring) (recipe, error) {
	out := recipe{recipe: engine.Recipe{Template: req.GetMark().GetTemplate(), Fields: req.GetFields()}}
	stampKey := keys.Active()
	parts := []string{
		"artifact", req.GetProduction(), req.GetFile().GetSha256(), req.GetItem(), fmt.Sprint(req.GetRevision()),
		req.GetMark().GetTemplate(), versions(), fmt.Sprint(stampKey),
	}
	if id := req.GetPassword(); id != nil {
		n := int(id.GetKey())
		if n == 0 {
			n = keys.Active()
		}
		password, err := keys.PasswordFor(n, req.GetProduction(), id.GetRecipient(), int(id.GetGeneration()))
		if err != nil {
			return recipe{}, fault.New(fault.Invalid, "KEY_UNKNOWN", "the password's key %d is not in this service's key ring: add it", n).Because(err)
		}
		out.recipe.Password = password
		parts = append(parts, "password", id.GetRecipient(), fmt.Sprint(id.GetGeneration()), fmt.Sprint(n))
	}
	parts = append(parts, "fields")
	parts = append(parts, flatten(req.GetFields())...)
	out.artifact = identify(parts)
	seed, err := keys.Derive(stampKey, keyring.Stamp, out.artifact)
	if err != nil {
		return recipe{}, fmt.Errorf("derive the copy's seed: %w", err)
	}
	out.recipe.Seed = [32]byte(seed)
	return out, nil
}

// versions names what bytes depend on besides the request. Another release of Go may compress differently.
func versions() string { return Engine + " " + runtime.Version() }

func flatten(fields map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, name, fields[name])
	}
	return out
}

// identify hashes parts so that no two lists of parts look alike.
func identify(parts []string) string {
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
