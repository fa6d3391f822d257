package cli_test

import (
	"net"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/cli"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	testscript.Main(m, map[string]func(){
		"filigree": func() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs testdata/script: the command line as its users meet it, against a server of its own for each script.
//
// Commands beside testscript's: `exits CODE filigree …` runs and wants exactly that exit code; `server fault OP KIND…`
// plans what happens to the next calls of OP; `server outcome STATE` says how distributions end ("never": they do not);
// `server calls OP N` and `server distributions N` want exactly so many; `server await ID N` waits for the Nth look at a distribution;
// `server resumed ID…` wants exactly these Last-Event-IDs since the last time it was asked,
// `server named ID…` these recipients of the last retry;
// `server asked JSON` and `server retried JSON` want these fields in the last order and the last retry, `server schedule JSON`
// in what the last schedule starts, `server sealed SECRET…` exactly these secrets;
// `pdf FILE PAGES` writes a document; `recorded COPIES N FILE NAME EMAIL` wants N lines, one of them about FILE.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			f := newFake()
			env.Defer(f.Close)
			env.Values["fake"] = f
			env.Setenv("FILIGREE_URL", f.URL)
			env.Setenv("FILIGREE_TOKEN", "coordinator-secret")
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TZ", "UTC")
			dead, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Setenv("NOBODY", "http://"+dead.Addr().String())
			return dead.Close()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"server": serverCmd, "exits": exitsCmd, "pdf": pdfCmd, "recorded": recordedCmd},
	})
}

func exitsCmd(ts *testscript.TestScript, _ bool, args []string) {
	want := args[0]
	// The shell tells the code; testscript itself only knows zero from not zero.
	script := `"$@"; code=$?; test $code = ` + want + ` || { echo "exit code $code, want ` + want + `" >&2; exit 1; }`
	err := ts.Exec("sh", append([]string{"-c", script, "sh"}, args[1:]...)...)
	ts.Check(err)
}

// checkAsked fails unless what was asked has all that want, as JSON, says.
func checkAsked(ts *testscript.TestScript, asked proto.Message, want string) {
	wanted := asked.ProtoReflect().New().Interface()
	ts.Check(protojson.Unmarshal([]byte(want), wanted))
	bare := asked.ProtoReflect().New()
	wanted.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		bare.Set(field, asked.ProtoReflect().Get(field))
		return true
	})
	if !proto.Equal(wanted, bare.Interface()) {
		ts.Fatalf("asked for %s, want %s", protojson.Format(bare.Interface()), want)
	}
}

func serverCmd(ts *testscript.TestScript, _ bool, args []string) {
	f := ts.Value("fake").(*fake)
	f.mu.Lock()
	defer f.mu.Unlock()
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		ts.Check(err)
		return n
	}
	switch args[0] {
	case "fault":
		f.faults[args[1]] = slices.Clone(args[2:])
	case "outcome":
		f.outcome = args[1]
		if args[1] == "never" {
			f.outcome = ""
		}
	case "calls":
		if got := f.calls[args[1]]; got != number(args[2]) {
			ts.Fatalf("%d calls of %s, want %s", got, args[1], args[2])
		}
	case "distributions":
		if got := len(f.dists); got != number(args[1]) {
			ts.Fatalf("%d distributions, want %s", got, args[1])
		}
	case "named":
		if !slices.Equal(f.named, args[1:]) {
			ts.Fatalf("the last retry named %q, want %q", f.named, args[1:])
		}
	case "retried":
		checkAsked(ts, f.retried, args[1])
	case "asked":
		checkAsked(ts, f.asked, args[1])
	case "sealed":
		if !slices.Equal(f.secrets, args[1:]) {
			ts.Fatalf("the secrets %q were sealed, want %q", f.secrets, args[1:])
		}
	case "schedule":
		checkAsked(ts, f.schedules[len(f.schedules)-1].GetStart(), args[1])
	case "resumed":
		if !slices.Equal(f.resumed, args[1:]) {
			ts.Fatalf("event streams went on after %q, want %q", f.resumed, args[1:])
		}
		f.resumed = nil
	case "await":
		for f.looks[args[1]] < number(args[2]) {
			f.changed.Wait()
		}
	default:
		ts.Fatalf("unknown: server %s", args[0])
	}
}
