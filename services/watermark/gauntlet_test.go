package watermark_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/services/watermark"
)

// The gauntlet sends damaged files through a service in a process of its own and has the copies judged by programs that
// are not ours. What it is told by the environment:
//
//	FILIGREE_CORPUS    a folder of PDFs; without it, some documents made here are damaged instead
//	FILIGREE_MUTANTS   how many mutants, each copy judged; make gauntlet has 20,000. Without it there are 500 (100 with
//	                   -short), and every second copy is judged
//	FILIGREE_SEED      another choice of accidents (default 1)
//	FILIGREE_MUTANT    "NAME NUMBER": this one only, with everything the judges say
//	FILIGREE_KEEP      a folder where mutants that something was found against are put, and their copies
//
// Limits that no file may break, measured from outside.
const (
	mostCPU    = 5 * time.Second // of any child
	mostSpent  = 8 * mostCPU     // of all children that one file costs: four that read and repair it, two that render, two that prove
	mostMemory = 512 << 20       // of any child
	mostWall   = 2 * time.Minute
)

// disputes is the share of copies of damaged files that two readers may agree to be unlike their source; faults is the
// share of copies of files of which nobody complains, accidents notwithstanding.
const (
	disputes = 0.05
	faults   = 0.01
)

// serviceEnv makes this test's program a service, with a process's life of its own.
const serviceEnv = "FILIGREE_GAUNTLET_SERVICE"

// A call asks the service for a copy of one file; an answer says what it cost, by the kernel's count.
type call struct {
	Src, Dst string
}

type answer struct {
	Reason    string // empty when there is a copy
	Transient bool
	Message   string
	Pages     int
	CPU       time.Duration // of the children of this call
	ChildRSS  int64         // the largest child so far, in bytes
	OwnRSS    int64         // of the service, so far
	Wall      time.Duration
}

