// Package arch holds the rules of who may import whom, as a test. It has no code.
//
// The go command does not see that the test reads all other packages, and may answer from its cache; -count=1 asks anew,
// and make test does.
package arch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const root = "github.com/filigreehq/filigree/"

// A pkg is what `go list` says of one package of ours.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// A rule forbids imports. Paths are prefixes, cut at slashes; those of ours begin with "./"; "*" is any one element.
type rule struct {
	from   string
	except []string // packages under from that may
	not    []string
	but    []string // imports under not that are fine
	why    string
	code   bool // for the code only; its tests may
}

var rules = []rule{
	{from: "./proto", not: []string{"./pkg", "./services", "./loadtest"}, why: "contracts know nobody"},
	{from: "./pkg", not: []string{"./services", "./loadtest"}, why: "mechanisms know no service"},
	{from: "./pkg", except: []string{"./pkg/rpc", "./pkg/worker", "./pkg/audit"}, not: []string{"./proto"}, why: "only rpc, worker and audit speak the contracts"},
	{from: "./loadtest", not: []string{"./services", "./pkg"}, but: []string{"./pkg/rpc", "./pkg/conf", "./pkg/worker", "./pkg/need", "./pkg/s3test"}, why: "loadtest is a black box"},
	{from: "./services/*", except: []string{"./services/standalone", "./services/cli", "./services/gateway/cmd", "./services/observer"}, not: []string{"./services"}, but: []string{"./services/*self"}, why: "services talk over proto"},
	{from: "./services/observer", not: []string{"./services"}, but: []string{"./services/observer", "./services/orchestrator/readside"}, why: "the observer reads the orchestrator's records by their contract, and talks to the others over proto", code: true},
	{from: "./services/gateway/cmd", not: []string{"./services"}, but: []string{"./services/gateway", "./services/console"}, why: "the gateway serves the console, and talks to the others over proto"},
	{from: "./services/cli", not: []string{"./services"}, but: []string{"./services/cli", "./services/standalone", "./services/watermark"}, why: "the CLI is a client, starts `up`, and stamps without a server"},
	{from: "./services/standalone", not: []string{"./services/cli"}, why: "the CLI starts standalone"},
	{from: "./services/*/internal", except: []string{"./services/cli/internal/api", "./services/gateway/internal", "./services/standalone/internal"}, not: []string{"./proto", "google.golang.org/grpc"}, why: "what is inside of a service decides or transforms; the wire is its root package's", code: true},
	{from: "./services/orchestrator/internal/plan", not: []string{"./pkg", "github.com", "google.golang.org", "log/slog", "os", "net"}, but: []string{"./services/orchestrator/internal"}, why: "deciding is pure", code: true},
	{from: "./services/watermark/internal", not: []string{"github.com/redis"}, why: "watermark keeps nothing in Redis", code: true},
}

// A fence is around an SDK: only these packages may import it, tests aside. "=" before one leaves out what is below it.
type fence struct {
	sdk string
	in  []string
}

var fences = []fence{
	{"github.com/pdfcpu/pdfcpu", []string{"./services/watermark/internal"}},
	{"github.com/redis/go-redis", []string{
		"./services/orchestrator/internal/store", "./services/directory/internal/store", "./services/link/internal/store", "./services/observer/internal/store",
		"./services/standalone/internal/redisd", "./pkg/redistest", "./pkg/redisconf", "./loadtest/internal",
		// Where clients are made and handed on:
		"=./services/orchestrator", "=./services/orchestrator/readside", "=./services/directory", "=./services/link", "=./services/observer", "=./services/standalone",
	}},
	{"gocloud.dev", []string{"./pkg/blob"}},
	{"github.com/aws", []string{"./pkg/blob", "./services/email/internal/ses"}},
	{"github.com/wneessen/go-mail", []string{"./services/email"}},
	{"github.com/emersion/go-smtp", []string{"./services/email", "./services/standalone/internal"}},
	{"google.golang.org/api/drive", []string{"./services/link/internal/drive"}},
	{"google.golang.org/api/fcm", []string{"./services/push/internal/fcm"}},
	{"golang.org/x/image/vector", []string{"./pkg/mark/paint"}},
	{"go.opentelemetry.io", []string{"./pkg/telemetry", "./loadtest/internal/otlp"}},
	{"modernc.org/sqlite", []string{"./services/observer/internal"}},
	{"github.com/coreos/go-oidc", []string{"./services/gateway/internal/oidc"}},
	{"github.com/go-jose/go-jose", []string{"./services/gateway/internal/oidc"}},
	{"github.com/robfig/cron", []string{"./services/orchestrator/internal/timetable"}},
	{"github.com/alecthomas/kong", []string{"./services", "./pkg/run", "./loadtest/internal/command"}},
	{"github.com/hibiken/asynq", []string{"./loadtest/internal/engine"}},
	{"github.com/go-pdf/fpdf", []string{"./loadtest/samples"}},
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		for _, v := range violations(p) {
			t.Error(v)
		}
	}
}

