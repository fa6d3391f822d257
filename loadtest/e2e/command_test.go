package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// said is what a command printed and how it ended.
type said struct {
	stdout, stderr string
	code           int
}

// cli runs a command as the coordinator of the system.
func (s system) cli(t *testing.T, args ...string) said {
	t.Helper()
	return command(t, []string{"FILIGREE_URL=" + s.url, "FILIGREE_TOKEN=" + s.tokens["coordinator"]}, args...)
}

// command runs filigree with further environment, and nothing of this one's that could name a server.
func command(t *testing.T, env []string, args ...string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FILIGREE_") })
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("filigree %s: %v", strings.Join(args, " "), err)
	}
	return said{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// exits checks how a command ended and that it said all of words, on either stream.
func (got said) exits(t *testing.T, what string, code int, words ...string) {
	t.Helper()
	if got.code != code {
		t.Errorf("%s: exit code %d, want %d; it said:\n%s%s", what, got.code, code, got.stdout, got.stderr)
	}
	for _, word := range words {
		if !strings.Contains(got.stdout+got.stderr, word) {
			t.Errorf("%s: it does not say %q:\n%s%s", what, word, got.stdout, got.stderr)
		}
	}
}

// The exit codes are a contract with scripts: 0 all sent, 1 refused, 2 not all sent, 3 no server.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	people := crowd(3)
	server := serveMail(t, map[string][]turn{"bounces@example.com": {{rcpt: "550 5.1.1 no such person"}}})
	s := start(t, "--smtp", server.url(), "--from", "office@example.com").system()
	docs, list := sampleDocuments(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.csv", "name,email\n"+people[0].GetName()+","+people[0].GetEmail()+"\n")
	sheet := docs[1].path

	got := s.cli(t, "send", "--file", sheet, "--to", list, "--wait", "--json")
	got.exits(t, "all sent", 0)
	var d struct {
		ID, State string
		Items     struct{ Total, Done int }
	}
	err := json.Unmarshal([]byte(got.stdout), &d)
	if err != nil || d.State != "completed" || d.Items.Total != 20 || d.Items.Done != 20 {
		t.Errorf("--json prints %+v (%v), want completed with 20 of 20 items done", d, err)
	}
	s.cli(t, "status", d.ID).exits(t, "status", 0, "completed", d.ID)
	s.cli(t, "items", d.ID).exits(t, "items", 0, d.ID+".1.20", "done")
	s.cli(t, "events", d.ID).exits(t, "events", 0, "accepted", "watermark", "ended")
	s.cli(t, "list").exits(t, "list", 0, d.ID)
	s.cli(t, "cancel", d.ID).exits(t, "cancel too late", 1, "DISTRIBUTION_ENDED")
	s.cli(t, "send", "--file", sheet, "--to", good).exits(t, "not waiting", 0)

	// Refused, before anything was sent.
	before := len(mustList(t, s))
	bad := write("bad.csv", "name,email\nAda,ada@example.com\nBo,nowhere\nCy,ada@example.com\n,dy@example.com\n")
	s.cli(t, "send", "--file", sheet, "--to", bad).exits(t, "a list with bad lines", 1, "PEOPLE_BAD", "line 3", "nowhere", "line 4", "line 5", bad)
	s.cli(t, "send", "--file", sheet, "--to", good, "--mark", "{name} {shoesize}").exits(t, "an unknown field", 1, "MARK_FIELD_UNKNOWN", "{shoesize}")
	s.cli(t, "send", "--file", filepath.Join(dir, "absent.pdf"), "--to", good).exits(t, "no file", 1, "absent.pdf")
	s.cli(t, "send", "--to", good).exits(t, "no --file", 1, "USAGE", "--file")
	s.cli(t, "sned").exits(t, "no such command", 1, "USAGE")
	s.cli(t, "status", "01ARZ3NDEKTSV4RRFFQ69G5FAV").exits(t, "no such distribution", 1, "DISTRIBUTION_UNKNOWN")
	s.cli(t, "send", "--file", sheet, "--to", good, "--production", "nowhere").exits(t, "no such production", 1, "PRODUCTION_UNKNOWN", "nowhere")
	env := []string{"FILIGREE_URL=" + s.url, "FILIGREE_TOKEN=fg_" + strings.Repeat("x", 43)}
	command(t, env, "send", "--file", sheet, "--to", good).exits(t, "a wrong token", 1, "TOKEN_UNKNOWN")
	if n := len(mustList(t, s)); n != before {
		t.Errorf("%d distributions were started by commands that were refused", n-before)
	}

	// Ended with failures, or not within the wait.
	bounces := write("bounces.csv", "name,email\nAda,ada@example.com\nBo,bounces@example.com\n")
	s.cli(t, "send", "--file", sheet, "--to", bounces, "--wait").exits(t, "a bounce", 2, "bounces@example.com", "no such person", "NOT_ALL_SENT")
	s.cli(t, "send", "--file", docs[0].path, "--file", docs[2].path, "--to", list, "--wait=1ms").exits(t, "a wait too short", 2, "WAIT_RAN_OUT")
	notes := write("notes.pdf", "These are notes and no PDF.\n")
	got = s.cli(t, "send", "--file", notes, "--file", sheet, "--to", good, "--wait")
	got.exits(t, "one of two files is none", 2, "notes.pdf", "PDF_NOT_A_PDF")
	s.cli(t, "send", "--file", write("empty.pdf", ""), "--to", good, "--wait").exits(t, "an empty file alone", 1, "empty.pdf", "FILE_EMPTY")

	// No server: where nobody listens, and where one has gone.
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := "http://" + lis.Addr().String()
	err = lis.Close()
	if err != nil {
		t.Fatal(err)
	}
	env = []string{"FILIGREE_URL=" + nowhere, "FILIGREE_TOKEN=" + s.tokens["coordinator"]}
	command(t, env, "list").exits(t, "no server", 3, nowhere, "SERVER_UNREACHABLE")
	command(t, env, "send", "--file", sheet, "--to", good).exits(t, "no server to send by", 3, nowhere)
	command(t, []string{"HOME=" + dir}, "list").exits(t, "no server named", 1, "filigree up")
	// The credentials file is enough.
	command(t, []string{"FILIGREE_DATA=" + s.site.dir}, "list").exits(t, "server and token by the credentials file", 0, d.ID)
}

func mustList(t *testing.T, s system) []*distributionv1.Distribution {
	t.Helper()
	list, err := s.api("coordinator").distributions(100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
