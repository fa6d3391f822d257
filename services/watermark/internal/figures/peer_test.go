package figures_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/compile"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/stamp"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// letters is a line of 45.
const letters = "Confidential copy of Zoë Müller-Ångström, %03d"

// works are what a process can be asked to do again and again; each returns how many copies one call makes, or of what
// else there are so many.
var works = map[string]func(source []byte) (func() int, error){
	"ours":             func(source []byte) (func() int, error) { return copies(source, false, 1) },
	"ours locked":      func(source []byte) (func() int, error) { return copies(source, true, 1) },
	"ours ten files":   func(source []byte) (func() int, error) { return copies(source, true, 10) },
	"pdfcpu":           func(source []byte) (func() int, error) { return peer(source, false) },
	"pdfcpu locked":    func(source []byte) (func() int, error) { return peer(source, true) },
	"sha-256":          func(source []byte) (func() int, error) { return floor(source, false) },
	"aes and sha-256":  func(source []byte) (func() int, error) { return floor(source, true) },
	"two slow hashes":  func([]byte) (func() int, error) { return hashes(), nil },
	"compile in place": compiles,
}

// batch is how many copies of ours are timed together: one is too short.
const batch = 20

func compiled(source []byte) (*template.Template, error) {
	made, err := compile.Compile(context(), bytes.NewReader(source), compile.Limits{Pages: 5000, Objects: 1e6, Content: 1 << 28})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = template.Write(&b, made)
	if err != nil {
		return nil, err
	}
	return template.Parse(b.Bytes())
}

func compiles(source []byte) (func() int, error) {
	_, err := compiled(source)
	return func() int {
		_, err := compiled(source)
		if err != nil {
			panic(err)
		}
		return 1
	}, err
}

// copies makes further copies, each for somebody else; files is how many each gets, under one password.
func copies(source []byte, locked bool, files int) (func() int, error) {
	t, err := compiled(source)
	if err != nil {
		return nil, err
	}
	n := 0
	once := func(lock *stamp.Lock) {
		m, err := mark.Compose(mark.Spec{Template: "{name}"}, map[string]string{"name": fmt.Sprintf(letters, n%1000)})
		if err != nil {
			panic(err)
		}
		r := stamp.Recipe{
			Mark: m, Code: hidden.ID{Key: 1, Number: uint64(n), MAC: 1 << 40}.Codeword(), Sealed: make([]byte, 150),
			Seed: stamp.Seed{byte(n), byte(n >> 8)}, Lock: lock,
		}
		c, err := stamp.New(t, r)
		if err != nil {
			panic(err)
		}
		_, err = c.WriteTo(sha256.New())
		if err != nil {
			panic(err)
		}
	}
	return func() int {
		for range batch / files {
			n++
			var lock *stamp.Lock
			if locked {
				lock, err = stamp.NewLock(fmt.Sprintf("%016d", n), [16]byte{byte(n), byte(n >> 8)})
				if err != nil {
					panic(err)
				}
			}
			for range files {
				once(lock)
			}
		}
		return batch / files * files
	}, nil
}

// output is a copy of the source, for floors.
func output(source []byte, locked bool) ([]byte, error) {
	t, err := compiled(source)
	if err != nil {
		return nil, err
	}
	m, err := mark.Compose(mark.Spec{Template: "{name}"}, map[string]string{"name": fmt.Sprintf(letters, 1)})
	if err != nil {
		return nil, err
	}
	r := stamp.Recipe{Mark: m, Sealed: make([]byte, 150)}
	if locked {
		r.Lock, err = stamp.NewLock("0123456789abcdef", [16]byte{})
		if err != nil {
			return nil, err
		}
	}
	c, err := stamp.New(t, r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = c.WriteTo(&b)
	return b.Bytes(), err
}

// floor does to a copy's bytes what cannot be left out.
func floor(source []byte, locked bool) (func() int, error) {
	data, err := output(source, locked)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return nil, err
	}
	buf := make([]byte, len(data)/16*16)
	return func() int {
		for range batch {
			if locked {
				copy(buf, data)
				cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(buf, buf)
			}
			sha256.Sum256(data)
		}
		return batch
	}, nil
}