// The rules are of no use if they see nothing.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	for from, imported := range map[string]string{
		"./proto/gen/filigree/task/v1":                 "./pkg/fault",
		"./pkg/blob":                                   "./services/email",
		"./pkg/fault":                                  "./proto/gen/filigree/task/v1",
		"./services/email":                             "./services/watermark",
		"./services/email/internal/smtp":               "./services/orchestrator/plan",
		"./services/cli":                               "./services/directory",
		"./services/watermark/internal/template":       "google.golang.org/grpc/codes",
		"./services/orchestrator/internal/plan":        "github.com/redis/go-redis/v9",
		"./services/email/internal/message":            "github.com/redis/go-redis/v9",
		"./services/orchestrator/internal/define":      "github.com/redis/go-redis/v9",
		"./services/directory/internal/store":          "github.com/pdfcpu/pdfcpu/pkg/api",
		"./loadtest/samples":                           "./services/cli",
		"./services/orchestrator/internal/plan/nested": "os",
	} {
		p := pkg{ImportPath: full(from), Imports: []string{full(imported)}}
		if len(violations(p)) == 0 {
			t.Errorf("%s may import %s, want it forbidden", from, imported)
		}
	}
	for from, imported := range map[string]string{
		"./services/standalone":               "./services/email",
		"./services/cli":                      "./services/standalone",
		"./services/email":                    "./services/email/internal/smtp",
		"./services/email/cmd/email":          "./services/email",
		"./services/observer":                 "./services/orchestrator/readside",
		"./pkg/worker":                        "./proto/gen/filigree/task/v1",
		"./services/orchestrator/internal/st": "./services/orchestrator/internal/plan",
	} {
		p := pkg{ImportPath: full(from), Imports: []string{full(imported)}}
		for _, v := range violations(p) {
			t.Errorf("got %s, want it allowed", v)
		}
	}
}

// list returns all packages of the workspace.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "work")
	cmd.Dir = "../.."
	// With GOWORK=off `work` matches nothing, and that is no error.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOWORK=") })
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(out); ; {
		var p pkg
		err = dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	err = cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"./proto", "./pkg", "./services", "./loadtest"} {
		if !slices.ContainsFunc(all, func(p pkg) bool { return under(p.ImportPath, full(module)) }) {
			t.Fatalf("go list named no package of %s: the rules saw nothing", module)
		}
	}
	return all
}

func violations(p pkg) (found []string) {
	for _, r := range rules {
		if !under(p.ImportPath, full(r.from)) || anyUnder(p.ImportPath, r.except, p) {
			continue
		}
		imports := p.Imports
		if !r.code {
			imports = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		}
		for _, imported := range imports {
			if anyUnder(imported, r.not, p) && !anyUnder(imported, r.but, p) {
				found = append(found, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imported, r.why))
			}
		}
	}
	for _, f := range fences {
		for _, imported := range p.Imports {
			if under(imported, f.sdk) && !anyUnder(p.ImportPath, f.in, p) {
				found = append(found, fmt.Sprintf("%s imports %s: only %s may", p.ImportPath, imported, strings.Join(f.in, ", ")))
			}
		}
	}
	return found
}

// anyUnder says whether path is under one of prefixes; in them, "*self" is the service that p belongs to.
func anyUnder(path string, prefixes []string, p pkg) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool {
		exact, isExact := strings.CutPrefix(prefix, "=")
		if isExact {
			return path == full(exact)
		}
		if strings.Contains(prefix, "*self") {
			service, _, _ := strings.Cut(strings.TrimPrefix(p.ImportPath, root+"services/"), "/")
			prefix = strings.Replace(prefix, "*self", service, 1)
		}
		return under(path, full(prefix))
	})
}

// under says whether path is prefix or below it.
func under(path, prefix string) bool {
	have, want := strings.Split(path, "/"), strings.Split(prefix, "/")
	if len(have) < len(want) {
		return false
	}
	for i, w := range want {
		if w != "*" && w != have[i] {
			return false
		}
	}
	return true
}

// full spells out the "./" of our own packages.
func full(path string) string {
	rest, ours := strings.CutPrefix(path, "./")
	if ours {
		return root + rest
	}
	return path
}
