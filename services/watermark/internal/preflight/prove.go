package preflight

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/filigreehq/filigree/pkg/sandbox"
)

// Want is what a document must be found to be.
type Want struct {
	// Pages is how many it must have.
	Pages int
	// Password opens it; "" if it has none. It is handed over in a pipe, never on a command line.
	Password string
}

// Unsound says that an independent program found fault with a document's structure. It is the engine's fault, and the
// document must not leave.
type Unsound struct {
	// By is the program.
	By string
	// Detail is what it said, for logs.
	Detail string
}

func (e *Unsound) Error() string { return e.By + " finds the document damaged: " + e.Detail }

// thorough is the length in bytes up to which qpdf also decodes pictures and page content. It takes a second for each
// megabyte of JPEG, and what pictures show is proved by rendering.
const thorough = 1 << 20

// Prove has independent programs read doc from its start: qpdf, that every object is where the cross-reference says,
// nothing needed repair, and streams decode; poppler, that it finds as many pages, each with its size. Damage within
// streams that qpdf reports is let pass: it came so from the source, and what pages show is Check's to prove.
//
// The error is an *Unsound when a program found fault, a *sandbox.Error when it could not be run to its end.
func Prove(ctx context.Context, doc *os.File, want Want, cfg Config) error {
	info, err := doc.Stat()
	if err != nil {
		return fmt.Errorf("length of the document: %w", err)
	}
	p := prover{cfg: cfg, want: want}
	p.cfg.Sandbox.Output = maxWritten
	// Streams as they are, so that what it complains of is structure.
	err = p.qpdf(ctx, doc, "--decode-level=none", "--stream-data=preserve", "--object-streams=preserve", "--static-id", input, "-")
	var unsound *Unsound
	if err != nil && !(errors.As(err, &unsound) && onlyStreams(unsound.Detail)) {
		return err
	}
	deeper := []string{"--decode-level=generalized", "--stream-data=uncompress", "--static-id", input, "-"}
	if info.Size() <= thorough {
		deeper = []string{"--check", input}
	}
	err = p.qpdf(ctx, doc, deeper...)
	if err != nil && !(errors.As(err, &unsound) && onlyStreams(unsound.Detail)) {
		return err
	}
	pages, err := p.count(ctx, doc, "qpdf", p.password("--show-npages", input)...)
	if err != nil {
		return err
	}
	if pages != want.Pages {
		return &Unsound{By: "qpdf", Detail: fmt.Sprintf("it has %d pages, not %d", pages, want.Pages)}
	}
	return p.sizes(ctx, doc)
}

const input = "/proc/self/fd/3"

// NoSpace is how programs say that the disk is full, which says nothing of a document.
const NoSpace = "o space left on device"

// Whole says that qpdf wrote doc to its end. It does not notice itself that a disk has no room for what it writes to its
// standard output.
func Whole(doc *os.File) error {
	info, err := doc.Stat()
	if err != nil {
		return fmt.Errorf("length of what qpdf wrote: %w", err)
	}
	end := make([]byte, 6)
	_, err = doc.ReadAt(end, max(0, info.Size()-int64(len(end))))
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read what qpdf wrote: %w", err)
	}
	if string(end) != "%%EOF\n" {
		return fmt.Errorf("what qpdf wrote has no end: %w", syscall.ENOSPC)
	}
	return nil
}

// prover is a proof at work.
type prover struct {
	cfg  Config
	want Want
}

func (p *prover) password(args ...string) []string {
	if p.want.Password == "" {
		return args
	}
	return append([]string{"--password-file=-"}, args...)
}

// qpdf runs qpdf and drops what it writes. Warnings are errors.
func (p *prover) qpdf(ctx context.Context, doc *os.File, args ...string) error {
	return p.run(ctx, doc, nil, "qpdf", p.password(args...)...)
}

// run runs a tool with doc as its descriptor 3, and out as its standard output if that is not nil.
func (p *prover) run(ctx context.Context, doc, out *os.File, name string, args ...string) error {
	limits := p.cfg.Sandbox
	if out != nil {
		limits.Output = 0 // the sandbox's default: what comes out is as long as the document
	}
	t, err := sandbox.Command(limits, name, args...)
	if err != nil {
		return err
	}
	t.Files, t.Stdout = []*os.File{doc}, out
	if p.want.Password != "" {
		r, w, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("pipe for a password: %w", err)
		}
		defer func() { _ = r.Close() }()                 // read by then
		_, err = io.WriteString(w, p.want.Password+"\n") // shorter than what a pipe takes at once
		_ = w.Close()                                    // or the tool waits for more
		if err != nil {
			return fmt.Errorf("hand over a password: %w", err)
		}
		t.Stdin = r
	}
	err = t.Run(ctx)
	if err != nil && strings.Contains(err.Error(), NoSpace) {
		return err
	}
	var exit *exec.ExitError
	var ended *sandbox.Error
	if errors.As(err, &exit) || errors.As(err, &ended) && ended.Kind == sandbox.Crash {
		return &Unsound{By: name, Detail: err.Error()}
	}
	return err
}

