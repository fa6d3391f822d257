package removal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// patience is how long a tool may take.
const patience = 2 * time.Minute

// run returns what a tool writes to its standard output. Warnings of qpdf's are no error.
func run(ctx context.Context, tool string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out, said bytes.Buffer
	c := exec.CommandContext(ctx, tool, args...)
	c.Stdout, c.Stderr = &out, &said
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && tool == "qpdf" && exit.ExitCode() == 3 {
		return out.Bytes(), nil
	}
	if err != nil {
		text := said.String()
		return nil, fmt.Errorf("%s %s: %w: %s", tool, strings.Join(args, " "), err, text[:min(len(text), 500)])
	}
	return out.Bytes(), nil
}
