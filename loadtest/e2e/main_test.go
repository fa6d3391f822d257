package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/loadtest/internal/ledger"
)

// program is the path of the binary under test.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	program = os.Getenv("FILIGREE_BIN")
	if program != "" {
		var err error
		program, err = filepath.Abs(program)
		if err != nil {
			fmt.Fprintln(os.Stderr, "FILIGREE_BIN:", err)
			return 1
		}
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "filigree-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "a place for the program:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder harms nobody
	program = filepath.Join(dir, "filigree")
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", dir+"/", "github.com/filigreehq/filigree/services/cli/cmd/filigree",
		"github.com/filigreehq/filigree/services/...").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build filigree: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// system is an installation to test: where it is, who may do what, and where its mails end up.
type system struct {
	url    string
	tokens map[string]string // by role
	box    ledger.Box
	// site is the process behind it, if it is ours to kill; nil elsewhere.
	site *site
}

// api is a client with the rights of a role in the production default.
func (s system) api(role string) *client {
	return &client{base: s.url, token: s.tokens[role], production: "default"}
}

// installation is the system to test: the one that the environment names, or else one of our own, just started.
func installation(t *testing.T) system {
	t.Helper()
	path := os.Getenv("FILIGREE_E2E_CREDENTIALS")
	deploy := os.Getenv("FILIGREE_E2E_DEPLOY")
	switch {
	case path != "":
	case deploy == "":
		return start(t).system()
	default:
		parts := strings.Split(deploy, ",")
		return startFleet(t, slices.Contains(parts, "tls"), slices.Contains(parts, "s3")).system()
	}
	outbox := os.Getenv("FILIGREE_E2E_OUTBOX")
	if outbox == "" {
		t.Fatal("FILIGREE_E2E_CREDENTIALS is set and FILIGREE_E2E_OUTBOX is not: without the mails nothing can be shown")
	}
	url, tokens := credentials(t, path)
	return system{url: url, tokens: tokens, box: ledger.NewFolder(outbox)}
}

func credentials(t *testing.T, path string) (url string, tokens map[string]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		URL    string            `json:"url"`
		Tokens map[string]string `json:"tokens"`
	}
	err = json.Unmarshal(text, &c)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c.URL, c.Tokens
}

// size is a number that the environment may set, for the full size of a test.
func size(t *testing.T, name string, small int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return small
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number from 1 on", name, text)
	}
	return n
}

// slack is by how much more than it is meant to take something may take: machines that run tests do other things, too.
const slack = 4

// await asks until done says yes, and ends the test when slack times the limit has passed. What took longer than limit, and
// the error of the last asking, are told.
func await(t *testing.T, limit time.Duration, what string, done func() (bool, error)) {
	t.Helper()
	begun := time.Now()
	defer func() {
		if took := time.Since(begun); took > limit {
			t.Logf("%s: meant to take at most %s, took %s", what, limit, took.Round(time.Millisecond))
		}
	}()
	late := time.After(slack * limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok {
			return
		}
		select {
		case <-late:
			t.Fatalf("%s: not within %s (last error: %v)", what, slack*limit, err)
		case <-tick.C:
		}
	}
}
