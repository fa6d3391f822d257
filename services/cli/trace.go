package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/services/watermark"
)

type traceCmd struct {
	keyFlag
	File     string `arg:"" help:"The document in question: a PDF, or a PNG or JPEG as we made it."`
	Password string `placeholder:"P" help:"Its password, if it is locked."`
	Data     string `placeholder:"DIR" help:"Folder of a server on this machine (see up): its key ring and its copies are looked at instead of this user's."`
	Blob     string `placeholder:"URL" help:"With --data: where the server's documents are, if not in DIR/blobs."`
	JSON     bool   `name:"json" help:"Print one JSON document."`

	AcceptUnsandboxed bool `name:"i-accept-unsandboxed-pdf" help:"Open the PDF even where the kernel cannot confine the process that does."`
}

func (c *traceCmd) Run(ctx context.Context, t *term) error {
	if c.Blob != "" && c.Data == "" {
		return refuse("USAGE", "--blob goes with --data: name the server's folder, too")
	}
	f, err := os.Open(c.File)
	if err != nil {
		return refuse("FILE_BAD", "%v", err)
	}
	defer func() { _ = f.Close() }() // only read
	cfg := watermark.DefaultConfig()
	cfg.AcceptUnsandboxed = c.AcceptUnsandboxed
	tracer, find, done, err := c.known(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	result, err := tracer.Trace(ctx, f, c.Password, find)
	var trouble *fault.Error
	if errors.As(err, &trouble) && trouble.Reason == "LOOKUP_FAILED" {
		t.say("%s: what is found is shown without names: %v", trouble.Message, errors.Unwrap(trouble))
		err = nil
	}
	if errors.As(err, &trouble) {
		return refuse(trouble.Reason, "%s: %s", c.File, trouble.Message)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		raw, err := json.Marshal(result)
		if err != nil {
			return err
		}
		err = t.document(raw)
		if err != nil {
			return err
		}
	} else {
		for _, line := range tell(result) {
			t.print("%s", line)
		}
	}
	return verdict(result)
}

// known opens the key ring, and where copies made under it are recorded.
func (c *traceCmd) known(ctx context.Context, cfg watermark.Config) (*watermark.Tracer, watermark.Finder, func(), error) {
	nothing := func() {}
	log := slog.New(slog.DiscardHandler)
	if c.Data == "" {
		ring, copies, err := c.find()
		if err != nil {
			return nil, nil, nothing, err
		}
		tracer, err := watermark.NewTracer(cfg, ring, log)
		return tracer, recorded{copies}, nothing, err
	}
	ring, err := keyring.Load(filepath.Join(c.Data, "keys.json"))
	if err != nil {
		return nil, nil, nothing, refuse("KEYS_BAD", "%v", err)
	}
	tracer, err := watermark.NewTracer(cfg, ring, log)
	if err != nil {
		return nil, nil, nothing, err
	}
	url := c.Blob
	if url == "" {
		url = filepath.Join(c.Data, "blobs")
	}
	bucket, err := blob.Open(ctx, url)
	if err != nil {
		return nil, nil, nothing, refuse("BLOB_BAD", "%v", err)
	}
	return tracer, watermark.Stored{Blobs: bucket, Tracer: tracer}, func() { _ = bucket.Close() }, nil // only read
}

// recorded finds local copies in their record.
type recorded struct{ path string }

// maxRecord is how long a line of the record may be.
const maxRecord = 1 << 20

func (r recorded) Find(_ context.Context, number uint64) ([]watermark.About, error) {
	f, err := os.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	var all []watermark.About
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxRecord)
	prefix := fmt.Sprintf("%012x", number)
	for lines.Scan() {
		var l copyLine
		err = json.Unmarshal(lines.Bytes(), &l)
		if err != nil || !strings.HasPrefix(l.Artifact, prefix) { // a line cut off by a crash is none
			continue
		}
		all = append(all, watermark.About{Name: l.Name, Email: l.Email, Artifact: l.Artifact, Time: l.Time})
	}
	return all, lines.Err()
}

