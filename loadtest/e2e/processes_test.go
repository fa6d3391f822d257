package e2e_test

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/need"
	"github.com/filigreehq/filigree/pkg/s3test"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// fleet is every service in processes of its own, two of those that there may be many of, on one Redis.
type fleet struct {
	t       *testing.T
	dir     string
	secure  bool
	blob    string
	mail    *mailServer
	ports   map[string][]string // by service: where each replica serves gRPC
	front   string              // where the gateway serves
	links   string              // where recipients are served
	token   string              // of role admin
	counts  map[string]int      // replicas that are not as many as usual
	running map[string]*exec.Cmd
	gone    map[string]chan struct{}
	mu      sync.Mutex
}

// replicas says how many there are of each service, in an order in which each finds what it needs at start.
var replicas = []struct {
	service string
	n       int
}{
	{"link", 2}, {"watermark", 2}, {"directory", 2}, {"orchestrator", 2}, {"thumbnail", 2}, {"email", 2}, {"push", 2}, {"observer", 1}, {"gateway", 1},
}

// startFleet starts everything. secure is mutual TLS between services; s3 keeps documents in a real S3 server.
func startFleet(t *testing.T, secure, s3 bool) *fleet {
	t.Helper()
	return startFleetOf(t, secure, s3, nil)
}

// startFleetOf starts other numbers of some services than usual.
func startFleetOf(t *testing.T, secure, s3 bool, counts map[string]int) *fleet {
	t.Helper()
	need.Programs(t, "redis-server")
	f := &fleet{t: t, dir: t.TempDir(), secure: secure, counts: counts, ports: map[string][]string{}, running: map[string]*exec.Cmd{}, gone: map[string]chan struct{}{}}
	f.mail = serveMail(t, nil)
	f.blob = filepath.Join(f.dir, "blobs")
	if s3 {
		f.blob = s3test.New(t)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	f.token = "fg_" + base64.RawURLEncoding.EncodeToString(secret)
	ring, err := json.Marshal(map[string]any{"active": 1, "keys": map[string]string{"1": base64.StdEncoding.EncodeToString(secret)}})
	if err != nil {
		t.Fatal(err)
	}
	f.write("keys.json", ring)
	if secure {
		f.certificates()
	}
	for _, r := range replicas {
		for range f.count(r.service, r.n) {
			f.ports[r.service] = append(f.ports[r.service], freePort(t))
		}
	}
	f.front, f.links = freePort(t), freePort(t)
	t.Cleanup(f.stop)
	f.startRedis()
	for _, r := range replicas {
		for i := range f.count(r.service, r.n) {
			f.start(r.service, i)
		}
	}
	return f
}

// count is how many replicas there are of a service that usually has so many.
func (f *fleet) count(service string, usually int) int {
	n, other := f.counts[service]
	if other {
		return n
	}
	return usually
}

func (f *fleet) write(name string, data []byte) {
	err := os.WriteFile(filepath.Join(f.dir, name), data, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
}

// given are the ports that freePort has handed out.
var given sync.Map

// freePort finds a port that nobody has, below those that the kernel gives to whoever asks for any.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprint("127.0.0.1:", 12000+mathrand.IntN(18000))
		_, taken := given.LoadOrStore(address, true)
		if taken {
			continue
		}
		lis, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		_ = lis.Close() // it was only tried
		return address
	}
	t.Fatal("no free port was found")
	return ""
}

func (f *fleet) socket() string { return filepath.Join(f.dir, "redis.sock") }

func (f *fleet) startRedis() {
	f.t.Helper()
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", f.socket(), "--dir", f.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
	f.spawn("redis-0", cmd, nil)
	await(f.t, 20*time.Second, "redis-server answers", func() (bool, error) {
		conn, err := net.Dial("unix", f.socket())
		if err != nil {
			return false, err
		}
		defer conn.Close()
		_, err = fmt.Fprint(conn, "PING\r\n")
		if err != nil {
			return false, err
		}
		answer, err := bufio.NewReader(conn).ReadString('\n')
		return strings.HasPrefix(answer, "+PONG"), err
	})
}

