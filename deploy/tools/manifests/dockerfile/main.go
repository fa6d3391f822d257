// Command dockerfile reads Dockerfiles as BuildKit does and says what BuildKit would refuse or warn about. It builds
// nothing.
//
//	dockerfile FILE…
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: dockerfile FILE…")
		os.Exit(2)
	}
	failed := false
	for _, path := range os.Args[1:] {
		err := check(path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

func check(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	tree, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		return err
	}
	var errs []error
	for _, w := range tree.Warnings {
		errs = append(errs, errors.New(w.Short))
	}
	rules := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) {
		line := 0
		if len(at) > 0 {
			line = at[0].Start.Line
		}
		errs = append(errs, fmt.Errorf("line %d: %s: %s", line, rule, message))
	}})
	stages, _, err := instructions.Parse(tree.AST, rules)
	errs = append(errs, err)
	if err == nil && len(stages) == 0 {
		errs = append(errs, errors.New("it has no stage"))
	}
	errs = append(errs, references(stages)...)
	return errors.Join(errs...)
}

// references finds the stages that are copied from before they were made, a typing mistake that BuildKit takes for the
// name of an image and goes looking for.
func references(stages []instructions.Stage) (errs []error) {
	made := map[string]bool{}
	for i, stage := range stages {
		for _, command := range stage.Commands {
			c, ok := command.(*instructions.CopyCommand)
			if ok && c.From != "" && !made[c.From] {
				errs = append(errs, fmt.Errorf("line %d: COPY --from=%s names no stage before it", c.Location()[0].Start.Line, c.From))
			}
		}
		if stage.Name != "" {
			made[stage.Name] = true
		}
		made[fmt.Sprint(i)] = true
	}
	return errs
}
