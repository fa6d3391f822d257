package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/cli/internal/api"
)

const (
	exitDone        = 0
	exitRefused     = 1
	exitOpen        = 2
	exitUnreachable = 3
)

// commands is the whole surface.
type commands struct {
	Up         upCmd         `cmd:"" help:"Start Filigree on this machine: everything in one process, kept in one folder."`
	Send       sendCmd       `cmd:"" help:"Send files to people, each a copy of their own."`
	Status     statusCmd     `cmd:"" help:"Show where a distribution stands, and what is failing and why."`
	Items      itemsCmd      `cmd:"" help:"List a distribution's items: each file for each recipient."`
	Recipients recipientsCmd `cmd:"" help:"List a distribution's recipients: who got theirs, and what the mail server said."`
	Events     eventsCmd     `cmd:"" help:"List what happened to a distribution."`
	List       listCmd       `cmd:"" help:"List a production's distributions, newest first."`
	Cancel     cancelCmd     `cmd:"" help:"Stop what has not been sent yet."`
	Retry      retryCmd      `cmd:"" help:"Run again what failed; what is done stays done."`
	Resend     resendCmd     `cmd:"" help:"Send to one recipient again, to another address if theirs was wrong."`
	Revoke     revokeCmd     `cmd:"" help:"End all links of a distribution, and stop what has not been sent yet."`
	Download   downloadCmd   `cmd:"" help:"Fetch the copies that were made, into a folder."`
	Passwords  passwordsCmd  `cmd:"" help:"Print recipients' passwords as CSV; each look is recorded."`
	Production productionCmd `cmd:"" help:"Create and list productions."`
	Token      tokenCmd      `cmd:"" help:"Create and revoke API tokens."`
	Stamp      stampCmd      `cmd:"" help:"Make marked copies of a document here, without a server."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

const description = `Filigree sends confidential documents to many people at once. Everybody gets a copy of their own, with their name in it.`

// Main runs the command line args (without the program's name) and returns the exit code. The first SIGINT or SIGTERM
// ends the command in good order, the second at once.
func Main(args []string, stdout, stderr *os.File) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, args, newTerm(stdout, stderr))
}

func run(ctx context.Context, args []string, t *term) int {
	var cmds commands
	left := false
	parser, err := kong.New(&cmds,
		kong.Name("filigree"),
		kong.Description(description),
		kong.Writers(t.out, t.err),
		kong.Exit(func(int) { left = true }), // after --help
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(t),
	)
	if err != nil {
		return fail(t.err, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if left {
		return exitDone
	}
	if err != nil {
		return fail(t.err, usage(err))
	}
	err = parsed.Run()
	if err != nil {
		return fail(t.err, err)
	}
	return exitDone
}

// refusal is an error of ours for people: what is wrong, with what, what to do, and a stable code.
type refusal struct {
	Code, Message string
	// Details stand below the sentence, one a line.
	Details []string
	// exit is the exit code; 0 means exitRefused.
	exit int
}

func (r *refusal) Error() string { return fmt.Sprintf("%s (%s)", r.Message, r.Code) }

func refuse(code, format string, args ...any) *refusal {
	return &refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

// usage says of a command line that cannot be understood where help is.
func usage(err error) error {
	help := "filigree --help"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
		help = strings.Join(strings.Fields("filigree "+parse.Context.Selected().Path()+" --help"), " ")
		help = strings.Replace(help, "filigree filigree", "filigree", 1)
	}
	return refuse("USAGE", "%s: see %s", strings.ReplaceAll(err.Error(), "\n", "; "), help)
}

// fail prints err the one way errors are printed and returns the exit code it stands for.
func fail(w io.Writer, err error) int {
	code := exitRefused
	var details []string
	var ours *refusal
	var answer *api.Error
	var gone *api.UnreachableError
	message := sentence(err)
	switch {
	case errors.As(err, &ours):
		details = ours.Details
		if ours.exit != 0 {
			code = ours.exit
		}
	case errors.As(err, &answer):
	case errors.As(err, &gone):
		code = exitUnreachable
		message = fmt.Sprintf("%v: is it running there? (SERVER_UNREACHABLE)", gone)
	case errors.Is(err, context.Canceled):
		message = "interrupted (INTERRUPTED)"
	}
	fmt.Fprintf(w, "filigree: %s\n", clean(message))
	for _, line := range details {
		fmt.Fprintf(w, "  %s\n", clean(line))
	}
	return code
}

// sentence is an error for people: the sentence and the code, without what only a log should have.
func sentence(err error) string {
	var ours *refusal
	var answer *api.Error
	var defect *fault.Error
	switch {
	case errors.As(err, &ours), errors.As(err, &answer):
		return err.Error()
	case errors.As(err, &defect):
		return fmt.Sprintf("%s (%s)", defect.Message, defect.Reason)
	}
	// errors.Join puts each on a line of its own; an error of ours is one line.
	return strings.ReplaceAll(err.Error(), "\n", "; ") + " (FAILED)"
}
