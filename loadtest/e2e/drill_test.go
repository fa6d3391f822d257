package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/s3test"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

// A drill is an installation in which something is broken on purpose. Somebody who has never seen the code asks why a person
// has not got theirs, and the answer names the cause.
type drill struct {
	*steering
	site *site
}

func startDrill(t *testing.T, args ...string) *drill {
	t.Helper()
	s := start(t, args...)
	docs, _ := sampleDocuments(t)
	d := &drill{&steering{t: t, env: []string{"FILIGREE_DATA=" + s.dir}, dir: t.TempDir(), sheet: docs[1].path, box: s.box}, s}
	d.to("Ada Lovelace <ada@example.com>", "Bob Hope <bob@example.com>", "Grace Hopper <grace@example.com>")
	return d
}

// to makes another list of people the one that is sent to: "Ada Lovelace <ada@example.com>".
func (d *drill) to(people ...string) {
	rows := "name,email\n"
	for _, p := range people {
		name, address, _ := strings.Cut(strings.TrimSuffix(p, ">"), " <")
		rows += name + "," + address + "\n"
	}
	d.people, d.n = d.write("people.csv", rows), len(people)
}

// answer is what filigree why says.
type answer struct {
	Answer string
	Causes []struct{ Kind, Sentence, Remedy string }
	Story  struct {
		Chapters []struct{ Kind, Step, State, Sentence string }
	}
}

// limitOfWhy is how long an answer may take: a minute is what it is about, and a busy machine is no excuse.
const limitOfWhy = time.Minute

// why waits until the answer about who has a cause of a kind and says all of words, and returns it; the command that mends it
// is among what it says.
func (d *drill) why(who, kind string, words ...string) answer {
	d.t.Helper()
	var last answer
	remedy := ""
	var took time.Duration
	await(d.t, 3*time.Minute, fmt.Sprintf("filigree why %s says %s and %q", who, kind, words), func() (bool, error) {
		began := time.Now()
		got := command(d.t, d.env, "why", who, "--json")
		took = time.Since(began)
		if took > limitOfWhy {
			return false, fmt.Errorf("it took %v", took)
		}
		last, remedy = answer{}, ""
		if got.code != 0 {
			return false, errors.New(got.stderr)
		}
		err := json.Unmarshal([]byte(got.stdout), &last)
		if err != nil {
			return false, err
		}
		first := ""
		if len(last.Causes) > 0 {
			first, remedy = last.Causes[0].Kind, last.Causes[0].Remedy
		}
		err = fmt.Errorf("it says %s: %s (%s)", first, last.Answer, remedy)
		if first != kind {
			return false, err
		}
		for _, word := range words {
			if !strings.Contains(last.Answer+" "+remedy, word) {
				return false, err
			}
		}
		return true, nil
	})
	d.t.Logf("why %s, after %v: %s %s", who, took.Round(time.Millisecond), last.Answer, remedy)
	return last
}

// The mail server refuses one domain for now: the answer names the domain, and whom else it hurts.
func TestDrillOneDomain(t *testing.T) {
	t.Parallel()
	busy := []turn{{rcpt: "451 4.7.1 no more mail from you for now"}}
	server := serveMail(t, map[string][]turn{"ada@busy.example": busy, "grace@busy.example": busy, "alan@busy.example": busy})
	d := startDrill(t, "--smtp", server.url(), "--from", "office@example.com", "--retry-after", "10m")
	d.to("Ada Lovelace <ada@busy.example>", "Bob Hope <bob@other.example>", "Grace Hopper <grace@busy.example>", "Alan Turing <alan@busy.example>", "Mae West <mae@third.example>")
	id := d.send()
	d.why("Ada Lovelace", "backing_off", "Ada Lovelace has not got", "451 4.7.1 no more mail from you for now", "only at busy.example",
		"2 other people wait for the same", "It is tried again at", "filigree failures "+id)
	d.onPage("Ada Lovelace", "451 4.7.1 no more mail from you for now", "only at busy.example")
	d.why("bob@other.example", "", "Bob Hope has got")
	d.says([]string{"EMAIL_DEFERRED", "3 people", "only at busy.example", "--act retry"}, "failures", id)
}

