package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// With every orchestrator killed, what became of things is told on by another process, and it says so; with the observer
// killed, distributions go on, and are looked at through the orchestrator.
func TestLookingOnWithoutOrchestratorsAndSendingWithoutAnObserver(t *testing.T) {
	f := startFleet(t, false, false)
	s := f.system()
	people := filepath.Join(t.TempDir(), "people.csv")
	var list strings.Builder
	list.WriteString("name,email\n")
	for i := range 10 {
		fmt.Fprintf(&list, "Person %d,p%d@example.com\n", i+1, i+1)
	}
	err := os.WriteFile(people, []byte(list.String()), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	docs, _ := sampleDocuments(t)
	paper := filepath.Join(t.TempDir(), "pages.pdf")
	err = os.WriteFile(paper, docs[0].data, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	send := func() string {
		got := s.cli(t, "send", "--file", paper, "--to", people, "--title", "Pages", "--wait=2m", "--json")
		got.exits(t, "send", 0)
		var d struct{ ID string }
		err := json.Unmarshal([]byte(got.stdout), &d)
		if err != nil {
			t.Fatal(err)
		}
		return d.ID
	}
	id := send()
	f.kill("orchestrator-0")
	f.kill("orchestrator-1")
	note := regexp.MustCompile(`no orchestrator answers since \d\d:\d\d:\d\d; nothing moves on until one does`)
	await(t, time.Minute, "it is said that no orchestrator answers", func() (bool, error) {
		got := s.cli(t, "status", id)
		return got.code == 0 && note.MatchString(got.stderr), fmt.Errorf("%d %s%s", got.code, got.stdout, got.stderr)
	})
	for _, look := range [][]string{{"status", id}, {"items", id}, {"recipients", id}, {"events", id}, {"list"}, {"graph", id}, {"functions"}, {"overview"}} {
		got := s.cli(t, look...)
		got.exits(t, strings.Join(look, " "), 0)
		if !note.MatchString(got.stdout + got.stderr) {
			t.Errorf("filigree %s does not say that no orchestrator answers:\n%s%s", strings.Join(look, " "), got.stdout, got.stderr)
		}
	}
	f.start("orchestrator", 0)
	f.start("orchestrator", 1)
	f.kill("observer-0")
	id = send()
	s.cli(t, "status", id).exits(t, "status without an observer", 0, "completed", "10 done")
	s.cli(t, "overview").exits(t, "overview without an observer", 1)
	f.start("observer", 0)
	s.cli(t, "status", id).exits(t, "status with an observer again", 0, "completed", "10 done")
}

// A program that is none of ours copies a folder, and is found by what it said of it.
func TestAProgramReportsARunByREST(t *testing.T) {
	s := start(t).system()
	from, to := t.TempDir(), t.TempDir()
	for i := range 5 {
		err := os.WriteFile(filepath.Join(from, fmt.Sprint(i, ".txt")), []byte("page"), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	program := buildProgram(t, examples+"/observe", "observe")
	run := func(id, to string) error {
		cmd := exec.Command(program, "--id", id, from, to)
		cmd.Env = append(os.Environ(), "FILIGREE_URL="+s.url, "FILIGREE_TOKEN="+s.tokens["coordinator"])
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	err := run("backup-1", to)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{base: s.url, token: s.tokens["coordinator"], production: "default"}
	told := func(id string) (got struct {
		State, Done string
		BytesOut    string `json:"bytes_out"`
		Error       struct{ Code string }
	}) {
		raw, err := c.do("GET", "/v1/productions/default/runs/"+id, nil, nil)
		if err == nil {
			err = json.Unmarshal(raw, &got)
		}
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := told("backup-1"); got.State != "completed" || got.Done != "5" || got.BytesOut != "20" {
		t.Errorf("got %+v", got)
	}
	err = run("backup-2", filepath.Join(to, "nowhere"))
	if got := told("backup-2"); err == nil || got.State != "failed" || got.Error.Code != "FILE_NOT_COPIED" {
		t.Errorf("got %+v, %v", got, err)
	}
}