// verdict is the error by which a script sees that it is not known whose copy it is.
func verdict(r watermark.Trace) error {
	if r.Outcome == watermark.TraceMatch {
		return nil
	}
	return &refusal{exit: exitOpen, Code: "TRACE_" + strings.ToUpper(string(r.Outcome)), Message: map[watermark.Outcome]string{
		watermark.TraceAmbiguous:  "it is not one person's copy",
		watermark.TraceForged:     "it carries an id that is not ours",
		watermark.TraceDamaged:    "it carries an id that cannot be read any more",
		watermark.TraceUnknownKey: "it carries an id made under a key that is not in this key ring",
		watermark.TraceNone:       "it carries nothing of ours",
	}[r.Outcome]}
}

// tell says for people what was found.
func tell(r watermark.Trace) []string {
	var lines []string
	switch {
	case r.Outcome == watermark.TraceMatch:
		lines = append(lines, owner(r.Copies[0]))
		lines = append(lines, details(r.Copies[0])...)
	case r.Outcome == watermark.TraceAmbiguous && len(r.Copies) == 1:
		lines = append(lines, fmt.Sprintf("One of %d copies whose ids begin alike:", len(r.Copies[0].Who)))
		for _, who := range r.Copies[0].Who {
			lines = append(lines, "  "+person(who)+", copy "+who.Artifact)
		}
		lines = append(lines, details(r.Copies[0])...)
	case r.Outcome == watermark.TraceAmbiguous:
		lines = append(lines, fmt.Sprintf("Put together from %d copies:", len(r.Copies)))
		for _, c := range r.Copies {
			lines = append(lines, owner(c))
			lines = append(lines, details(c)...)
		}
	}
	for _, e := range r.Doubts {
		lines = append(lines, doubt(e))
	}
	if r.Cut {
		lines = append(lines, "The document was too large to look at all of it.")
	}
	return lines
}

// owner names whose copy it is.
func owner(c watermark.Traced) string {
	if len(c.Who) == 0 {
		return fmt.Sprintf("Copy %s…: ours, but no record of it is here. Try the folder of the server that made it (--data).", c.Number)
	}
	if c.Who[0].Name == "" && c.Who[0].Email == "" {
		return fmt.Sprintf("Copy %s: ours, and it does not say whose.", c.Who[0].Artifact)
	}
	return "The copy of " + person(c.Who[0])
}

func person(a watermark.About) string {
	return strings.TrimSpace(a.Name + " <" + a.Email + ">")
}

// details say which copy it is, and by what it is known.
func details(c watermark.Traced) []string {
	var lines []string
	add := func(label, text string) {
		if text != "" {
			lines = append(lines, fmt.Sprintf("  %-13s %s", label, text))
		}
	}
	if len(c.Who) == 1 {
		who := c.Who[0]
		add("distribution", who.Distribution)
		add("item", who.Item)
		add("production", who.Production)
		add("copy", who.Artifact)
		if !who.Time.IsZero() {
			add("made", who.Time.Local().Format("2006-01-02 15:04:05 MST"))
		}
	}
	for _, e := range c.Evidence {
		add(string(e.Channel), where(e))
	}
	return lines
}

// where lists an evidence's pages.
func where(e watermark.Evidence) string {
	if len(e.Pages) == 0 {
		return "of the document"
	}
	var runs []string
	for i := 0; i < len(e.Pages); {
		j := i
		for j+1 < len(e.Pages) && e.Pages[j+1] == e.Pages[j]+1 {
			j++
		}
		run := strconv.Itoa(e.Pages[i])
		if j > i {
			run += "-" + strconv.Itoa(e.Pages[j])
		}
		runs = append(runs, run)
		i = j + 1
	}
	word := "pages "
	if len(e.Pages) == 1 {
		word = "page "
	}
	return word + strings.Join(runs, ", ")
}

// doubt says what was found and counts for nothing.
func doubt(e watermark.Evidence) string {
	place := string(e.Channel) + ", " + where(e)
	switch e.Outcome {
	case watermark.TraceForged:
		return fmt.Sprintf("Forged (%s): the number %s without the seal that only the holder of key %d can make.", place, e.Number, e.Key)
	case watermark.TraceUnknownKey:
		return fmt.Sprintf("Unknown key (%s): made under key %d, which is not in this key ring.", place, e.Key)
	}
	return fmt.Sprintf("Damaged (%s): something is there and cannot be read.", place)
}
