// Package deploytest holds what is in deploy/ against the programs it starts: no flag, variable, address, port, key or
// file is named there that nobody knows, and every service starts from what is written there. It has no code.
package deploytest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const deploy = "../../deploy"

// A program is a service's, as its --help says.
type program struct {
	path     string
	flags    map[string]string // name to its environment variable
	required []string
}

// programs are all services', by name.
var programs map[string]program

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "filigree-deploy-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "a place for the programs:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder harms nobody
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	programs, err = build(ctx, dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build makes the programs of all services in dir, unless FILIGREE_SERVICES names a folder where they are.
func build(ctx context.Context, dir string) (map[string]program, error) {
	mains, err := filepath.Glob("../../services/*/cmd/*/main.go")
	if err != nil {
		return nil, err
	}
	var names, packages []string
	for _, path := range mains {
		name := filepath.Base(filepath.Dir(path))
		if name == "filigree" { // what people type; no container runs it
			continue
		}
		names = append(names, name)
		packages = append(packages, "github.com/filigreehq/filigree/services/"+name+"/cmd/"+name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no service has a program of its own")
	}
	made := os.Getenv("FILIGREE_SERVICES")
	if made != "" {
		dir = made
	} else {
		out, err := exec.CommandContext(ctx, "go", append([]string{"build", "-o", dir + "/"}, packages...)...).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("build the services: %w\n%s", err, out)
		}
	}
	all := map[string]program{}
	for _, name := range names {
		p, err := ask(ctx, filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		all[name] = p
	}
	return all, nil
}

var (
	usageLine = regexp.MustCompile(`(?m)^Usage: \S+(.*)$`)
	usageFlag = regexp.MustCompile(`--([a-z0-9-]+)`)
	flagStart = regexp.MustCompile(`(?m)^ +(?:-[a-z], )?--(?:\[no-\])?([a-z0-9-]+)`)
	variable  = regexp.MustCompile(`\(\$([A-Z0-9_]+)`)
)

func ask(ctx context.Context, path string) (program, error) {
	help, err := exec.CommandContext(ctx, path, "--help").Output()
	if err != nil {
		return program{}, fmt.Errorf("%s --help: %w", path, err)
	}
	p := program{path: path, flags: map[string]string{}}
	text := string(help)
	usage := usageLine.FindStringSubmatch(text)
	starts := flagStart.FindAllStringSubmatchIndex(text, -1)
	if usage == nil || len(starts) < 3 {
		return program{}, fmt.Errorf("%s --help cannot be understood:\n%s", path, text)
	}
	for _, m := range usageFlag.FindAllStringSubmatch(usage[1], -1) {
		p.required = append(p.required, m[1])
	}
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		env := ""
		m := variable.FindStringSubmatch(text[at[0]:end])
		if m != nil {
			env = m[1]
		}
		p.flags[text[at[2]:at[3]]] = env
	}
	return p, nil
}

// telemetry are variables of OpenTelemetry that every service heeds.
var telemetry = []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}

// A container is a service's process as a manifest starts it.
type container struct {
	service string
	args    []string
	env     map[string]string
}

// flag is the value of --name, by argument or variable.
func (c container) flag(name string) (string, bool) {
	for _, arg := range c.args {
		value, ok := strings.CutPrefix(arg, "--"+name+"=")
		if ok {
			return value, true
		}
	}
	value, ok := c.env[programs[c.service].flags[name]]
	return value, ok
}

// peers are the services that c calls, by the flag that says where they are.
func (c container) peers(t *testing.T) map[string]string {
	t.Helper()
	peers := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		address, ok := c.flag(name)
		if !ok {
			continue
		}
		host, ok := strings.CutPrefix(address, "dns:///")
		if !ok {
			t.Errorf("%s: --%s is %s; only dns:/// takes all replicas in turns", c.service, name, address)
			continue
		}
		if host != name+":7000" {
			t.Errorf("%s: --%s is %s, want dns:///%s:7000", c.service, name, address, name)
		}
		peers[name] = address
	}
	return peers
}

// check holds c against its program.
func (c container) check(t *testing.T) {
	t.Helper()
	p, ok := programs[c.service]
	if !ok {
		t.Errorf("there is no service %q", c.service)
		return
	}
	for _, arg := range c.args {
		m := regexp.MustCompile(`^--([a-z0-9-]+)(=.*)?$`).FindStringSubmatch(arg)
		if m == nil {
			t.Errorf("%s: %q is not --flag=value", c.service, arg)
			continue
		}
		if _, ok := p.flags[m[1]]; !ok {
			t.Errorf("%s knows no flag --%s; it has %s", c.service, m[1], slices.Sorted(maps.Keys(p.flags)))
		}
	}
	known := slices.Concat(slices.Collect(maps.Values(p.flags)), []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, telemetry)
	for name := range c.env {
		if !slices.Contains(known, name) {
			t.Errorf("%s reads no variable %s", c.service, name)
		}
	}
	for _, name := range p.required {
		if _, ok := c.flag(name); !ok {
			t.Errorf("%s cannot start without --%s or $%s", c.service, name, p.flags[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.flags)) {
		value, ok := c.flag(name)
		if strings.HasPrefix(name, "i-accept-") && ok && value != "false" {
			t.Errorf("%s: --%s takes a risk in everybody's name", c.service, name)
		}
	}
}

// everybody fails t unless names are exactly all services.
func everybody(t *testing.T, names []string) {
	t.Helper()
	got, want := slices.Sorted(slices.Values(names)), slices.Sorted(maps.Keys(programs))
	if !slices.Equal(got, want) {
		t.Errorf("got services %s, want %s", got, want)
	}
}