// serve is the service: it answers a line for each line.
func serve() int {
	err := answerCalls(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func answerCalls(from io.Reader, to io.Writer) error {
	keys, err := keyring.LoadOrCreate(os.Getenv(serviceEnv))
	if err != nil {
		return err
	}
	cfg := watermark.DefaultConfig()
	cfg.Parallel = 1 // so that what children cost is this call's
	local, err := watermark.NewLocal(cfg, keys, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var c call
		err := json.Unmarshal(lines.Bytes(), &c)
		if err != nil {
			return err
		}
		before, started := usage(syscall.RUSAGE_CHILDREN), time.Now()
		made, err := stampFile(context.Background(), local, c.Src, c.Dst, watermark.Copy{Fields: somebody})
		after := usage(syscall.RUSAGE_CHILDREN)
		a := answer{
			Pages: made.Pages, CPU: spent(after) - spent(before), Wall: time.Since(started),
			ChildRSS: after.Maxrss << 10, OwnRSS: peak(), // Linux counts in KiB
		}
		if err != nil {
			a.Reason, a.Message = "no fault", err.Error()
			var f *fault.Error
			if errors.As(err, &f) {
				a.Reason, a.Transient = f.Reason, f.Transient()
			}
		}
		line, err := json.Marshal(a)
		if err != nil {
			return err
		}
		_, err = to.Write(append(line, '\n'))
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

func usage(who int) syscall.Rusage {
	var u syscall.Rusage
	err := syscall.Getrusage(who, &u)
	if err != nil {
		panic(err) // there are no other arguments
	}
	return u
}

func spent(u syscall.Rusage) time.Duration {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// service is a running one.
type service struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	said  *bytes.Buffer
	calls int
}

func startService(keys string) (*service, error) {
	s := &service{cmd: exec.Command(os.Args[0]), said: &bytes.Buffer{}}
	s.cmd.Env = append(os.Environ(), serviceEnv+"="+keys)
	s.cmd.Stderr = s.said
	var err error
	s.in, err = s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	return s, s.cmd.Start()
}

// ask returns the service's answer. After an error the service is gone.
func (s *service) ask(c call) (answer, error) {
	s.calls++
	line, err := json.Marshal(c)
	if err != nil {
		return answer{}, err
	}
	hung := time.AfterFunc(mostWall, func() { _ = s.cmd.Process.Kill() }) // gone already is as good
	_, err = s.in.Write(append(line, '\n'))
	var a answer
	if err == nil {
		line, err = s.out.ReadBytes('\n')
	}
	if !hung.Stop() {
		err = errors.Join(err, fmt.Errorf("no answer within %s", mostWall))
	}
	if err == nil {
		err = json.Unmarshal(line, &a)
	}
	if err != nil {
		_ = s.cmd.Process.Kill() // gone already is as good
		return a, fmt.Errorf("%w; the service ended: %v; it said: %.2000s", err, s.cmd.Wait(), s.said)
	}
	return a, nil
}

func (s *service) stop() error {
	return errors.Join(s.in.Close(), s.cmd.Wait())
}

// runner is one of the gauntlet's processes with what it counts.
type runner struct {
	t    *testing.T
	keys string
	keep string
	skip bool // leaves out every second judgement

	mu       sync.Mutex
	ran      int
	outcomes map[string]int            // stamped, or a reason
	rules    map[string]int            // findings of judges, by rule
	stories  map[string]map[string]int // outcomes by accident
	stamped  int
	judged   int
	sound    int // of these, copies of files that nobody complains of
	faulty   int // of these, copies that judges find fault with
	disputed int // and of the others
	cpu      []time.Duration
	childRSS int64
	ownRSS   int64
	examples map[string][]string
}

type trial struct {
	name  string
	k     int
	story string
	data  []byte
}

func (tr trial) String() string { return fmt.Sprintf("%q %d (%s)", tr.name, tr.k, tr.story) }

// wrong reports what must not be.
func (r *runner) wrong(tr trial, format string, args ...any) {
	r.t.Errorf("%s: %s", tr, fmt.Sprintf(format, args...))
	r.save(tr)
}

func (r *runner) save(tr trial) {
	if r.keep == "" {
		return
	}
	err := os.WriteFile(filepath.Join(r.keep, fmt.Sprintf("%.40s-%d.pdf", tr.name, tr.k)), tr.data, 0o600)
	if err != nil {
		r.t.Error(err)
	}
}

// try sends one mutant through.
func (r *runner) try(s *service, tr trial, most int) (alive bool) {
	dir, err := os.MkdirTemp("", "gauntlet-*")
	if err != nil {
		r.t.Error(err)
		return true
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	src, out := filepath.Join(dir, "source.pdf"), filepath.Join(dir, "copy.pdf")
	err = os.WriteFile(src, tr.data, 0o600)
	if err != nil {
		r.t.Error(err)
		return true
	}
	w := watchChildren(s.cmd.Process.Pid)
	a, err := s.ask(call{src, out})
	w.stop()
	if err != nil {
		r.wrong(tr, "the service crashed: %v", err)
		return false
	}
	alive = r.account(tr, a, w)
	if a.Reason != "" {
		return alive
	}
	info, err := os.Stat(out)
	if err != nil {
		r.wrong(tr, "%v", err)
		return alive
	}
	c := court{ctx: r.t.Context(), dir: dir, most: most}
	if info.Size() > longest(int64(len(tr.data))) && !r.expands(c, src, info.Size()) {
		r.wrong(tr, "a copy of %d bytes from %d", info.Size(), len(tr.data))
	}
	if r.skip && tr.k%2 == 1 {
		return alive
	}
	was, is := c.look(src), c.look(out)
	r.verdict(tr, was.sound(), c.settle(was, is, c.compare(was, is, a.Pages)))
	return alive
}

// account holds an answer against the limits. A service whose largest child was too large is of no further use: the
// kernel keeps the maximum.
func (r *runner) account(tr trial, a answer, w *watch) (usable bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ran++
	if r.ran%1000 == 0 {
		r.t.Logf("%d mutants, %d stamped, %d and %d found fault with", r.ran, r.stamped, r.faulty, r.disputed)
	}
	outcome := a.Reason
	if outcome == "" {
		outcome = "stamped"
		r.stamped++
	}
	r.outcomes[outcome]++
	for _, what := range strings.Split(tr.story, ", ") {
		if r.stories[what] == nil {
			r.stories[what] = map[string]int{}
		}
		r.stories[what][outcome]++
	}
	r.cpu = append(r.cpu, a.CPU)
	r.childRSS, r.ownRSS = max(r.childRSS, a.ChildRSS), max(r.ownRSS, a.OwnRSS)
	if a.Reason != "" && (!allowed.MatchString(a.Reason) || a.Transient) {
		r.wrong(tr, "refused by %s (transient: %t): %s", a.Reason, a.Transient, a.Message)
	}
	// Samples come a little late, and what is killed at five seconds has five.
	if name, most := w.most(); most > mostCPU+mostCPU/20 {
		r.wrong(tr, "a child, %s, took %s of processor time", name, most)
	}
	if a.CPU > mostSpent {
		r.wrong(tr, "it cost %s of processor time", a.CPU)
	}
	if a.ChildRSS > mostMemory {
		r.wrong(tr, "a child had %d MiB of memory; seen were %s", a.ChildRSS>>20, w)
		return false
	}
	if a.OwnRSS > mostMemory {
		r.wrong(tr, "the service has grown to %d MiB", a.OwnRSS>>20)
		return false
	}
	return true
}

// watch looks at a service's children while they run, since the kernel's own count has all of them together.
type watch struct {
	done  chan struct{}
	group sync.WaitGroup
	seen  map[string]usageOf // by number
}

type usageOf struct {
	name   string
	cpu    time.Duration
	memory string
}

func watchChildren(pid int) *watch {
	w := &watch{done: make(chan struct{}), seen: map[string]usageOf{}}
	w.group.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-tick.C:
				w.look(pid)
			}
		}
	})
	return w
}

func (w *watch) stop() {
	close(w.done)
	w.group.Wait()
}

// look reads what /proc says now. A child that is gone meanwhile is left as it was seen last.
func (w *watch) look(pid int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is well formed
	for _, task := range tasks {
		for _, child := range strings.Fields(slurp(task)) {
			_, stat, ok := strings.Cut(slurp("/proc/"+child+"/stat"), ") ")
			f := strings.Fields(stat)
			if !ok || len(f) < 13 {
				continue
			}
			user, err1 := strconv.Atoi(f[11])
			system, err2 := strconv.Atoi(f[12])
			if err1 != nil || err2 != nil {
				continue
			}
			u := usageOf{name: "a reader of ours", memory: w.seen[child].memory, cpu: time.Duration(user+system) * 10 * time.Millisecond} // Linux's clock tick
			if strings.Contains(slurp("/proc/"+child+"/cmdline"), "qpdf\x00") {
				u.name = "qpdf"
			}
			for line := range strings.Lines(slurp("/proc/" + child + "/status")) {
				if strings.HasPrefix(line, "VmHWM:") {
					u.memory = strings.Join(strings.Fields(line)[1:], " ")
				}
			}
			w.seen[child] = u
		}
	}
}

// most returns the child that took the most processor time. The watch must have been stopped.
func (w *watch) most() (string, time.Duration) {
	var most usageOf
	for _, u := range w.seen {
		if u.cpu > most.cpu {
			most = u
		}
	}
	return most.name, most.cpu
}

func (w *watch) String() string {
	var out []string
	for _, u := range w.seen {
		out = append(out, fmt.Sprintf("%s: %s, %s", u.name, u.cpu, u.memory))
	}
	return strings.Join(out, "; ")
}

// peak is the most memory that this process has had. Of what getrusage tells, a part may be that of the process it came
// from.
func peak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kib int64
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscan(after, &kib)
	if err != nil {
		return 0
	}
	return kib << 10
}

