package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/loadtest/internal/ledger"
)

// steering is a command line with all the rights that the credentials file gives, each command with the token that fits,
// against an installation of its own: what is paused here is paused for nobody else.
type steering struct {
	t   *testing.T
	env []string
	dir string
	// sheet and people are what is sent to whom.
	sheet, people string
	n             int // of people
	box           ledger.Box
}

func steer(t *testing.T) *steering {
	t.Helper()
	s := start(t)
	docs, people := sampleDocuments(t)
	return &steering{t: t, env: []string{"FILIGREE_DATA=" + s.dir}, dir: t.TempDir(), sheet: docs[1].path, people: people, n: 20, box: s.box}
}

// run runs a command that must succeed, and returns what it printed.
func (s *steering) run(args ...string) string {
	s.t.Helper()
	got := command(s.t, s.env, args...)
	got.exits(s.t, strings.Join(args, " "), 0)
	return got.stdout
}

// says runs a command that must succeed and say words.
func (s *steering) says(words []string, args ...string) {
	s.t.Helper()
	command(s.t, s.env, args...).exits(s.t, strings.Join(args, " "), 0, words...)
}

// refused runs a command that must be refused with a code.
func (s *steering) refused(code string, args ...string) {
	s.t.Helper()
	command(s.t, s.env, args...).exits(s.t, strings.Join(args, " "), 1, "("+code+")")
}

// send sends the sheet and returns the distribution's id.
func (s *steering) send(args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(s.run(append([]string{"send", "--file", s.sheet, "--to", s.people}, args...)...))
}

// await waits until a command's output has words.
func (s *steering) await(words string, args ...string) {
	s.t.Helper()
	await(s.t, time.Minute, strings.Join(args, " ")+" says "+words, func() (bool, error) {
		return strings.Contains(s.run(args...), words), nil
	})
}

// document runs a command with --json into v.
func (s *steering) document(v any, args ...string) {
	s.t.Helper()
	out := s.run(append(args, "--json")...)
	err := json.Unmarshal([]byte(out), v)
	if err != nil {
		s.t.Fatalf("%s --json: %v in %s", strings.Join(args, " "), err, out)
	}
}

// write writes a file and returns where it is.
func (s *steering) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	err := os.WriteFile(path, []byte(text), 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	return path
}

// Everything that is paused stands still and says so, and goes on to its end when it is resumed.
func TestPauseByCommand(t *testing.T) {
	t.Parallel()
	s := steer(t)
	s.says([]string{"no function and no production is paused"}, "pauses")
	s.says([]string{"email.Send", "watermark.Stamp"}, "functions")

	s.says([]string{"filigree resume --production default"}, "pause", "--production", "default")
	s.says([]string{"default"}, "pauses")
	id := s.send("--priority", "5", "--deadline", "1s")
	s.says([]string{id + " paused: no step of it starts"}, "pause", id)
	s.says([]string{"goes on"}, "resume", "--production", "default")
	s.says([]string{"state       paused", "priority    5", "items       20: 20 pending"}, "status", id)

	s.says([]string{"filigree resume --function email.Send"}, "pause", "--function", "email.Send")
	s.says([]string{id + " running"}, "resume", id)
	s.await("What stands in the way\n  the function email.Send in all productions is paused", "status", id)
	s.await("PAUSED", "functions")
	s.await("late        by", "status", id)
	s.says([]string{"recipients  20: 20 queued"}, "status", id)
	s.run("resume", "--function", "email.Send")
	s.await("state       completed", "status", id)
	s.says([]string{"paused", "resumed"}, "events", id)
	s.refused("DISTRIBUTION_ENDED", "pause", id)
	s.refused("FUNCTION_UNKNOWN", "pause", "--function", "nobody.Knows")
	s.refused("PRODUCTION_UNKNOWN", "pause", "--production", "nowhere")
}