// One address is refused for good: the answer says so, with the command for another address.
func TestDrillRefused(t *testing.T) {
	t.Parallel()
	server := serveMail(t, map[string][]turn{"ada@example.com": {{rcpt: "550 5.1.1 no such person here"}, {}}})
	d := startDrill(t, "--smtp", server.url(), "--from", "office@example.com")
	d.to("Ada Lovelace <ada@example.com>", "Bob Hope <bob@example.com>")
	id := d.send()
	got := d.why("Ada Lovelace", "refused", "550 5.1.1 no such person here", "Nothing tries it again by itself.", "filigree resend "+id+" r1 --email ADDRESS")
	if len(got.Story.Chapters) < 4 {
		t.Errorf("the story has %d chapters, want all that was done for her: %+v", len(got.Story.Chapters), got.Story.Chapters)
	}
	// The group is retried as one, and then she has it.
	groups := d.run("failures", id)
	print := regexp.MustCompile(`--group ([0-9a-f]{16})`).FindStringSubmatch(groups)
	if print == nil {
		t.Fatalf("failures names no group:\n%s", groups)
	}
	d.says([]string{"1 recipient"}, "failures", id, "--group", print[1], "--act", "retry")
	d.why("Ada Lovelace", "", "Ada Lovelace has got")
	d.says([]string{"nothing fails"}, "failures", id)
}

// A function that nobody serves.
func TestDrillDeadFunction(t *testing.T) {
	t.Parallel()
	d := startDrill(t)
	d.site.define()
	id := d.send("--definition", "send-countersigned")
	d.why("Ada Lovelace", "no_worker", "no worker serves the function example.Countersign", "filigree functions")
	d.why(id, "no_worker", "no worker serves the function example.Countersign")
	d.onPage("Ada Lovelace", "no worker serves the function example.Countersign")
}

// A worker of an old version serves, and the definition asks for a newer one.
func TestDrillOldWorker(t *testing.T) {
	t.Parallel()
	d := startDrill(t, "--worker-addr", "127.0.0.1:0")
	d.site.define("example.Countersign", "example.Countersign@2")
	w := d.site.puppet("old-1", "example.Countersign@1")
	w.waits()
	d.send("--definition", "send-countersigned")
	d.why("Ada Lovelace", "old_worker", "asks for example.Countersign@2, which no worker serves", "old-1 announces example.Countersign@1", "Start a worker that announces example.Countersign@2")
	d.onPage("Ada Lovelace", "which no worker serves", "Start a worker that announces example.Countersign@2")
}

// A document with which three workers in a row are lost.
func TestDrillPoisonFile(t *testing.T) {
	t.Parallel()
	d := startDrill(t, "--worker-addr", "127.0.0.1:0")
	d.site.define()
	d.to("Ada Lovelace <ada@example.com>")
	id := d.send("--definition", "send-countersigned")
	for i := range 3 {
		w := d.site.puppet(fmt.Sprint("victim-", i+1), "example.Countersign")
		w.takes() // and is never heard of again
	}
	d.why("Ada Lovelace", "quarantined", "kills workers", "Nothing tries it again by itself.", "filigree retry "+id)
}

// A worker keeps a step past its time limit, and its lease alive.
func TestDrillStuckLease(t *testing.T) {
	t.Parallel()
	d := startDrill(t, "--worker-addr", "127.0.0.1:0")
	d.site.define("timeout: 30s", "timeout: 5s")
	d.to("Ada Lovelace <ada@example.com>")
	d.send("--definition", "send-countersigned")
	w := d.site.puppet("stuck-1", "example.Countersign")
	w.keeps(w.takes())
	d.why("Ada Lovelace", "stuck_lease", "the worker stuck-1 has had the step countersign", "past the step's time limit of 5s", "Restart stuck-1")
	d.onPage("Ada Lovelace", "the worker stuck-1 has had the step countersign", "Restart stuck-1")
}