// expands reports whether a repair is what makes a copy so long: qpdf's own is no shorter.
func (r *runner) expands(c court, src string, size int64) bool {
	path := filepath.Join(c.dir, "repaired.pdf")
	h := c.ask("qpdf", "--warning-exit-0", "--decode-level=all", "--stream-data=uncompress", src, path)
	info, err := os.Stat(path)
	return h.err == nil && err == nil && size <= longest(info.Size())
}

func (r *runner) verdict(tr trial, sound bool, found []finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.judged++
	of := " (of damaged files)"
	if sound {
		r.sound++
		of = ""
	}
	rules := map[string]bool{}
	for _, f := range found {
		if excused[tr.name][f.rule] != "" { // of the file undamaged, and so of what damage made of it
			continue
		}
		if !rules[f.rule] {
			r.rules[f.rule+of]++
			if len(r.examples[f.rule+of]) < 12 {
				r.examples[f.rule+of] = append(r.examples[f.rule+of], fmt.Sprintf("%s: %.300s", tr, f.detail))
			}
		}
		rules[f.rule] = true
		if slices.Contains(absolute, f.rule) && !relative(f) {
			r.wrong(tr, "%s: %s", f.rule, f.detail)
		}
	}
	if len(rules) == 0 {
		return
	}
	r.save(tr)
	if sound {
		r.faulty++
	} else {
		r.disputed++
	}
}

