package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type definitionCmd struct {
	Put      definitionPutCmd      `cmd:"" help:"Store a version of a definition; what is wrong with it is told with the line."`
	List     definitionListCmd     `cmd:"" help:"List definitions with all their versions."`
	Show     definitionShowCmd     `cmd:"" help:"Print a definition as it was stored."`
	Graph    definitionGraphCmd    `cmd:"" help:"Draw a definition's steps, as Mermaid or DOT."`
	Rollout  definitionRolloutCmd  `cmd:"" help:"Say which versions new distributions of a production take, in which shares."`
	Rollouts definitionRolloutsCmd `cmd:"" help:"List the shares that were set."`
}

// definitionRef names a definition and perhaps a version of it: "send-documents", "send-documents@2".
type definitionRef struct {
	name    string
	version int32 // 0: not named
}

var definitionForm = regexp.MustCompile(`^([^@\s]+)(?:@([1-9][0-9]{0,8}))?$`)

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *definitionRef) UnmarshalText(text []byte) error {
	found := definitionForm.FindSubmatch(text)
	if found == nil {
		return fmt.Errorf("%q names no definition: write NAME, or NAME@VERSION such as send-documents@2", text)
	}
	r.name, r.version = string(found[1]), 0
	if len(found[2]) > 0 {
		n, err := strconv.ParseInt(string(found[2]), 10, 32)
		if err != nil {
			return err
		}
		r.version = int32(n)
	}
	return nil
}

// versioned is "send-documents@2".
func versioned(name string, version int32) string { return fmt.Sprintf("%s@%d", name, version) }

type definitionPutCmd struct {
	serverFlags
	File string `arg:"" help:"Its YAML; - is standard input."`
	JSON bool   `name:"json" help:"Print the definition as one JSON document."`
}

func (c *definitionPutCmd) Run(ctx context.Context, t *term) error {
	source, err := readText(t, c.File)
	if err != nil {
		return err
	}
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	d, raw, err := client.PutDefinition(ctx, source)
	var answer *api.Error
	if errors.As(err, &answer) && answer.Code == "DEFINITION_INVALID" {
		problems := strings.Split(answer.Message, "\n")
		r := refuse(answer.Code, "%s cannot be used: %s; nothing was stored", c.File, plural(len(problems), "problem", "problems"))
		r.Details = problems
		return r
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	name := versioned(d.GetName(), d.GetVersion())
	t.print("%s", name)
	t.say("stored; send with it: filigree send --definition %s …", name)
	return nil
}

// readText reads a file, or standard input for "-".
func readText(t *term, path string) (string, error) {
	if path == "-" {
		data, err := io.ReadAll(t.in)
		if err != nil {
			return "", refuse("FILE_BAD", "standard input cannot be read: %v", err)
		}
		return string(data), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", refuse("FILE_BAD", "it cannot be read: %v", err)
	}
	return string(data), nil
}

type definitionListCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print one JSON document: {\"definitions\":[…]}."`
}

func (c *definitionListCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	list, raws, err := client.Definitions(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("definitions", raws)
	}
	b := newTable("DEFINITION", "STORED", "FUNCTIONS")
	for _, d := range list {
		b.add(versioned(d.GetName(), d.GetVersion()), at(d.GetCreatedAt()), strings.Join(d.GetFunctions(), ", "))
	}
	b.write(t, "")
	return nil
}

type definitionShowCmd struct {
	serverFlags
	Definition definitionRef `arg:"" name:"definition" placeholder:"NAME[@VERSION]" help:"The definition, such as send-documents@2; without a version the newest."`
	JSON       bool          `name:"json" help:"Print the definition as one JSON document."`
}

func (c *definitionShowCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	d, raw, err := client.Definition(ctx, c.Definition.name, c.Definition.version)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	_, err = io.WriteString(t.out, d.GetSource()) // byte by byte: it can be stored again
	return err
}

type definitionGraphCmd struct {
	serverFlags
	graphFlags
	Definition definitionRef `arg:"" name:"definition" placeholder:"NAME[@VERSION]" help:"The definition, such as send-documents@2; without a version the newest."`
}

func (c *definitionGraphCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	text, err := client.DefinitionGraph(ctx, c.Definition.name, c.Definition.version, c.format())
	if err != nil {
		return err
	}
	return t.text(text)
}

type definitionRolloutCmd struct {
	serverFlags
	productionFlag
	Name   string  `arg:"" help:"The definition."`
	Share  []share `arg:"" optional:"" placeholder:"VERSION=PERCENT" help:"A version and its share, such as 1=80 2=20; they add up to 100."`
	Newest bool    `help:"Forget the shares: the newest version takes all."`
	JSON   bool    `name:"json" help:"Print the rollout as one JSON document."`
}

// share is "2=20": version 2 takes 20 %.
type share struct{ version, percent int32 }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *share) UnmarshalText(text []byte) error {
	version, percent, _ := strings.Cut(string(text), "=")
	v, errVersion := strconv.ParseInt(version, 10, 32)
	p, errPercent := strconv.ParseInt(strings.TrimSuffix(percent, "%"), 10, 32)
	if errVersion != nil || errPercent != nil || v < 1 || p < 0 || p > 100 {
		return fmt.Errorf("%q is no share: write VERSION=PERCENT, such as 2=20", text)
	}
	s.version, s.percent = int32(v), int32(p)
	return nil
}

func (c *definitionRolloutCmd) Run(ctx context.Context, t *term) error {
	if c.Newest == (len(c.Share) > 0) {
		return refuse("USAGE", "say the shares, such as: filigree definition rollout %s 1=80 2=20, or --newest", c.Name)
	}
	var shares []*definitionv1.Share
	sum := int32(0)
	for _, s := range c.Share {
		sum += s.percent
		shares = append(shares, &definitionv1.Share{Version: s.version, Percent: s.percent})
	}
	if !c.Newest && sum != 100 {
		return refuse("USAGE", "the shares add up to %d percent and must to 100", sum)
	}
	client, err := c.client(admin)
	if err != nil {
		return err
	}
	r, raw, err := client.SetRollout(ctx, c.Production, c.Name, shares)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("new distributions of %s that run %s take %s", c.Production, c.Name, takes(r))
	return nil
}

// takes says which versions a rollout gives: "80% version 1, 20% version 2".
func takes(r *definitionv1.Rollout) string {
	if len(r.GetShares()) == 0 {
		return "the newest version"
	}
	parts := make([]string, len(r.GetShares()))
	for i, s := range r.GetShares() {
		parts[i] = fmt.Sprintf("%d%% version %d", s.GetPercent(), s.GetVersion())
	}
	return strings.Join(parts, ", ")
}

type definitionRolloutsCmd struct {
	serverFlags
	productionFlag
	JSON bool `name:"json" help:"Print one JSON document: {\"rollouts\":[…]}."`
}

func (c *definitionRolloutsCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	list, raws, err := client.Rollouts(ctx, c.Production)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("rollouts", raws)
	}
	if len(list) == 0 {
		t.say("no shares are set in the production %s: the newest version of each definition takes all", c.Production)
		return nil
	}
	b := newTable("DEFINITION", "NEW DISTRIBUTIONS TAKE")
	for _, r := range list {
		b.add(r.GetName(), takes(r))
	}
	b.write(t, "")
	return nil
}