// Limits hold back what they name and are changed while it runs; resources and credentials are kept as they were set.
func TestLimitsByCommand(t *testing.T) {
	t.Parallel()
	s := steer(t)
	s.says([]string{"watermark.Stamp: 1 at once"}, "limit", "set", "watermark.Stamp", "--concurrency", "1")
	s.says([]string{"watermark.Stamp: 1 at once, 0.1 a second"}, "limit", "set", "watermark.Stamp", "--rate", "0.1")
	id := s.send()
	await(t, time.Minute, "all but one wait for the limit", func() (bool, error) {
		var all struct {
			Limits []struct {
				Name    string
				Waiting int
			}
		}
		s.document(&all, "limit", "list")
		return len(all.Limits) == 1 && all.Limits[0].Waiting == s.n-1, nil
	})
	s.await("the limit watermark.Stamp lets 1 at once, 0.1 a second; 19 steps wait", "status", id)
	s.says([]string{"any number"}, "limit", "set", "watermark.Stamp", "--concurrency", "0", "--rate", "0")
	s.await("state       completed", "status", id)
	s.says([]string{"there is no limit watermark.Stamp any more"}, "limit", "delete", "watermark.Stamp")
	s.refused("LIMIT_UNKNOWN", "limit", "delete", "watermark.Stamp")

	s.says([]string{"studio/relay: 4 at once, 20 a second; ready"}, "resource", "set", "relay", "--studio", "--kind", "smtp", "--concurrency", "4", "--rate", "20")
	s.says([]string{"studio/relay: 4 at once, 10 a second; ready"}, "resource", "set", "relay", "--studio", "--rate", "10", "--breaker-failures", "3", "--breaker-open", "1m")
	s.says([]string{"studio/relay", "smtp", "closed"}, "resource", "list", "--studio")
	s.says([]string{"studio/relay: ready"}, "resource", "reset", "relay", "--studio")
	s.refused("LIMIT_IS_RESOURCE", "limit", "set", "relay", "--studio", "--concurrency", "3")
	s.run("resource", "delete", "relay", "--studio")
	s.says([]string{"no shared resource is set for all productions"}, "resource", "list", "--studio")

	s.says([]string{"default has weight 3"}, "weight", "default", "3")
	s.says([]string{"default", "3"}, "pauses")

	const hush = "nobody may read this"
	s.says([]string{"smtp is sealed"}, "credential", "set", "smtp", "--file", s.write("secret.txt", hush+"\n"))
	list := s.run("credential", "list") + s.run("credential", "list", "--json")
	if !strings.Contains(list, "smtp") || strings.Contains(list, hush) {
		t.Errorf("credential list prints %s", list)
	}
	leak, err := exec.Command("grep", "-rlF", hush, strings.TrimPrefix(s.env[0], "FILIGREE_DATA=")).Output()
	if err == nil {
		t.Errorf("the secret lies in clear in %s", leak)
	}
	s.run("credential", "delete", "smtp")
	s.says([]string{"no credential is kept"}, "credential", "list")
}

// A definition of somebody's own is stored, drawn, rolled out and run; what is wrong with one is told with its lines.
func TestDefinitionByCommand(t *testing.T) {
	t.Parallel()
	s := steer(t)
	s.says([]string{"send-documents@"}, "definition", "list")
	builtin := s.run("definition", "show", "send-documents")
	first := regexp.MustCompile(`(?m)^name: .*\nversion: .*$`).ReplaceAllString(builtin, "name: short\nversion: 1")
	second := strings.Replace(first, "version: 1", "version: 2", 1)
	s.says([]string{"short@1"}, "definition", "put", s.write("first.yaml", first))
	s.says([]string{"short@2"}, "definition", "put", s.write("second.yaml", second))
	if got := s.run("definition", "show", "short@1"); got != first {
		t.Errorf("show prints another text than was put:\n%s", got)
	}
	bad := s.write("bad.yaml", strings.Replace(first, "needs: [prepare]", "needs: [prepar]", 1))
	s.refused("DEFINITION_INVALID", "definition", "put", bad)
	command(t, s.env, "definition", "put", bad).exits(t, "what is wrong", 1, bad, "line ", `no step "prepar"`)
	s.refused("DEFINITION_EXISTS", "definition", "put", s.write("changed.yaml", strings.Replace(second, "attempts: 5", "attempts: 6", 1)))
	s.says([]string{"flowchart", "watermark.Stamp"}, "definition", "graph", "short")
	s.says([]string{"digraph", "short, version 1"}, "definition", "graph", "short@1", "--dot")

	s.says([]string{"100% version 1"}, "definition", "rollout", "short", "1=100", "2=0")
	s.says([]string{"short", "100% version 1"}, "definition", "rollouts")
	id := s.send("--definition", "short")
	s.await("state       completed", "status", id)
	s.says([]string{"definition  short@1"}, "status", id)
	s.says([]string{"flowchart", "20 done"}, "graph", id)
	s.says([]string{"digraph", "20 done"}, "graph", id, "--dot")
	s.says([]string{"the newest version"}, "definition", "rollout", "short", "--newest")
	id = s.send("--definition", "short")
	s.await("definition  short@2", "status", id)
	s.refused("DEFINITION_UNKNOWN", "send", "--file", s.sheet, "--to", s.people, "--definition", "long")
	s.refused("DEFINITION_UNKNOWN", "definition", "rollout", "short", "1=80", "7=20")
}