// A limit that is far too low.
func TestDrillLimitTooLow(t *testing.T) {
	t.Parallel()
	d := startDrill(t)
	d.run("limit", "set", "email.Send", "--rate", "0.01")
	id := d.send()
	d.why(id, "waits_limit", "the mail waits at the limit email.Send", "lets 0.01 start in a second", "filigree limit set email.Send --rate 0.02")
	d.run("limit", "set", "email.Send", "--rate", "0", "--concurrency", "0")
	d.await("state       completed", "status", id)
}

// A paused production, function and distribution.
func TestDrillPaused(t *testing.T) {
	t.Parallel()
	d := startDrill(t)
	d.run("pause", "--production", "default")
	d.to("Ada Lovelace <ada@example.com>", "Bob Hope <bob@example.com>")
	id := d.send()
	d.why("Ada Lovelace", "paused", "the production default is paused", "1 other person waits for the same", "filigree resume --production default")
	d.onPage("ada@example.com", "the production default is paused", "1 other person waits for the same")
	d.run("pause", id)
	d.run("resume", "--production", "default")
	d.why("Ada Lovelace", "paused", "paused the distribution at", "filigree resume "+id)
	d.run("pause", "--function", "email.Send")
	d.run("resume", id)
	d.why("Ada Lovelace", "paused", "the function email.Send in all productions is paused", "filigree resume --function email.Send")
	d.run("resume", "--function", "email.Send")
	d.why("Ada Lovelace", "", "Ada Lovelace has got")
}

// A credential that is not accepted any more.
func TestDrillCredential(t *testing.T) {
	t.Parallel()
	expired := []turn{{rcpt: "535 5.7.8 credentials have expired"}}
	server := serveMail(t, map[string][]turn{"ada@example.com": expired, "bob@example.com": expired})
	d := startDrill(t, "--smtp", server.url(), "--from", "office@example.com", "--retry-after", "10m")
	d.to("Ada Lovelace <ada@example.com>", "Bob Hope <bob@example.com>")
	d.send()
	d.why("Ada Lovelace", "credential", "the mail server does not accept our sign-in", "535 5.7.8 credentials have expired", "1 other person waits for the same", "Put the credential right")
	d.onPage("Ada Lovelace", "the mail server does not accept our sign-in", "Put the credential right")
}

// The disk on which documents are kept is full.
func TestDrillFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	d := startDrill(t, "--blob", dir)
	d.run("pause", "--function", "watermark.Stamp")
	id := d.send()
	d.why(id, "paused", "watermark.Stamp")
	fill(t, filepath.Join(dir, "filler"))
	d.run("resume", "--function", "watermark.Stamp")
	d.why("Ada Lovelace", "disk_full", "no space is left where documents are kept", "Free space")
	err := os.Remove(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	d.why("Ada Lovelace", "", "Ada Lovelace has got")
}