// relative findings of the absolute rules are those that compare after all.
func relative(f finding) bool { return strings.HasPrefix(f.detail, "the source ") }

func TestGauntlet(t *testing.T) {
	needTools(t)
	newLocal(t) // skips where there are no copies
	number := func(name string, otherwise int) int {
		text := os.Getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			t.Fatalf("%s=%q is no number", name, text)
		}
		return n
	}
	count := 500
	if testing.Short() {
		count = 100
	}
	count = number("FILIGREE_MUTANTS", count)
	seed := uint64(number("FILIGREE_SEED", 1))
	names, files := victims(t)
	trials := make(chan trial)
	r := &runner{
		t: t, keys: filepath.Join(t.TempDir(), "keys.json"), keep: os.Getenv("FILIGREE_KEEP"),
		outcomes: map[string]int{}, rules: map[string]int{}, stories: map[string]map[string]int{}, examples: map[string][]string{},
	}
	newKeysAt(t, r.keys)
	only := os.Getenv("FILIGREE_MUTANT")
	r.skip = os.Getenv("FILIGREE_MUTANTS") == "" && only == ""
	go func() {
		defer close(trials)
		for k := range count {
			i := k % len(names)
			if only != "" {
				name, n, _ := strings.Cut(only, " ")
				i, k = slices.Index(names, name), 0
				_, err := fmt.Sscan(n, &k)
				if err != nil || i < 0 {
					t.Errorf("FILIGREE_MUTANT=%q names no mutant", only)
					return
				}
			}
			data, story := mutate(seed, names[i], k, files[i], files[(i*7+k)%len(files)])
			select {
			case trials <- trial{names[i], k, story, data}:
			case <-t.Context().Done():
				return
			}
			if only != "" {
				return
			}
		}
	}()
	started := time.Now()
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() { r.run(trials) })
	}
	group.Wait()
	r.report(seed, time.Since(started))
}

// run takes trials until there are no more.
func (r *runner) run(trials <-chan trial) {
	var s *service
	for tr := range trials {
		if s == nil {
			var err error
			s, err = startService(r.keys)
			if err != nil {
				r.t.Errorf("start a service: %v", err)
				return
			}
		}
		if !r.try(s, tr, 2) {
			_ = s.stop() // it crashed, or is to be replaced
			s = nil
		}
	}
	if s != nil {
		err := s.stop()
		if err != nil {
			r.t.Errorf("the service's end: %v", err)
		}
	}
}