// Schedules and webhooks are kept as they were set, through pauses and new secrets.
func TestScheduleByCommand(t *testing.T) {
	t.Parallel()
	s := steer(t)
	what := []string{"--file", s.sheet, "--to", s.people, "--title", "Sheet of {date}"}
	set := func(args ...string) []string { return append(append([]string{"schedule", "set"}, args...), what...) }
	s.says([]string{"evening runs next at"}, set("evening", "--cron", "0 18 * * mon-fri", "--zone", "Europe/Berlin")...)
	s.says([]string{"evening is paused"}, "schedule", "pause", "evening")
	s.says([]string{"evening", "0 18 * * mon-fri", "Europe/Berlin", "paused"}, "schedule", "list")
	s.says([]string{"evening runs next at"}, "schedule", "resume", "evening")
	var all struct {
		Schedules []struct {
			Cron  string
			Start struct {
				Title      string
				Files      []struct{ Name string }
				Recipients []struct{ Email string }
			}
		}
	}
	s.document(&all, "schedule", "list")
	if len(all.Schedules) != 1 || all.Schedules[0].Start.Title != "Sheet of {date}" || len(all.Schedules[0].Start.Files) != 1 || len(all.Schedules[0].Start.Recipients) != s.n {
		t.Errorf("after a pause the schedule is %+v", all)
	}
	s.refused("CRON_INVALID", set("bad", "--cron", "0 0 31 2 *")...)
	s.refused("TIME_ZONE_UNKNOWN", set("bad", "--cron", "@daily", "--zone", "Mars/Base")...)
	s.says([]string{"there is no schedule evening any more"}, "schedule", "delete", "evening")
	s.says([]string{"has no schedules"}, "schedule", "list")

	secret := s.run("hook", "set", "sheets", "--to", s.people)
	if !strings.HasPrefix(secret, "whsec_") {
		t.Errorf("a new webhook's secret is %q", secret)
	}
	if again := s.run("hook", "set", "sheets", "--file", s.sheet); again != "" {
		t.Errorf("a changed webhook prints %q", again)
	}
	s.says([]string{"sheets", "1 file to the call's people", "/v1/hooks/default/sheets"}, "hook", "list")
	if other := s.run("hook", "rotate", "sheets"); !strings.HasPrefix(other, "whsec_") || other == secret {
		t.Errorf("another secret after %q is %q", secret, other)
	}
	s.says([]string{"1 file to the call's people"}, "hook", "list")
	s.run("hook", "delete", "sheets")
	s.says([]string{"has no webhooks"}, "hook", "list")
}

// A batch does one thing to all distributions that its flags find, and to no other.
func TestBatchByCommand(t *testing.T) {
	t.Parallel()
	s := steer(t)
	var alphas []string
	for _, title := range []string{"Alpha one", "Alpha two", "Alpha three"} {
		alphas = append(alphas, s.send("--hold-for", "1h", "--title", title))
	}
	beta := s.send("--hold-for", "1h", "--title", "Beta")
	all := func(state string) {
		t.Helper()
		for _, id := range alphas {
			s.await("state       "+state, "status", id)
		}
	}
	s.says([]string{"there was no batch"}, "batch", "list")
	s.says([]string{"pause done: 4 of 4 distributions looked at; 3 found, 3 changed"}, "batch", "pause", "--title", "ALPHA", "--wait")
	all("paused")
	s.says([]string{"3 found, 3 changed"}, "batch", "resume", "--state", "paused", "--since", "1h", "--wait")
	all("running")
	s.says([]string{"0 found, 0 changed"}, "batch", "cancel", "--title", "alpha", "--until", "1h", "--wait")
	s.says([]string{"3 found, 3 changed"}, "batch", "cancel", "--title", "alpha", "--wait")
	all("cancelled")
	s.says([]string{"3 found, 0 changed, 3 unchanged"}, "batch", "cancel", "--title", "alpha", "--wait")
	s.says([]string{"state       running"}, "status", beta)
	s.says([]string{"cancel", "title has alpha", "4 of 4"}, "batch", "list")
	var b struct {
		ID, State string
		Found     int
	}
	s.document(&b, "batch", "retry", "--all", "--wait")
	if b.State != "done" || b.Found != 4 {
		t.Errorf("a batch over all is %+v, want done with 4 found", b)
	}
	s.says([]string{b.ID, "does        retry", "of          all", "4 of 4"}, "batch", "show", b.ID)
	s.refused("BATCH_ENDED", "batch", "pause", b.ID)
	s.refused("USAGE", "batch", "cancel")
	s.refused("BATCH_UNKNOWN", "batch", "show", "nowhere")
}

// What is done runs again when that is asked for, for whom it is asked for, and with another mark.
func TestRetryByCommand(t *testing.T) {
	t.Parallel()
	s := steer(t)
	id := s.send("--wait")
	id, _, _ = strings.Cut(id, "\n")
	s.refused("NOTHING_TO_RETRY", "retry", id)
	s.refused("NOTHING_TO_RETRY", "retry", id, "--code", "EMAIL_AUTH")
	s.says([]string{"completed"}, "retry", id, "--redo", "--recipient", "r1", "--wait")
	s.says([]string{"completed"}, "retry", id, "--mark", "Draft for {name}", "--layout", "tiled", "--opacity", "30", "--recipient", "r2", "--wait")
	s.says([]string{"retry_requested"}, "events", id)
	mails, err := s.box.Mails()
	if err != nil {
		t.Fatal(err)
	}
	if len(mails) != s.n+2 {
		t.Errorf("%d mails went out, want one for each of %d people and another for two of them", len(mails), s.n)
	}
}
