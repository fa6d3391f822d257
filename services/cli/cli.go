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
	Up         upCmd         `cmd:"" group:"Start and send" help:"Start Filigree on this machine: everything in one process, kept in one folder."`
	Send       sendCmd       `cmd:"" group:"Start and send" help:"Send files to people, each a copy of their own."`
	Status     statusCmd     `cmd:"" group:"Look" help:"Show where a distribution stands, and what is failing and why."`
	Why        whyCmd        `cmd:"" group:"Look" help:"Say why somebody has not got theirs, in a sentence: by name, address, file or id; and what to do."`
	Failures   failuresCmd   `cmd:"" group:"Look" help:"Group failures that are alike: since when, how far, whom they hurt; and retry a group."`
	Top        topCmd        `cmd:"" group:"Look" help:"Watch what goes on: what is wrong, productions, functions, workers, limits."`
	Overview   overviewCmd   `cmd:"" group:"Look" help:"Say whether anything is wrong now, since when, whom it hurts, and what changed."`
	Items      itemsCmd      `cmd:"" group:"Look" help:"List a distribution's items: each file for each recipient."`
	Recipients recipientsCmd `cmd:"" group:"Look" help:"List a distribution's recipients: who got theirs, and what the mail server said."`
	Report     reportCmd     `cmd:"" group:"Look" help:"Write who got what, when they looked and what went wrong, as a table for a spreadsheet (CSV)."`
	Events     eventsCmd     `cmd:"" group:"Look" help:"List what happened to a distribution."`
	Graph      graphCmd      `cmd:"" group:"Look" help:"Draw a distribution's steps and how many of each are in which state, as Mermaid or DOT."`
	Find       findCmd       `cmd:"" group:"Look" help:"Find people, files, distributions, mails and runs by whatever is at hand."`
	List       listCmd       `cmd:"" group:"Look" help:"List distributions, newest first: a production's, or those that filters choose."`
	History    historyCmd    `cmd:"" group:"Look" help:"Sum up by week what ended: how much, how long it took, failures, lateness."`
	Audit      auditCmd      `cmd:"" group:"Look" help:"List who did and saw what, newest first; --verify says whether any of it was altered."`
	People     peopleCmd     `cmd:"" group:"Start and send" help:"List, import and remove the people of a production."`
	Lists      listsCmd      `cmd:"" group:"Start and send" help:"Keep lists of people to send to, and how they are sent to."`
	Download   downloadCmd   `cmd:"" group:"Look" help:"Fetch the copies that were made, into a folder."`
	Passwords  passwordsCmd  `cmd:"" group:"Look" help:"Print recipients' passwords as CSV; each look is recorded."`
	Cancel     cancelCmd     `cmd:"" group:"Act on what was sent" help:"Stop what has not been sent yet."`
	Pause      pauseCmd      `cmd:"" group:"Act on what was sent" help:"Stop handing out steps: of a distribution, a function or a production."`
	Resume     resumeCmd     `cmd:"" group:"Act on what was sent" help:"Go on with what was paused."`
	Retry      retryCmd      `cmd:"" group:"Act on what was sent" help:"Run again what failed; what is done stays done, unless you say otherwise."`
	Resend     resendCmd     `cmd:"" group:"Act on what was sent" help:"Send to one recipient again, to another address if theirs was wrong."`
	Revoke     revokeCmd     `cmd:"" group:"Act on what was sent" help:"End all links of a distribution, and stop what has not been sent yet; or one recipient's links."`
	Share      shareCmd      `cmd:"" group:"Act on what was sent" help:"Make an address by which anybody who has it can look at one distribution, and do nothing else."`
	Unshare    unshareCmd    `cmd:"" group:"Act on what was sent" help:"End all addresses that share made for a distribution."`
	Batch      batchCmd      `cmd:"" group:"Act on what was sent" help:"Retry, cancel, pause or resume many distributions at once."`
	Schedule   scheduleCmd   `cmd:"" group:"Send without a person" help:"Send by the clock."`
	Hook       hookCmd       `cmd:"" group:"Send without a person" help:"Let other systems send, by signed webhooks."`
	Definition definitionCmd `cmd:"" group:"Steer what runs" help:"Store, show and roll out what distributions run."`
	Functions  functionsCmd  `cmd:"" group:"Steer what runs" help:"List functions: how much waits, since when, who serves it, and why it does not move."`
	Workers    workersCmd    `cmd:"" group:"Steer what runs" help:"List workers: what each serves and has, since when, and whether it takes more."`
	Drain      drainCmd      `cmd:"" group:"Steer what runs" help:"Hand a worker nothing new; what it has comes to its end."`
	Undrain    undrainCmd    `cmd:"" group:"Steer what runs" help:"Hand a drained worker steps again."`
	Pauses     pausesCmd     `cmd:"" group:"Steer what runs" help:"List which functions and productions are paused, and weights that were set."`
	Weight     weightCmd     `cmd:"" group:"Steer what runs" help:"Set a production's share of the workers."`
	Quota      quotaCmd      `cmd:"" group:"Steer what runs" help:"Show or set how much a production may have under way, and create in a minute."`
	Alerts     alertsCmd     `cmd:"" group:"Look" help:"Show what is wrong, since when, and what was done about it."`
	Rule       ruleCmd       `cmd:"" group:"Steer what runs" help:"Say what is to be told, to whom, and what is to be done then."`
	Limit      limitCmd      `cmd:"" group:"Steer what runs" help:"Limit how many steps run at once, or start in a second."`
	Resource   resourceCmd   `cmd:"" group:"Steer what runs" help:"Steer what steps share, such as a mail relay: limits, health, circuit breaker."`
	Credential credentialCmd `cmd:"" group:"Steer what runs" help:"Seal other systems' secrets, for shared resources."`
	Production productionCmd `cmd:"" group:"Who may" help:"Create, set and list productions."`
	SignIn     signInCmd     `cmd:"" name:"sign-in" group:"Who may" help:"Make an address that signs one browser in to the console, once."`
	Token      tokenCmd      `cmd:"" group:"Who may" help:"Create and revoke API tokens."`
	Stamp      stampCmd      `cmd:"" group:"Without a server" help:"Make marked copies of a document here, without a server."`
	Trace      traceCmd      `cmd:"" group:"Without a server" help:"Find out whose copy a document is."`
	Version    versionCmd    `cmd:"" group:"Without a server" help:"Print the version."`
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
	told := map[string]bool{}
	ctx = api.WithNotes(ctx, func(note string) {
		if !told[note] {
			told[note] = true
			t.say("%s", note)
		}
	})
	parser, err := kong.New(&cmds,
		kong.Name("filigree"),
		kong.Description(description),
		kong.Writers(t.out, t.err),
		kong.Exit(func(int) { left = true }), // after --help
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, NoExpandSubcommands: true}),
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