// report prints the table and checks what holds for all together.
func (r *runner) report(seed uint64, took time.Duration) {
	t := r.t
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%d mutants, seed %d, in %s\n\noutcome\tmutants\n", r.ran, seed, took.Round(time.Second))
	for _, name := range slices.Sorted(maps.Keys(r.outcomes)) {
		fmt.Fprintf(w, "%s\t%d\n", name, r.outcomes[name])
	}
	fmt.Fprintf(w, "\njudges on %d copies\tfound fault with\n", r.judged)
	for _, name := range slices.Sorted(maps.Keys(r.rules)) {
		fmt.Fprintf(w, "%s\t%d\n", name, r.rules[name])
	}
	fmt.Fprintf(w, "%d copies of files nobody complains of\t%d\n%d copies of others\t%d\n", r.sound, r.faulty, r.judged-r.sound, r.disputed)
	if len(r.cpu) > 0 {
		slices.Sort(r.cpu)
		at := func(p float64) time.Duration { return r.cpu[int(p*float64(len(r.cpu)-1))].Round(time.Millisecond) }
		fmt.Fprintf(w, "\nchildren's processor time a file\tp50 %s, p95 %s, p99 %s, most %s\n", at(.5), at(.95), at(.99), at(1))
		fmt.Fprintf(w, "largest child\t%d MiB\nlargest service\t%d MiB\n", r.childRSS>>20, r.ownRSS>>20)
	}
	fmt.Fprintf(w, "\naccident\tstamped\trefused\n")
	for _, name := range slices.Sorted(maps.Keys(r.stories)) {
		n := 0
		for outcome, m := range r.stories[name] {
			if outcome != "stamped" {
				n += m
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%d\n", name, r.stories[name]["stamped"], n)
	}
	err := w.Flush()
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range slices.Sorted(maps.Keys(r.examples)) {
		fmt.Fprintf(&b, "\n%s:\n  %s\n", rule, strings.Join(r.examples[rule], "\n  "))
	}
	t.Log(b.String())
	few := r.judged < 60 // of a few, shares say nothing
	if float64(r.faulty) > faults*float64(r.sound) && !few {
		t.Errorf("judges find fault with %d of %d copies of files of which nobody complains", r.faulty, r.sound)
	}
	if float64(r.disputed) > disputes*float64(r.judged-r.sound) && !few {
		t.Errorf("two readers find %d of %d copies of damaged files unlike them", r.disputed, r.judged-r.sound)
	}
	if r.stamped < r.ran/3 && !few {
		t.Errorf("%d of %d mutants are stamped: that tests too little", r.stamped, r.ran)
	}
}

// victims are the files that are damaged: those of the corpus that are not too long, or else documents made here.
func victims(t *testing.T) (names []string, files [][]byte) {
	t.Helper()
	if os.Getenv("FILIGREE_CORPUS") == "" {
		add := func(name string, s *source) { names, files = append(names, name), append(files, s.bytes()) }
		add("script.pdf", pages(12, "/Lang(en)/PageLabels<</Nums[0<</S/r>>3<</S/D>>]>>", "/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 99 99]/Dest[5 0 R/Fit]>>]"))
		add("page.pdf", onePage("/MediaBox[0 0 612 792]", []byte("q 1 0 0 1 50 50 cm 0 0 100 100 re f Q BI /W 8 /H 8 /IM true ID \x00\x11\x22\x33\x44\x55\x66\x77 EI")))
		add("cropped.pdf", onePage("/MediaBox[-100 -100 900 900]/CropBox[100 100 500 700]/Rotate 270", []byte("0 0 1 rg 0 0 300 300 re f")))
		return names, files
	}
	for _, path := range corpus(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) <= 600_000 {
			names, files = append(names, filepath.Base(path)), append(files, data)
		}
	}
	return names, files
}

func newKeysAt(t *testing.T, path string) {
	t.Helper()
	_, err := keyring.LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
}
