package watermark

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/mark"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
)

// Engine names the version of what writes copies.
const Engine = engine.Version

// order is a copy to be made: what the engine needs, and the name of what comes out.
type order struct {
	artifact string
	recipe   engine.Recipe
	password string
}

// ingredients are what a copy depends on, whoever asks for it.
type ingredients struct {
	keys     *keyring.Ring
	template *engine.Template
	levels   []uint8
	spec     mark.Spec
	mark     *mark.Mark
	about    hidden.About // without artifact
	// scope keeps apart who asks: copies of different scopes have nothing in common.
	scope    []string
	password password
}

// password locks a copy; the zero value does not.
type password struct {
	text string
	// salt is whose password it is: copies of the same owner share the slow part of their encryption.
	owner []string
}

// order names the artifact by everything that the copy depends on, and derives its secrets.
func (in ingredients) order(locks *locks) (order, error) {
	n := in.keys.Active()
	digest := in.template.Digest()
	parts := append([]string{
		"copy", in.template.Engine(), fmt.Sprint(n), hex.EncodeToString(digest[:]), string(in.levels),
		strings.Join(in.mark.Lines(), "\n"), string(in.spec.Style.Layout), in.spec.Style.Color, fmt.Sprint(in.spec.Style.Opacity),
		fmt.Sprint(in.spec.Style.Size), in.spec.Style.Pages, in.about.Production, in.about.Item, in.about.Name, in.about.Email,
	}, in.scope...)
	parts = append(append(parts, "password"), in.password.owner...)
	sum := fold(parts)
	// Under the key, since a password may be among the parts.
	id, err := in.keys.Derive(n, keyring.Stamp, "artifact", string(sum[:]))
	if err != nil {
		return order{}, fmt.Errorf("name the copy: %w", err)
	}
	o := order{artifact: hex.EncodeToString(id), password: in.password.text}
	seed, err := in.keys.Derive(n, keyring.Stamp, "seed", o.artifact)
	if err != nil {
		return order{}, fmt.Errorf("derive the copy's seed: %w", err)
	}
	o.recipe = engine.Recipe{Mark: in.mark, Levels: in.levels}
	copy(o.recipe.Seed[:], seed)
	if in.password.text != "" && !in.template.Lockable() {
		return order{}, fault.New(fault.Invalid, "PASSWORD_UNSUPPORTED", "a picture cannot be locked with a password: send it without one, or as a PDF")
	}
	if in.password.text != "" {
		o.recipe.Lock, err = locks.get(in.keys, n, in.password)
		if err != nil {
			return order{}, err
		}
	}
	in.about.Artifact = o.artifact
	return o, identify(in.keys, n, in.about, &o.recipe)
}

// passwordOf derives the password that a request names.
func passwordOf(req *watermarkv1.StampRequest, keys *keyring.Ring) (password, error) {
	id := req.GetPassword()
	if id == nil {
		return password{}, nil
	}
	n := int(id.GetKey())
	if n == 0 {
		n = keys.Active()
	}
	text, err := keys.PasswordFor(n, req.GetProduction(), id.GetRecipient(), int(id.GetGeneration()))
	if err != nil {
		return password{}, fault.New(fault.Invalid, "KEY_UNKNOWN", "the password's key %d is not in this service's key ring: add it", n).Because(err)
	}
	return password{text, []string{req.GetProduction(), id.GetRecipient(), fmt.Sprint(id.GetGeneration()), fmt.Sprint(n)}}, nil
}

// specOf is a mark as a request describes it.
func specOf(m *watermarkv1.Mark) mark.Spec {
	return mark.Spec{Template: m.GetTemplate(), Style: mark.Style{
		Layout: mark.Layout(m.GetLayout()), Color: m.GetColor(), Opacity: int(m.GetOpacity()), Size: int(m.GetSize()), Pages: m.GetPages(),
	}}
}

// fold hashes parts so that no two lists of parts look alike.
func fold(parts []string) (sum [sha256.Size]byte) {
	h := sha256.New()
	var length [4]byte
	for _, part := range parts {
		binary.BigEndian.PutUint32(length[:], uint32(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	h.Sum(sum[:0])
	return sum
}

// digest reads r to its end.
func digest(r io.Reader) (int64, string, error) {
	h := sha256.New()
	size, err := io.Copy(h, r)
	return size, hex.EncodeToString(h.Sum(nil)), err
}
