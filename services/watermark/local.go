package watermark

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
)

// Local makes copies without a server or a store, for the command line. It is safe for concurrent use.
type Local struct {
	engine *engine.Engine
	keys   *keyring.Ring
	locks  *locks
	// restricted takes sources that are encrypted but open without a password.
	restricted bool
}

// Copy is what one local copy is to be.
type Copy struct {
	// Template is the mark's; mark.Default if empty. Style is what it looks like.
	Template string
	Style    mark.Style
	Fields   map[string]string
	// Password locks the copy if it is not empty.
	Password string
	// Item tells apart copies that are otherwise alike.
	Item string
}

// Made is a copy that was made.
type Made struct {
	// Artifact names it: the same for the same source, copy and key ring.
	Artifact string
	SHA256   string
	Size     int64
	Pages    int
	Notes    []string
}

// NewLocal returns a Local, or why there can be none here. The program must have called sandbox.Main first.
func NewLocal(cfg Config, keys *keyring.Ring, log *slog.Logger) (*Local, error) {
	err := ready(cfg, log)
	if err != nil {
		return nil, err
	}
	return &Local{engine: engine.New(cfg.engine(), log), keys: keys, locks: newLocks(), restricted: cfg.OpenRestricted}, nil
}

// Source is a document that was read and can be copied. It is safe for concurrent use.
type Source struct {
	local    *Local
	template *engine.Template

	mu     sync.Mutex
	levels map[mark.Spec][]uint8
}

// Open reads src, once for all copies. Errors are faults.
func (l *Local) Open(ctx context.Context, src *os.File) (*Source, error) {
	raw, err := l.engine.Compile(ctx, src, l.restricted)
	if err != nil {
		return nil, explain(err)
	}
	t, err := engine.Open(raw)
	if err != nil {
		return nil, explain(err)
	}
	return &Source{local: l, template: t, levels: map[mark.Spec][]uint8{}}, nil
}

// Check proves that copies with a mark like this show it on every page, once; Stamp does so otherwise. progress, if not
// nil, hears of pages looked at. Errors are faults.
func (s *Source) Check(ctx context.Context, spec mark.Spec, progress func(done, total int)) error {
	_, err := s.check(ctx, spec, progress)
	return err
}

func (s *Source) check(ctx context.Context, spec mark.Spec, progress func(done, total int)) ([]uint8, error) {
	s.mu.Lock() // others with the same mark wait for the same
	defer s.mu.Unlock()
	levels, ok := s.levels[spec]
	if ok {
		return levels, nil
	}
	levels, err := check(ctx, s.local.engine, s.template, spec, progress)
	if err != nil {
		return nil, err
	}
	s.levels[spec] = levels
	return levels, nil
}

// Stamp writes a copy to dst. Errors are faults, or dst's; what was written is of no use after one.
func (s *Source) Stamp(ctx context.Context, dst io.Writer, c Copy) (Made, error) {
	text, err := preparePassword(c.Password)
	if err != nil {
		return Made{}, err
	}
	spec := mark.Spec{Template: c.Template, Style: c.Style}
	m, err := mark.Compose(spec, c.Fields)
	if err != nil {
		return Made{}, explain(err)
	}
	levels, err := s.check(ctx, spec, nil)
	if err != nil {
		return Made{}, err
	}
	in := ingredients{
		keys: s.local.keys, template: s.template, levels: levels, spec: spec, mark: m, scope: []string{"local"},
		about: hidden.About{Item: c.Item, Name: c.Fields["name"], Email: c.Fields["email"]},
	}
	if text != "" {
		in.password = password{text, []string{"local", text}}
	}
	o, err := in.order(s.local.locks)
	if err != nil {
		return Made{}, err
	}
	made, err := s.template.Copy(o.recipe)
	if err != nil {
		return Made{}, err
	}
	sum := sha256.New()
	size, err := made.WriteTo(io.MultiWriter(sum, dst))
	if err != nil {
		return Made{}, fmt.Errorf("write copy: %w", err)
	}
	return Made{
		Artifact: o.artifact, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size, Pages: s.template.Pages(), Notes: s.template.Notes(),
	}, nil
}

// Stamp opens src and writes one copy of it to dst. Errors are those of Open and of Source.Stamp.
func (l *Local) Stamp(ctx context.Context, src, dst *os.File, c Copy) (Made, error) {
	_, err := mark.Compose(mark.Spec{Template: c.Template, Style: c.Style}, c.Fields) // before the source is read
	if err != nil {
		return Made{}, explain(err)
	}
	s, err := l.Open(ctx, src)
	if err != nil {
		return Made{}, err
	}
	return s.Stamp(ctx, dst, c)
}

// Password returns the password of a recipient of local copies, the same each time.
func (l *Local) Password(recipient string) (string, error) {
	return l.keys.PasswordFor(0, "local", recipient, 1)
}

// ValidateMark reports, as a fault, what is wrong with template for recipients who have the fields known besides the
// standard ones.
func ValidateMark(template string, known ...string) error {
	err := mark.Validate(template, known...)
	if err != nil {
		return explain(err)
	}
	return nil
}

// maxPassword is how many bytes of a password PDF uses.
const maxPassword = 127

// preparePassword brings a password into the one form in which readers compare it, and refuses what some reader could
// not be given.
func preparePassword(password string) (string, error) {
	if !utf8.ValidString(password) {
		return "", fault.New(fault.Invalid, "PASSWORD_UNUSABLE", "the password is not valid UTF-8: choose another")
	}
	out := make([]rune, 0, len(password))
	for _, r := range norm.NFKC.String(password) {
		switch {
		case unicode.Is(unicode.Zs, r):
			r = ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return "", fault.New(fault.Invalid, "PASSWORD_UNUSABLE", "the password has a character that cannot be typed, %U: choose another", r)
		}
		out = append(out, r)
	}
	if len(string(out)) > maxPassword {
		return "", fault.New(fault.Invalid, "PASSWORD_UNUSABLE", "the password has more than %d bytes, of which a PDF uses no more: choose a shorter one", maxPassword)
	}
	return string(out), nil
}