// flags are those that a service needs to find the others.
func (f *fleet) flags(service string, i int) []string {
	at := func(name string) string { return strings.Join(f.ports[name], ",") }
	flags := []string{"--listen", f.ports[service][i], "--log-level", "info"}
	if f.secure {
		flags = append(flags, "--tls-ca", filepath.Join(f.dir, "ca.pem"),
			"--tls-cert", filepath.Join(f.dir, service+".pem"), "--tls-key", filepath.Join(f.dir, service+".key"))
	}
	for _, need := range []struct {
		flag, value string
		services    []string
	}{
		{"--redis", "unix://" + f.socket(), []string{"orchestrator", "directory", "link", "observer"}},
		{"--keys", filepath.Join(f.dir, "keys.json"), []string{"directory", "watermark", "link", "observer"}},
		{"--blob", f.blob, []string{"directory", "watermark", "thumbnail", "link", "email", "gateway", "observer"}},
		{"--orchestrator", at("orchestrator"), []string{"watermark", "thumbnail", "link", "email", "push", "gateway", "observer"}},
		{"--directory", at("directory"), []string{"orchestrator", "push", "gateway", "observer"}},
		{"--watermark", at("watermark"), []string{"directory", "thumbnail"}},
		{"--thumbnail", at("thumbnail"), []string{"gateway"}},
		{"--link", at("link"), []string{"orchestrator", "email", "observer"}},
		{"--observer", at("observer"), []string{"gateway", "link"}},
		{"--data", filepath.Join(f.dir, fmt.Sprint("observer-", i)), []string{"observer"}},
		{"--admin-token", f.token, []string{"directory"}},
		{"--smtp", f.mail.url(), []string{"email"}},
		{"--from", "office@example.com", []string{"email"}},
		{"--retry-after", "1s", []string{"email"}},
		{"--hello", helloOf(service, i), []string{"email"}},
	} {
		if slices.Contains(need.services, service) {
			flags = append(flags, need.flag, need.value)
		}
	}
	switch {
	case service == "gateway":
		flags = append(flags, "--addr", f.front)
	case service == "link" && i == 0:
		flags = append(flags, "--addr", f.links)
	case service == "link":
		flags = append(flags, "--addr", "127.0.0.1:0", "--url", "http://"+f.links)
	}
	return flags
}

// helloOf is the name by which the mail server knows a replica.
func helloOf(service string, i int) string { return fmt.Sprint(service, "-", i, ".test") }

// start starts a replica of a service and waits until it is ready.
func (f *fleet) start(service string, i int) {
	f.t.Helper()
	cmd := exec.Command(filepath.Join(filepath.Dir(program), service), f.flags(service, i)...)
	ready := make(chan struct{})
	f.spawn(fmt.Sprint(service, "-", i), cmd, ready)
	select {
	case <-ready:
	case <-f.gone[fmt.Sprint(service, "-", i)]:
		log, _ := os.ReadFile(filepath.Join(f.dir, fmt.Sprint(service, "-", i, ".log")))
		f.t.Fatalf("%s ended before it was ready:\n%s", service, log)
	case <-time.After(2 * time.Minute):
		f.t.Fatalf("%s was not ready within 2 minutes", service)
	}
}

