package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/cli"
)

func TestCleanLeavesNothingThatATerminalObeys(t *testing.T) {
	for in, want := range map[string]string{
		"Zoë 山田 👩‍👩‍👧":            "Zoë 山田 👩‍👩‍👧",
		"red\x1b[31m":             "red�[31m",
		"two\nlines\tand a tab":   "two lines and a tab",
		"bell\a, del\x7f, \u009b": "bell�, del�, �",
		"turned \u202egpj.exe":    "turned �gpj.exe",
		"isolated \u2066x\u2069":  "isolated �x�",
	} {
		got := cli.Clean(in)
		if got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestOutNamesAreSafeAndUnique(t *testing.T) {
	got := cli.OutNames("Script v1.pdf", "Ada Lovelace", "ada lovelace", "Zoe\u0308", "Zoë", "../../etc/passwd", `a\b:c`, "x\u202ey", "Dr. No.", "..", "-rf")
	want := []string{
		"Script v1 - Ada Lovelace.pdf", "Script v1 - ada lovelace (2).pdf", "Script v1 - Zoe\u0308.pdf", "Script v1 - Zoë (2).pdf",
		"Script v1 - _.._etc_passwd.pdf", "Script v1 - a_b_c.pdf", "Script v1 - x_y.pdf", "Script v1 - Dr. No.pdf", "Script v1 - .pdf", "Script v1 - -rf.pdf",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	// Copies have the ending of their source, and a name has dots of its own.
	for source, want := range map[string]string{
		"Stage.PNG": "Stage - Ada.PNG", "still.jpeg": "still - Ada.jpeg", "Draft 1.2": "Draft 1.2 - Ada", "Dr. No": "Dr. No - Ada",
		"a.tar.gz": "a.tar - Ada.gz", "notes": "notes - Ada", "a.x:y": "a.x_y - Ada",
	} {
		if got := cli.OutNames(source, "Ada"); got[0] != want {
			t.Errorf("a copy of %q is called %q, want %q", source, got[0], want)
		}
	}
	long := cli.OutNames(strings.Repeat("é", 100)+".pdf", strings.Repeat("山", 85), strings.Repeat("山", 85))
	for _, name := range long {
		if len(name) > 240 || !strings.HasSuffix(name, ".pdf") {
			t.Errorf("%d bytes: %q", len(name), name)
		}
	}
	if long[0] == long[1] {
		t.Errorf("both are %q", long[0])
	}
}

// TestTerminal shows what only a terminal gets: a bar on standard error, colours, and how long something has been going on.
func TestTerminal(t *testing.T) {
	f := newFake()
	defer f.Close()
	t.Setenv("FILIGREE_URL", f.URL)
	t.Setenv("FILIGREE_TOKEN", "coordinator-secret")
	dir := t.TempDir()
	file, people := filepath.Join(dir, "a.pdf"), filepath.Join(dir, "people.csv")
	write(t, file, "a")
	write(t, people, "name,email\nAda,ada@example.com\n")

	_, _, _ = cli.Run([]string{"send", "--file", file, "--to", people, "--wait"}, false, epoch)
	f.outcome = ""
	code, stdout, stderr := cli.Run([]string{"send", "--file", file, "--to", people, "--wait=500ms"}, true, epoch)
	if code != 2 || !strings.Contains(stderr, "sending [") {
		t.Errorf("send = %d, %q, %q; want a bar", code, stdout, stderr)
	}

	code, stdout, stderr = cli.Run([]string{"status", "D2"}, false, epoch.Add(time.Minute+time.Second))
	if code != 0 || !strings.Contains(stdout, "state       running, for 1m0s\n") {
		t.Errorf("status = %d, %q, %q", code, stdout, stderr)
	}
	_, stdout, _ = cli.Run([]string{"list"}, true, epoch)
	if !strings.Contains(stdout, "\x1b[32mcompleted\x1b[0m") {
		t.Errorf("list without colour: %q", stdout)
	}
}

func TestStampingShowsItsRate(t *testing.T) {
	dir := t.TempDir()
	file, people := filepath.Join(dir, "a.pdf"), filepath.Join(dir, "people.csv")
	err := writePDF(file, 1)
	if err != nil {
		t.Fatal(err)
	}
	list := "name,email\n"
	for i := range 300 {
		list += fmt.Sprintf("Ada %d,ada%d@example.com\n", i, i)
	}
	write(t, people, list)
	args := []string{"stamp", file, "--to", people, "-o", filepath.Join(dir, "out"), "--keys", filepath.Join(dir, "keys.json"), "--password", "generate"}
	code, _, stderr := cli.Run(args, true, epoch)
	if code != 0 || !strings.Contains(stderr, "stamping [") || !strings.Contains(stderr, " / 300 ") || !regexp.MustCompile(`made 300 copies in \S+, \d+ a second: `).MatchString(stderr) {
		t.Errorf("stamp = %d, %q; want a bar with counts, and the rate", code, stderr)
	}
	if strings.Contains(stderr, "looking at pages") {
		t.Errorf("%q tells of what takes no time", stderr)
	}
	code, _, stderr = cli.Run(args, false, epoch)
	if code != 0 || strings.Contains(stderr, "stamping") {
		t.Errorf("stamp = %d, %q; want no bar without a terminal", code, stderr)
	}
}

func TestABarShowsWhenThereWasSomethingToWaitFor(t *testing.T) {
	before, after := cli.LateBar()
	if before != "" || !strings.Contains(after, "looking at pages 40 / 120 [") {
		t.Errorf("got %q, then %q", before, after)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	err := os.WriteFile(path, []byte(text), 0o600)
	if err != nil {
		t.Fatal(err)
	}
}