// ofContent is how qpdf begins what it says of a page's content, which it reads and readers may read otherwise.
var ofContent = regexp.MustCompile(`^page object \d+ 0 stream \d+ 0 \((content|stream data), offset \d+\): `)

// onlyStreams reports whether all that qpdf warned of is that streams do not decode, or what is in them.
func onlyStreams(said string) bool {
	warned := false
	lines := strings.Split(said, "\n")
	for _, line := range lines {
		_, warning, found := strings.Cut(line, "WARNING: ")
		if !found {
			// Parameters of a picture's filter that make no sense, which it falls over.
			senseless := strings.Contains(line, "dictionary key /DecodeParms")
			if strings.Contains(line, "ERROR") && !senseless {
				return false
			}
			warned = warned || senseless
			continue
		}
		warned = true
		undecoded := strings.Contains(warning, "error decoding stream data") || strings.Contains(warning, "re-processed without filtering")
		if !undecoded && !ofContent.MatchString(warning) {
			return false
		}
	}
	return warned
}

// output runs a tool and gives its standard output to read, line by line.
func (p *prover) output(ctx context.Context, doc *os.File, line func(string), name string, args ...string) error {
	in, out, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	defer func() { _ = in.Close() }() // read to its end
	ended := make(chan error, 1)
	go func() {
		err := p.run(ctx, doc, out, name, args...)
		_ = out.Close() // nothing is written to our copy of it; once closed, the reader sees the end
		ended <- err
	}()
	// Long lines, which titles may be, come in pieces; of none that is looked for.
	r := bufio.NewReader(in)
	for {
		b, _, err := r.ReadLine()
		if err != nil {
			break
		}
		line(string(bytes.TrimSpace(b)))
	}
	return <-ended
}

// count reads a number, which is all that a tool says.
func (p *prover) count(ctx context.Context, doc *os.File, name string, args ...string) (int, error) {
	n, said := 0, ""
	err := p.output(ctx, doc, func(s string) { said += s }, name, args...)
	if err != nil {
		return 0, err
	}
	n, err = strconv.Atoi(said)
	if err != nil {
		return 0, &Unsound{By: name, Detail: fmt.Sprintf("it says %.60q instead of a number", said)}
	}
	return n, nil
}

// sizes has poppler tell the size of each page, which it does of those only that it finds.
func (p *prover) sizes(ctx context.Context, doc *os.File) error {
	if p.want.Password != "" {
		plain, err := os.CreateTemp(p.cfg.TempDir, "prove-*")
		if err == nil {
			err = os.Remove(plain.Name())
		}
		if err != nil {
			return fmt.Errorf("temporary file: %w", err)
		}
		defer func() { _ = plain.Close() }() // without a name
		err = p.run(ctx, doc, plain, "qpdf", p.password("--decrypt", "--decode-level=none", "--stream-data=preserve", "--static-id", input, "-")...)
		if err == nil {
			err = Whole(plain)
		}
		if err != nil {
			return err
		}
		doc = plain
	}
	open := prover{cfg: p.cfg, want: Want{Pages: p.want.Pages}}
	pages, next := 0, 1
	err := open.output(ctx, doc, func(line string) {
		f := strings.Fields(line)
		// Titles come before, and may look like anything; the number of pages comes after them.
		if len(f) == 2 && f[0] == "Pages:" {
			n, err := strconv.Atoi(f[1])
			if err == nil {
				pages, next = n, 1
			}
		}
		// One that is counted and not there is 0 by 0.
		if len(f) > 5 && f[0] == "Page" && f[1] == strconv.Itoa(next) && f[2] == "size:" && f[3] != "0" && f[5] != "0" {
			next++
		}
	}, "pdfinfo", "-f", "1", "-l", strconv.Itoa(p.want.Pages+1), input)
	if err != nil {
		return err
	}
	if pages != p.want.Pages || next-1 != pages {
		return &Unsound{By: "pdfinfo", Detail: fmt.Sprintf("it has %d pages, %d of them with a size, not %d", pages, next-1, p.want.Pages)}
	}
	return nil
}
