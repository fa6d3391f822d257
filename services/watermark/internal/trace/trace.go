package trace

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/filigreehq/filigree/pkg/sandbox"
)

// Config bounds the work of a tracer.
type Config struct {
	Limits Limits
	// Sandbox bounds a child.
	Sandbox sandbox.Limits
	// TempDir is where repaired suspects lie while they are looked at; the system's if empty.
	TempDir string
}

// Tracer looks at suspects. It is safe for concurrent use.
type Tracer struct {
	cfg Config
	log *slog.Logger
}

// New returns a tracer. The program must have called sandbox.Main first.
func New(cfg Config, log *slog.Logger) *Tracer {
	d := DefaultLimits()
	cfg.Limits.Pages = cmp.Or(cfg.Limits.Pages, d.Pages)
	cfg.Limits.Content = cmp.Or(cfg.Limits.Content, d.Content)
	cfg.Limits.Points = cmp.Or(cfg.Limits.Points, d.Points)
	return &Tracer{cfg: cfg, log: log}
}

// Error says why a suspect could not be looked at. Its message is for people.
type Error struct {
	// Reason is PDF_NOT_A_PDF, PDF_ENCRYPTED, PDF_BROKEN or PDF_TOO_COMPLEX.
	Reason  string
	Message string
	// Detail is for logs.
	Detail string
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Message
	}
	return e.Message + " (" + e.Detail + ")"
}

// Find opens the suspect, with password if it needs one, and returns what may say whose it is. It refuses for good with
// an *Error; a *sandbox.Error says that this machine could not do it now.
func (t *Tracer) Find(ctx context.Context, suspect *os.File, password string) (Findings, error) {
	a, err := t.child(ctx, suspect)
	if err == nil && a.NoPDF {
		return Findings{}, &Error{Reason: "PDF_NOT_A_PDF", Message: "the file is not a PDF, whatever its name says"}
	}
	if err == nil && !a.Encrypted && a.Broken == "" && a.Findings.Pages > 0 {
		return a.Findings, nil
	}
	var ended *sandbox.Error
	if err != nil && (!errors.As(err, &ended) || ended.Kind != sandbox.Crash) {
		return Findings{}, final(err)
	}
	t.log.DebugContext(ctx, "suspect is opened by qpdf", "encrypted", a.Encrypted, "broken", a.Broken, "err", err)
	for _, args := range remedies {
		a, err = t.again(ctx, suspect, password, args)
		var refusal *Error
		locked := errors.As(err, &refusal) && refusal.Reason == "PDF_ENCRYPTED"
		if err == nil && a.Broken == "" || locked || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return Findings{}, final(err)
	}
	if a.NoPDF || a.Encrypted || a.Broken != "" {
		return Findings{}, broken(a.Broken)
	}
	return a.Findings, nil
}

// remedies are ways of writing a suspect anew, the gentlest first. Behind the second, what filters were called no longer
// matters.
var remedies = [][]string{nil, {"--decode-level=all", "--stream-data=uncompress"}}

// again looks at the suspect as qpdf writes it.
func (t *Tracer) again(ctx context.Context, suspect *os.File, password string, args []string) (answer, error) {
	plain, err := t.rewrite(ctx, suspect, password, args)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = plain.Close() }() // it is unlinked already
	return t.child(ctx, plain)
}

func (t *Tracer) child(ctx context.Context, suspect *os.File) (answer, error) {
	args, err := json.Marshal(t.cfg.Limits)
	if err != nil {
		return answer{}, err
	}
	out, err := sandbox.Run(ctx, function, sandbox.Request{Args: args, Files: []*os.File{suspect}, Limits: t.cfg.Sandbox})
	if err != nil {
		return answer{}, err
	}
	var a answer
	err = json.Unmarshal(out, &a)
	if err != nil {
		return answer{}, fmt.Errorf("read a child's answer: %w", err)
	}
	return a, nil
}

// final makes of a child's end what it means.
func final(err error) error {
	var ended *sandbox.Error
	if !errors.As(err, &ended) {
		return err
	}
	switch ended.Kind {
	case sandbox.Memory, sandbox.CPU, sandbox.Output, sandbox.Crash:
		return &Error{Reason: "PDF_TOO_COMPLEX", Message: "the file asks for more memory or time than is spent on one: split it and trace the parts", Detail: ended.Error()}
	}
	return err
}

func broken(detail string) *Error {
	return &Error{Reason: "PDF_BROKEN", Message: "the file is damaged beyond what can be repaired: open it in a PDF program, save it anew and trace that", Detail: detail}
}

// rewrite writes the suspect anew through qpdf, without encryption, to a file that is unlinked already.
func (t *Tracer) rewrite(ctx context.Context, suspect *os.File, password string, args []string) (*os.File, error) {
	secret, err := scratch(t.cfg.TempDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = secret.Close() }() // unlinked, only read
	_, err = secret.WriteString(password + "\n")
	if err == nil {
		_, err = secret.Seek(0, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("hand over the password: %w", err)
	}
	out, err := scratch(t.cfg.TempDir)
	if err != nil {
		return nil, err
	}
	// By number, since the files have no names any more. The password is in a file, as a process list shows arguments.
	args = append([]string{"--decrypt", "--password-file=/proc/self/fd/4", "--warning-exit-0"}, args...)
	tool, err := sandbox.Command(t.cfg.Sandbox, "qpdf", append(args, "/proc/self/fd/3", "-")...)
	if err == nil {
		tool.Files, tool.Stdout = []*os.File{suspect, secret}, out
		err = tool.Run(ctx)
	}
	if err != nil {
		_ = out.Close() // the first error is the one to tell
		return nil, t.refused(ctx, err, password)
	}
	return out, nil
}

// refused says what qpdf's failure means.
func (t *Tracer) refused(ctx context.Context, err error, password string) error {
	said := strings.TrimSpace(err.Error())
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case strings.Contains(said, "invalid password") && password == "":
		return &Error{Reason: "PDF_ENCRYPTED", Message: "the file is locked: give its password with --password", Detail: said}
	case strings.Contains(said, "invalid password"):
		return &Error{Reason: "PDF_ENCRYPTED", Message: "the file is locked, and with another password than that", Detail: said}
	}
	var ended *sandbox.Error
	if errors.As(err, &ended) {
		return final(err)
	}
	return broken(said)
}

// scratch makes a temporary file without a name.
func scratch(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "trace-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	err = os.Remove(f.Name())
	if err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	return f, nil
}