// smallDisk is a folder on a disk of its own of 8 MB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "filigree-disk-")
	if err != nil {
		t.Fatal(err)
	}
	err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m")
	if err != nil {
		_ = os.Remove(dir)
		t.Skipf("this user may not mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		err := syscall.Unmount(dir, syscall.MNT_DETACH)
		if err == nil {
			err = os.Remove(dir)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file until there is no room left.
func fill(t *testing.T, path string) {
	t.Helper()
	out, err := exec.Command("dd", "if=/dev/zero", "of="+path, "bs=4k").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "No space left") {
		t.Fatalf("the disk is not full: %v %s", err, out)
	}
}

// A store of documents that takes what it is given, but so slowly that nothing comes to its end.
func TestDrillSlowBlobStore(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	slow := delay(t, strings.TrimPrefix(server.Endpoint, "http://"))
	d := startDrill(t, "--blob", s3test.URL("http://"+slow.lis.Addr().String()))
	d.run("pause", "--function", "watermark.Stamp")
	id := d.send()
	d.why(id, "paused", "watermark.Stamp")
	slow.stop()
	d.run("resume", "--function", "watermark.Stamp")
	d.why("Ada Lovelace", "slow", "the copy of call-sheet-day-12.pdf is being worked on by watermark@", "it reads and writes documents, so the blob store may be slow", "filigree top")
	slow.goOn()
	d.await("state       completed", "status", id)
}

// A rule that cannot work is refused with what is wrong with it, and one that fails on what it looks at says so.
func TestDrillBadRule(t *testing.T) {
	t.Parallel()
	d := startDrill(t)
	bad := d.write("bad.yaml", "- name: bad\n  title: Bad\n  on: function\n  when: raedy > 0\n")
	command(t, d.env, "rule", "apply", bad).exits(t, "a rule with a name that is not there", 1, "(RULE_INVALID)", "raedy")
	failing := d.write("failing.yaml", "- name: failing-rule\n  title: Failing\n  on: function\n  when: 1 / (ready - ready) > 0\n")
	d.run("rule", "apply", failing)
	d.await("division by zero", "rule", "list")
}

// Redis is lost while something is under way.
func TestDrillLostRedis(t *testing.T) {
	t.Parallel()
	d := startDrill(t)
	d.run("pause", "--function", "email.Send")
	id := d.send()
	d.why("Ada Lovelace", "paused", "email.Send")
	pid := d.site.redis()
	err := syscall.Kill(pid, syscall.SIGSTOP)
	if err != nil {
		t.Fatal(err)
	}
	back := func() { _ = syscall.Kill(pid, syscall.SIGCONT) } // it may have been let go on already
	t.Cleanup(back)
	d.why("Ada Lovelace", "redis_down", "Redis is not reached since", "nothing moves on", "Start Redis")
	back()
	d.run("resume", "--function", "email.Send")
	d.await("state       completed", "status", id)
}

// Whoever may not act in a production hears nothing of its people, by whatever they ask; whoever may is told by REST as well.
func TestWhyIsOnesOwn(t *testing.T) {
	t.Parallel()
	d := startDrill(t)
	d.run("pause", "--function", "email.Send")
	id := d.send()
	d.why("Ada Lovelace", "paused", "email.Send")
	d.run("production", "create", "Other", "--id", "other")
	var made struct{ Token string }
	d.document(&made, "token", "create", "--role", "coordinator", "--production", "other")
	stranger := system{url: d.site.system().url, tokens: map[string]string{"coordinator": made.Token}}
	for _, args := range [][]string{{"why", "Ada Lovelace"}, {"why", "ada@example.com"}, {"why", id}, {"why", id + ".r1"}, {"why", "call-sheet-day-12.pdf"}, {"why", "r1", "--in", id}} {
		stranger.cli(t, args...).exits(t, strings.Join(args, " "), 1, "(NOTHING_FOUND)")
	}
	stranger.cli(t, "why", "Ada", "--production", "default").exits(t, "why in a production of others", 1, "(PRODUCTION_UNKNOWN)")
	stranger.cli(t, "failures", id).exits(t, "failures of others", 1, "(PRODUCTION_UNKNOWN)")
	stranger.cli(t, "failures").exits(t, "failures of one's own", 0, "nothing fails")

	c := d.site.system().api("coordinator")
	for _, unit := range []string{"d", "f1", "r1", "i1.1"} {
		got := &observerv1.GetStoryResponse{}
		err := c.get("/distributions/"+id+"/units/"+unit+"/story", got)
		if err != nil {
			t.Fatal(err)
		}
		if s := got.GetStory(); len(s.GetChapters()) == 0 || len(s.GetTraceId()) != 32 || s.GetUnit() != unit {
			t.Errorf("the story of %s is %v", unit, s)
		}
	}
	_, err := c.do("GET", "/v1/productions/default/distributions/"+id+"/units/r99/story", nil, nil)
	refusedAs(t, "a story of nobody", err, 404, "UNIT_UNKNOWN")
}
