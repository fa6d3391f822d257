package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/people"
	"github.com/filigreehq/filigree/services/watermark"
)

type stampCmd struct {
	keyFlag
	styleFlags
	In             string `arg:"" name:"in" help:"Document or picture to make copies of: PDF, PNG or JPEG."`
	Out            string `short:"o" required:"" placeholder:"PATH" help:"The copy; with --to the folder of the copies."`
	Name           string `placeholder:"NAME" help:"Whose copy it is."`
	Email          string `placeholder:"ADDRESS" help:"Their mail address."`
	To             string `placeholder:"CSV" help:"Make a copy for everybody in it: CSV whose header has name and email; other columns become fields of the mark."`
	Mark           string `placeholder:"TEMPLATE" help:"Text of the mark, such as '{name}\\n{email} {date}'; \\n starts a new line."`
	Password       string `placeholder:"P" help:"Lock the copies with this password. generate: with one of its own for each person; with --to they go to passwords.csv in the folder."`
	OpenRestricted bool   `help:"Take a PDF with usage restrictions that opens without a password. Copies carry no such restrictions."`

	AcceptUnsandboxed bool `name:"i-accept-unsandboxed-pdf" help:"Open the PDF even where the kernel cannot confine the process that does."`
}

// generate is the word that asks for passwords of ours.
const generate = "generate"

// order is one copy to make.
type order struct {
	person   people.Person
	path     string
	password string
	number   int // from 1
}

func (c *stampCmd) Run(ctx context.Context, t *term) error {
	c.Mark = strings.ReplaceAll(c.Mark, `\n`, "\n")
	list, err := c.people()
	if err != nil {
		return err
	}
	style, err := c.style()
	if err != nil {
		return err
	}
	err = c.checkMark(list)
	if err != nil {
		return err
	}
	err = checkFiles([]string{c.In})
	if err != nil {
		return err
	}
	source, err := os.Open(c.In)
	if err != nil {
		return refuse("FILE_BAD", "%v", err)
	}
	defer func() { _ = source.Close() }() // only read
	orders, err := c.orders(list, source)
	if err != nil {
		return err
	}
	ring, copies, err := c.open(t)
	if err != nil {
		return err
	}
	cfg := watermark.DefaultConfig()
	cfg.AcceptUnsandboxed, cfg.OpenRestricted = c.AcceptUnsandboxed, c.OpenRestricted
	local, err := watermark.NewLocal(cfg, ring, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	err = c.passwords(local, orders)
	if err != nil {
		return err
	}
	started := time.Now()
	failed, err := c.press(ctx, t, local, source, &press{
		spec: mark.Spec{Template: c.Mark, Style: style}, title: c.base(), copies: copies, now: t.now,
	}, orders)
	var f *fault.Error
	if errors.As(err, &f) {
		return refuse(f.Reason, "%s: %s", c.In, f.Message)
	}
	if err != nil {
		return err
	}
	if c.Password == generate && c.To == "" && len(failed) == 0 {
		t.print("%s", orders[0].password)
	}
	return c.report(t, orders, failed, time.Since(started))
}

// press reads the source, once, and makes the copies.
func (c *stampCmd) press(ctx context.Context, t *term, local *watermark.Local, source *os.File, p *press, orders []order) (map[int]error, error) {
	info, err := source.Stat()
	if err != nil {
		return nil, err
	}
	p.mode = info.Mode().Perm()
	p.source, err = local.Open(ctx, source)
	if err != nil {
		return nil, err
	}
	err = p.check(ctx, t)
	if err != nil {
		return nil, err
	}
	return p.run(ctx, t, orders)
}

// base is the source's name without folder and ending.
func (c *stampCmd) base() string {
	base, _ := splitName(filepath.Base(c.In))
	return base
}

// checkMark finds a field that nobody has before anything is made.
func (c *stampCmd) checkMark(list []people.Person) error {
	known := map[string]bool{}
	for _, p := range list {
		for field := range p.Fields {
			known[field] = true
		}
	}
	return watermark.ValidateMark(c.Mark, slices.Sorted(maps.Keys(known))...)
}

// people is whom to make copies for.
func (c *stampCmd) people() ([]people.Person, error) {
	switch {
	case c.To != "" && c.Name == "" && c.Email == "":
		return readPeople(c.To)
	case c.To == "" && c.Name != "" && c.Email != "":
		if !people.Address(c.Email) {
			return nil, refuse("USAGE", "%q is not a mail address", c.Email)
		}
		return []people.Person{{Name: c.Name, Email: c.Email}}, nil
	}
	return nil, refuse("USAGE", "say whose copies to make: --name and --email for one, or --to people.csv for many")
}

// orders names the files to be made, and refuses to write over the source.
func (c *stampCmd) orders(list []people.Person, source *os.File) ([]order, error) {
	self, err := source.Stat()
	if err != nil {
		return nil, refuse("FILE_BAD", "%v", err)
	}
	var orders []order
	if c.To == "" {
		info, err := os.Stat(c.Out)
		if err == nil && info.IsDir() {
			return nil, refuse("OUT_BAD", "%s is a folder: name the copy to be made, or make copies for many with --to", c.Out)
		}
		orders = []order{{person: list[0], path: c.Out, number: 1}}
	} else {
		err := os.MkdirAll(c.Out, 0o700)
		if err != nil {
			return nil, refuse("OUT_BAD", "the folder of the copies cannot be made: %v", err)
		}
		names := newOutNames(filepath.Base(c.In))
		for i, p := range list {
			orders = append(orders, order{person: p, path: filepath.Join(c.Out, names.next(p.Name)), number: i + 1})
		}
	}
	for _, o := range orders {
		info, err := os.Stat(o.path)
		if err == nil && os.SameFile(info, self) {
			return nil, refuse("OUT_IS_SOURCE", "%s is the source itself: write the copy elsewhere", o.path)
		}
	}
	return orders, nil
}

// passwords settles each order's password; generated ones for many are written down before any copy is locked.
func (c *stampCmd) passwords(local *watermark.Local, orders []order) error {
	for i := range orders {
		orders[i].password = c.Password
		if c.Password != generate {
			continue
		}
		// A person keeps theirs, so that a repeat takes no copy's password away.
		p, err := local.Password(strings.ToLower(orders[i].person.Email))
		if err != nil {
			return fmt.Errorf("generate passwords: %w", err)
		}
		orders[i].password = p
	}
	if c.Password != generate || c.To == "" {
		return nil
	}
	return writePasswords(filepath.Join(c.Out, "passwords.csv"), orders)
}

// many copies are told with their rate.
const many = 100

func rate(n int, took time.Duration) string {
	if n < many {
		return ""
	}
	return fmt.Sprintf(" in %s, %.0f a second", took.Round(10*time.Millisecond), float64(n)/took.Seconds())
}

// report says what was made, and what was not and why.
func (c *stampCmd) report(t *term, orders []order, failed map[int]error, took time.Duration) error {
	if len(failed) == 0 {
		t.say("made %s%s: %s", plural(len(orders), "copy", "copies"), rate(len(orders), took), c.Out)
		return nil
	}
	r := refuse("NOT_ALL_STAMPED", "%d of %s could not be made", len(failed), plural(len(orders), "copy", "copies"))
	for _, o := range orders {
		err := failed[o.number]
		if err != nil {
			r.Details = append(r.Details, o.person.Name+": "+sentence(err))
		}
	}
	return r
}