func hashes() func() int {
	n := 0
	return func() int {
		n++
		_, err := stamp.NewLock(fmt.Sprintf("%016d", n), [16]byte{byte(n), byte(n >> 8)})
		if err != nil {
			panic(err)
		}
		return 1
	}
}

// peer stamps with pdfcpu's API, from bytes to bytes, as its documentation says.
func peer(source []byte, locked bool) (func() int, error) {
	api.DisableConfigDir()
	once := func() error {
		wm, err := api.TextWatermark(fmt.Sprintf(letters, 1), "font:Helvetica, points:48, opacity:.3, rotation:45", true, false, types.POINTS)
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if !locked {
			return api.AddWatermarks(bytes.NewReader(source), &out, nil, wm, nil)
		}
		conf := model.NewAESConfiguration("0123456789abcdef", "0123456789abcdef", 256)
		conf.Cmd = model.ENCRYPT
		ctx, err := api.ReadValidateAndOptimize(bytes.NewReader(source), conf)
		if err != nil {
			return err
		}
		pages, err := api.PagesForPageSelection(ctx.PageCount, nil, true, false)
		if err != nil {
			return err
		}
		err = pdfcpu.AddWatermarks(ctx, pages, wm)
		if err != nil {
			return err
		}
		return api.WriteContext(ctx, &out)
	}
	err := once()
	return func() int {
		err := once()
		if err != nil {
			panic(err)
		}
		return 1
	}, err
}

// worker is a process that works on request.
type worker struct {
	name string
	cmd  *exec.Cmd
	in   io.Writer
	out  *bufio.Reader
}

const (
	workVariable   = "FILIGREE_FIGURES_WORK"
	sourceVariable = "FILIGREE_FIGURES_SOURCE"
)

// serve is what a worker's process does: a line of its own for each that comes.
func serve(name string) error {
	source, err := os.ReadFile(os.Getenv(sourceVariable))
	if err != nil {
		return err
	}
	work, err := works[name](source)
	if err != nil {
		return err
	}
	work()
	in := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for in.Scan() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := processorTime(syscall.RUSAGE_SELF)
		n := work()
		used := processorTime(syscall.RUSAGE_SELF) - start
		runtime.ReadMemStats(&after)
		fmt.Println(int64(used)/int64(n), (after.TotalAlloc-before.TotalAlloc)/uint64(n))
	}
	return in.Err()
}

func processorTime(who int) time.Duration {
	var u syscall.Rusage
	err := syscall.Getrusage(who, &u)
	if err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// start starts a worker.
func start(t *testing.T, name, source string) *worker {
	t.Helper()
	w := &worker{name: name, cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")}
	w.cmd.Env = append(os.Environ(), workVariable+"="+name, sourceVariable+"="+source)
	w.cmd.Stderr = os.Stderr
	in, err := w.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = w.cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		_ = w.cmd.Wait()
	})
	w.in = in
	w.out = bufio.NewReader(out)
	line, err := w.out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "ready" {
		t.Fatalf("%s: %q %v", name, line, err)
	}
	return w
}

// round has the worker work once and returns what one copy took of the processor and of memory.
func (w *worker) round(t *testing.T) (cpu time.Duration, memory int64) {
	t.Helper()
	_, err := fmt.Fprintln(w.in)
	if err != nil {
		t.Fatal(err)
	}
	line, err := w.out.ReadString('\n')
	if err == nil {
		_, err = fmt.Sscan(line, (*int64)(&cpu), &memory)
	}
	if err != nil {
		t.Fatalf("%s: %q %v", w.name, line, err)
	}
	return cpu, memory
}
