package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/need"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

const examples = "../../pkg/worker/example"

// foreign is a worker of somebody's own, in a process of its own.
type foreign struct {
	t     *testing.T
	cmd   *exec.Cmd
	words *bytes.Buffer
	gone  chan error
	once  sync.Once
}

// startForeign starts a worker and waits until it says "ready" if it says such things. When the test ends it is told to
// end, which must go cleanly.
func startForeign(t *testing.T, says bool, program string, args ...string) *foreign {
	t.Helper()
	f := &foreign{t: t, cmd: exec.Command(program, args...), words: &bytes.Buffer{}, gone: make(chan error, 1)}
	f.cmd.Stderr = f.words
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = f.cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.stop)
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewReader(out)
		line, err := lines.ReadString('\n')
		if err == nil && strings.HasPrefix(line, "ready ") {
			close(ready)
		}
		_, _ = io.Copy(io.Discard, lines)
		f.gone <- f.cmd.Wait()
	}()
	if says {
		select {
		case <-ready:
		case <-time.After(2 * time.Minute):
			t.Fatalf("%s is not ready after 2 min", program)
		}
	}
	return f
}

// terminate tells the worker to end and does not wait.
func (f *foreign) terminate() {
	err := f.cmd.Process.Signal(syscall.SIGTERM)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		f.t.Errorf("stop %s: %v", f.cmd.Path, err)
	}
}

// stop ends the worker; again it does nothing.
func (f *foreign) stop() {
	f.once.Do(func() {
		f.terminate()
		select {
		case err := <-f.gone:
			if err != nil {
				f.t.Errorf("%s ended with %v after SIGTERM, want no error:\n%s", f.cmd.Path, err, f.words)
			}
		case <-time.After(2 * time.Minute):
			_ = f.cmd.Process.Kill() // it has been told off
			f.t.Errorf("%s goes on 2 min after SIGTERM", f.cmd.Path)
			<-f.gone
		}
	})
}

// buildProgram builds the program in folder pkg.
func buildProgram(t *testing.T, pkg, name string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	out, err := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "./"+pkg)...).CombinedOutput()
	if err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return path
}

// python is one that can speak gRPC.
func python(t *testing.T) string {
	t.Helper()
	var errs error
	for _, path := range []string{"/usr/bin/python3", "python3"} {
		err := exec.Command(path, "-c", "import grpc, google.protobuf").Run()
		if err == nil {
			return path
		}
		errs = errors.Join(errs, fmt.Errorf("%s: %w", path, err))
	}
	need.Working(t, "Python with grpcio and protobuf", errs)
	return ""
}

// workerAddr is where a site's tasks are fetched.
func (s *site) workerAddr() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "credentials.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	var c struct {
		Addr string `json:"worker_addr"`
	}
	err = json.Unmarshal(text, &c)
	if err != nil || c.Addr == "" {
		s.t.Fatalf("credentials.json names no worker_addr (%v)", err)
	}
	return c.Addr
}

// define stores a definition: the example's, with each old of oldnew replaced by the new after it.
func (s *site) define(oldnew ...string) {
	s.t.Helper()
	source, err := os.ReadFile(examples + "/countersign/countersign.yaml")
	if err != nil {
		s.t.Fatal(err)
	}
	body, err := json.Marshal(map[string]string{"source": strings.NewReplacer(oldnew...).Replace(string(source))})
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = s.system().api("admin").do(http.MethodPost, "/v1/definitions", body, nil)
	if err != nil {
		s.t.Fatalf("store the definition: %v", err)
	}
}