// spawn runs cmd under name, its words in a file; ready, if not nil, is closed when it says "ready".
func (f *fleet) spawn(name string, cmd *exec.Cmd, ready chan struct{}) {
	f.t.Helper()
	log, err := os.OpenFile(filepath.Join(f.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	err = cmd.Start()
	if err != nil {
		f.t.Fatalf("start %s: %v", name, err)
	}
	gone := make(chan struct{})
	f.mu.Lock()
	f.running[name], f.gone[name] = cmd, gone
	f.mu.Unlock()
	go func() {
		defer close(gone)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if ready != nil && strings.HasPrefix(lines.Text(), "ready ") {
				close(ready)
				ready = nil
			}
		}
		_ = cmd.Wait() // killed, as often as not
		_ = log.Close()
	}()
}

// kill ends a process as kill -9 does.
func (f *fleet) kill(name string) {
	f.mu.Lock()
	cmd, gone := f.running[name], f.gone[name]
	f.mu.Unlock()
	_ = cmd.Process.Kill() // already gone is as good
	<-gone
}

// signal sends a signal to a process.
func (f *fleet) signal(name string, s os.Signal) {
	f.t.Helper()
	f.mu.Lock()
	cmd := f.running[name]
	f.mu.Unlock()
	err := cmd.Process.Signal(s)
	if err != nil {
		f.t.Errorf("send %v to %s: %v", s, name, err)
	}
}

// stop ends everything, in order, and tells what a failed test may want to know.
func (f *fleet) stop() {
	for i := len(replicas) - 1; i >= 0; i-- {
		for n := range f.count(replicas[i].service, replicas[i].n) {
			name := fmt.Sprint(replicas[i].service, "-", n)
			cmd := f.running[name]
			if cmd == nil {
				continue
			}
			_ = cmd.Process.Signal(os.Interrupt) // already gone is as good
			select {
			case <-f.gone[name]:
			case <-time.After(time.Minute):
				f.t.Errorf("%s did not stop within a minute", name)
				f.kill(name)
			}
		}
	}
	if f.running["redis-0"] != nil {
		f.kill("redis-0")
	}
	if !f.t.Failed() {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(f.dir, "*.log"))
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		f.t.Logf("last words of %s:\n%s", filepath.Base(path), text[max(0, len(text)-1500):])
	}
}

// system is the fleet as the suite sees it.
func (f *fleet) system() system {
	f.t.Helper()
	s := system{url: "http://" + f.front, tokens: map[string]string{"admin": f.token}, box: f.mail.box}
	for _, role := range []string{"coordinator", "oncall"} {
		s.tokens[role] = f.makeToken(role)
	}
	return s
}

func (f *fleet) makeToken(role string) string {
	f.t.Helper()
	admin := &client{base: "http://" + f.front, token: f.token, production: "default"}
	answer, err := admin.do("POST", "/v1/tokens", []byte(`{"role":"`+role+`","productions":["*"]}`), map[string]string{"Content-Type": "application/json"})
	if err != nil {
		f.t.Fatal(err)
	}
	var made struct {
		Token string `json:"token"`
	}
	err = json.Unmarshal(answer, &made)
	if err != nil || made.Token == "" {
		f.t.Fatalf("token of role %s: %s, %v", role, answer, err)
	}
	return made.Token
}

// One of every kind of process dies in the middle of 200 items, and Redis, too: every item ends once, everybody has
// their mail.
func TestFleetLosesOneOfEachKind(t *testing.T) {
	f := startFleet(t, false, false)
	s := f.system()
	docs, _ := sampleDocuments(t)
	for n := range 7 { // ten files
		docs = append(docs, document{fmt.Sprint("copy-", n, ".pdf"), "", append(slices.Clone(docs[1].data), fmt.Sprint("\n% ", n, "\n")...)})
	}
	req, id := order(t, s.api("coordinator"), docs, &distributionv1.CreateDistributionRequest{Recipients: crowd(20)})
	c := s.api("coordinator")
	for i, victim := range []string{"orchestrator-0", "watermark-0", "link-0", "email-0", "thumbnail-0", "push-0", "directory-0", "redis-0"} {
		reached := int32(10 + 20*i)
		await(t, 2*time.Minute, fmt.Sprint(reached, " copies are made"), func() (bool, error) {
			d, err := c.distribution(id)
			if err != nil {
				return false, err
			}
			return d.GetSteps()[1].GetDone() >= reached || d.GetEndedAt() != nil, nil
		})
		f.kill(victim)
		service, _, _ := strings.Cut(victim, "-")
		if service == "redis" {
			f.startRedis()
		} else if service != "orchestrator" && service != "watermark" {
			f.start(service, 0)
		}
	}
	judged(t, s, req, id, 3*time.Minute)
}
