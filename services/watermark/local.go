package watermark

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
)

// Local makes copies without a server or a store, for the command line. It is safe for concurrent use.
type Local struct {
	engine *engine.Engine
	keys   *keyring.Ring
}

// Copy is what one local copy is to be.
type Copy struct {
	// Template is the mark's; mark.Default if empty.
	Template string
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
	return &Local{engine: engine.New(cfg.engine(), log), keys: keys}, nil
}

// Stamp writes a copy of src to dst, which must be empty and open for reading too. Errors are faults; dst is of no use
// after one. Calls with the same src are safe at the same time.
func (l *Local) Stamp(ctx context.Context, src, dst *os.File, c Copy) (Made, error) {
	password, err := preparePassword(c.Password)
	if err != nil {
		return Made{}, err
	}
	info, err := src.Stat()
	if err != nil {
		return Made{}, err
	}
	_, sum, err := digest(io.NewSectionReader(src, 0, info.Size()))
	if err != nil {
		return Made{}, fmt.Errorf("read source: %w", err)
	}
	parts := append([]string{sum, c.Item, c.Template, versions(), password}, flatten(c.Fields)...)
	// Under the key, since a password is among the parts.
	id, err := l.keys.Derive(0, keyring.Stamp, append([]string{"local artifact"}, parts...)...)
	if err != nil {
		return Made{}, err
	}
	seed, err := l.keys.Derive(0, keyring.Stamp, append([]string{"local seed"}, parts...)...)
	if err != nil {
		return Made{}, err
	}
	report, err := l.engine.Stamp(ctx, src, dst, engine.Recipe{
		Template: c.Template, Fields: c.Fields, Seed: [32]byte(seed), Password: password,
	})
	if err != nil {
		return Made{}, explain(err)
	}
	info, err = dst.Stat()
	if err != nil {
		return Made{}, err
	}
	size, sum, err := digest(io.NewSectionReader(dst, 0, info.Size()))
	if err != nil {
		return Made{}, fmt.Errorf("read copy: %w", err)
	}
	return Made{Artifact: hex.EncodeToString(id), SHA256: sum, Size: size, Pages: report.Pages, Notes: report.Notes}, nil
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