// A step of somebody's own, in Go and in Python, runs for every copy before it is mailed.
func TestFunctionsOfOnesOwn(t *testing.T) {
	t.Parallel()
	ledgers := python(t)
	s := start(t, "--worker-addr", "127.0.0.1:0")
	dir := t.TempDir()
	key, book, ledger := filepath.Join(dir, "key"), filepath.Join(dir, "book"), filepath.Join(dir, "ledger.csv")
	seed := bytes.Repeat([]byte("seed"), ed25519.SeedSize/4)
	err := os.WriteFile(key, seed, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	startForeign(t, true, buildProgram(t, examples+"/countersign", "countersign"), "--orchestrator", s.workerAddr(), "--key", key, "--book", book)
	startForeign(t, false, ledgers, examples+"/python/ledger.py", s.workerAddr(), ledger)
	s.define()
	s.define("send-countersigned", "send-entered", "example.Countersign", "example.Ledger")

	docs, _ := sampleDocuments(t)
	c := s.system().api("coordinator")
	bySigner, signed := order(t, c, docs[1:], &distributionv1.CreateDistributionRequest{Recipients: crowd(7), Definition: "send-countersigned"})
	byLedger, entered := order(t, c, docs[1:], &distributionv1.CreateDistributionRequest{Recipients: crowd(7), Definition: "send-entered"})
	a := judged(t, s.system(), bySigner, signed, time.Minute)
	if len(a.Mails) != 7 {
		t.Errorf("%d mails, want 7", len(a.Mails))
	}
	judged(t, s.system(), byLedger, entered, time.Minute)

	checkEntries(t, c, signed, readBook(t, book, ed25519.NewKeyFromSeed(seed)))
	file, err := os.Open(ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string][]string{}
	for _, row := range rows {
		entries[row[0]] = row[1:]
	}
	checkEntries(t, c, entered, entries)
	for id, worker := range map[string]string{signed: "countersign@", entered: "ledger@"} {
		beforeMail(t, c, id, worker, 7)
	}
}

// readBook reads what countersign has entered, by item, and checks each signature.
func readBook(t *testing.T, path string, key ed25519.PrivateKey) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		signature, said, _ := strings.Cut(strings.TrimSpace(line), " ")
		raw, err := base64.StdEncoding.DecodeString(signature)
		if err != nil || !ed25519.Verify(key.Public().(ed25519.PublicKey), []byte(said), raw) {
			t.Errorf("the signature of %s is not right (%v)", said, err)
		}
		var e struct{ Item, File, Name, Email, SHA256 string }
		err = json.Unmarshal([]byte(said), &e)
		if err != nil {
			t.Fatal(err)
		}
		entries[e.Item] = []string{e.File, e.Name, e.Email, e.SHA256}
	}
	return entries
}

// checkEntries checks that each item of a distribution was entered, with what its copy is.
func checkEntries(t *testing.T, c *client, id string, entries map[string][]string) {
	t.Helper()
	items, err := c.items(id, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		want := []string{i.GetFile().GetName(), i.GetRecipient().GetName(), i.GetRecipient().GetEmail(), i.GetSha256()}
		if got := entries[i.GetId()]; strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("item %s is entered as %q, want %q", i.GetId(), got, want)
		}
	}
	if len(items) != 14 || len(entries) != 14 {
		t.Errorf("%d items and %d entries, want 14 of each", len(items), len(entries))
	}
}

// beforeMail checks that worker did the step of each item once, before the recipient's mail began.
func beforeMail(t *testing.T, c *client, id, worker string, recipients int) {
	t.Helper()
	events, err := c.events(id, 1000)
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]int{} // by recipient: items whose step has not ended
	for _, e := range events {
		if e.GetKind() != "attempt" {
			continue
		}
		_, recipient, _ := strings.Cut(e.GetUnit(), ".")
		switch e.GetStep() {
		case "watermark":
			open["r"+recipient]++
		case "countersign":
			if !strings.HasPrefix(e.GetWorker(), worker) || e.GetState() != "done" {
				t.Errorf("the step of %s is %s by %s, want done by %s…", e.GetUnit(), e.GetState(), e.GetWorker(), worker)
			}
			open["r"+recipient]--
		case "email":
			left, known := open[e.GetUnit()]
			if left != 0 || !known {
				t.Errorf("%s was sent a mail before %d of their copies were entered", e.GetUnit(), left)
			}
		}
	}
	if len(open) != recipients {
		t.Errorf("copies for %d recipients, want %d", len(open), recipients)
	}
}

// With certificates a worker must be the one that it says it is; without, nobody beyond this machine is served.
func TestWorkersProveWhoTheyAre(t *testing.T) {
	t.Parallel()
	need.Programs(t, "openssl")
	got := command(t, nil, "up", "--data", t.TempDir(), "--addr", "127.0.0.1:0", "--worker-addr", "0.0.0.0:0")
	got.exits(t, "up for workers elsewhere without TLS", 1, "--worker-tls-ca")

	tls := t.TempDir()
	out, err := exec.Command("../../deploy/certs.sh", tls, "orchestrator", "countersign", "email").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files := func(prefix, service string) []string {
		return []string{prefix + "ca", tls + "/ca.crt", prefix + "cert", tls + "/" + service + "/tls.crt", prefix + "key", tls + "/" + service + "/tls.key"}
	}
	s := start(t, append([]string{"--worker-addr", "127.0.0.1:0"}, files("--worker-tls-", "orchestrator")...)...)
	s.define()
	program := buildProgram(t, examples+"/countersign", "countersign")
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	err = os.WriteFile(key, make([]byte, ed25519.SeedSize), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--orchestrator", s.workerAddr(), "--key", key, "--book", filepath.Join(dir, "book")}
	plain := startForeign(t, true, program, args...)
	other := startForeign(t, true, program, append(args, files("--tls-", "email")...)...)

	docs, _ := sampleDocuments(t)
	c := s.system().api("coordinator")
	req, id := order(t, c, docs[1:2], &distributionv1.CreateDistributionRequest{Recipients: crowd(2), Definition: "send-countersigned"})
	await(t, time.Minute, "the copies are made", func() (bool, error) {
		items, err := c.items(id, 100)
		return len(items) == 2 && items[0].GetSha256() != "" && items[1].GetSha256() != "", err
	})
	plain.stop()
	other.stop()
	for who, words := range map[*foreign]string{plain: "pull failed", other: "PEER_MISMATCH"} {
		if !strings.Contains(who.words.String(), words) {
			t.Errorf("a worker that is not to be believed says nothing of %s:\n%s", words, who.words)
		}
	}
	startForeign(t, true, program, append(args, files("--tls-", "countersign")...)...)
	judged(t, s.system(), req, id, time.Minute)
	beforeMail(t, c, id, "countersign@", 2)
}

var pid = regexp.MustCompile(`^count@[^/]*/(\d+)/`)

// While one build of a worker replaces the other, and one version of a definition the other, nothing fails: each step is
// run by a build that serves the function its distribution's version names.
func TestRollingDeployment(t *testing.T) {
	t.Parallel()
	s := start(t, "--worker-addr", "127.0.0.1:0")
	builds := map[string]string{} // by process
	programs := map[string]string{
		"1": buildProgram(t, "testdata/count", "count", "-ldflags", "-X main.version=1"),
		"2": buildProgram(t, "testdata/count", "count", "-ldflags", "-X main.version=2"),
	}
	run := func(build string) *foreign {
		f := startForeign(t, true, programs[build], "--orchestrator", s.workerAddr())
		builds[strconv.Itoa(f.cmd.Process.Pid)] = build
		return f
	}
	with := []string{"send-countersigned", "send-counted", "name: countersign", "name: count", "[countersign]", "[count]",
		"steps.countersign.", "steps.count.", "sha256: steps.watermark.output.artifact.sha256", "pages: steps.watermark.output.artifact.pages"}
	c := s.system().api("coordinator")
	docs, _ := sampleDocuments(t)
	type sent struct {
		when    string
		version int32
		req     *distributionv1.CreateDistributionRequest
		id      string
	}
	var all []sent
	send := func(when string, version int32) string {
		req, id := order(t, c, docs[1:], &distributionv1.CreateDistributionRequest{Recipients: crowd(20), Definition: "send-counted", DefinitionVersion: version})
		all = append(all, sent{when, version, req, id})
		return id
	}
	counting := func(id string, n int) {
		t.Helper()
		await(t, time.Minute, "some are counted", func() (bool, error) {
			events, err := c.events(id, 1000)
			done := 0
			for _, e := range events {
				if e.GetStep() == "count" {
					done++
				}
			}
			return done >= n, err
		})
	}

	s.define(append(with, "example.Countersign", "example.Count")...)
	old1, old2 := run("1"), run("1")
	before := send("before", 1)
	counting(before, 5)
	run("2")
	s.define(append(with, "version: 1", "version: 2", "example.Countersign", "example.Count@2")...)
	during := send("during", 1)
	send("during", 2)
	counting(during, 2)
	old1.stop() // in the middle
	run("2")
	old2.stop()
	send("after", 1)
	send("after", 0) // the newest

	by := map[string]map[int32]int{"1": {}, "2": {}}
	for _, d := range all {
		a := judged(t, s.system(), d.req, d.id, 2*time.Minute)
		got := a.Distribution.GetDefinition().GetVersion()
		want := d.version
		if want == 0 {
			want = 2
		}
		if got != want {
			t.Errorf("the one sent %s runs version %d, want %d", d.when, got, want)
		}
		done := 0
		for _, e := range a.Events {
			if e.GetKind() == "attempt" && e.GetError() != nil {
				t.Errorf("sent %s by version %d: %s of %s failed by %s: %v", d.when, got, e.GetStep(), e.GetUnit(), e.GetWorker(), e.GetError())
			}
			if e.GetStep() != "count" || e.GetState() != "done" {
				continue
			}
			m := pid.FindStringSubmatch(e.GetWorker())
			if m == nil || builds[m[1]] == "" {
				t.Fatalf("counted by %q, which is none of the builds", e.GetWorker())
			}
			done++
			by[builds[m[1]]][got]++
		}
		if done != 40 {
			t.Errorf("sent %s by version %d: %d of 40 items are counted", d.when, got, done)
		}
	}
	t.Logf("steps by build and version of the definition: %v", by)
	if by["1"][2] != 0 {
		t.Errorf("the old build ran %d steps of a function that it does not serve", by["1"][2])
	}
	if by["1"][1] == 0 || by["2"][1] == 0 || by["2"][2] == 0 {
		t.Errorf("steps by build and version of the definition: %v, want some by the old build, and by the new one of both versions", by)
	}
}
