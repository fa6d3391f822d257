package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/people"
	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type sendCmd struct {
	serverFlags
	productionFlag
	documentFlags
	orderFlags
	Deadline       moment   `placeholder:"TIME" help:"When it should be over, such as 30m from now, or 2026-11-30T18:00:00+01:00; within a priority the earliest goes first. Default: soon, later the more items it has."`
	Wait           waitFlag `help:"Wait for the end, at most 10m or --wait=TIME, and exit 2 if not everybody got theirs."`
	IdempotencyKey string   `placeholder:"KEY" help:"Repeating a command with the same key never sends twice. Default: a new key."`
	DryRun         bool     `help:"Say what would become of it, and send nothing; the files are uploaded, so that they can be looked at. Exits 1 if it would be refused."`
	JSON           bool     `name:"json" help:"Print the distribution as one JSON document."`
}

// documentFlags say what is sent to whom.
type documentFlags struct {
	File []string `required:"" placeholder:"FILE" sep:"none" help:"Document or picture to send (repeatable)."`
	To   string   `placeholder:"CSV" help:"People to send to: CSV whose header has name and email; other columns become fields of the mark."`
	List []string `placeholder:"LIST" sep:"none" help:"Send to whoever is in this list of the production, by its name or id (repeatable). What flags do not say, its policy does."`
}

// people reads whom flags name: those in a CSV, and the ids of lists.
func (f documentFlags) people(ctx context.Context, client *api.Client, production string, list []people.Person) (whom, error) {
	to := whom{people: list}
	for _, named := range f.List {
		id, err := listID(ctx, client, production, named)
		if err != nil {
			return whom{}, err
		}
		to.lists = append(to.lists, id)
	}
	return to, nil
}

// read reads the CSV, if there is one.
func (f documentFlags) read() ([]people.Person, error) {
	if f.To == "" && len(f.List) == 0 {
		return nil, refuse("USAGE", "say to whom: --to people.csv, or --list LIST")
	}
	if f.To == "" {
		return nil, nil
	}
	return readPeople(f.To)
}

// whom is to whom something goes.
type whom struct {
	people []people.Person
	lists  []string
}

func (w whom) String() string {
	var words []string
	if len(w.people) > 0 {
		words = append(words, plural(len(w.people), "person", "people"))
	}
	if len(w.lists) > 0 {
		words = append(words, plural(len(w.lists), "list", "lists"))
	}
	return strings.Join(words, " and ")
}

func (c *sendCmd) Run(ctx context.Context, t *term) error {
	err := c.check()
	if err != nil {
		return err
	}
	list, err := c.read()
	if err != nil {
		return err
	}
	err = checkFiles(c.File)
	if err != nil {
		return err
	}
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	// Token and production are told to be wrong before anything is uploaded.
	_, err = client.Production(ctx, c.Production)
	if err != nil {
		return err
	}
	to, err := c.people(ctx, client, c.Production, list)
	if err != nil {
		return err
	}
	files, err := upload(ctx, t, client, c.Production, c.File, c.ownMark())
	if err != nil {
		return err
	}
	req := c.request(c.Production, files, to)
	if c.Deadline.set {
		req.Deadline = timestamppb.New(c.Deadline.after(t.now()).Truncate(time.Second))
	}
	if c.DryRun {
		return c.dryRun(ctx, t, client, req)
	}
	d, raw, err := c.create(ctx, client, req)
	if err != nil {
		return err
	}
	if c.HoldFor > 0 {
		t.say("nothing goes out for %s; until then this undoes it: filigree cancel %s%s", c.HoldFor, d.GetId(), c.hint())
	}
	if c.Wait.limit > 0 {
		return follower{c.productionFlag, c.Wait.limit, c.JSON}.follow(ctx, t, client, d, raw)
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("%s", d.GetId())
	t.say("%s on the way to %s; follow it with: filigree status %s%s",
		plural(len(files), "file is", "files are"), to, d.GetId(), c.hint())
	return nil
}

// readPeople reads the list at path; everything that is wrong with it is in the error.
func readPeople(path string) ([]people.Person, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, refuse("PEOPLE_UNREADABLE", "the list of people cannot be read: %v", err)
	}
	list, err := people.Parse(data)
	var bad *people.Error
	if errors.As(err, &bad) {
		r := refuse("PEOPLE_BAD", "%s cannot be used: %s; nothing was sent", path, plural(len(bad.Problems), "problem", "problems"))
		r.Details = strings.Split(bad.Error(), "\n")
		return nil, r
	}
	return list, err
}

// checkFiles finds what can be told to be wrong without a server, all at once.
func checkFiles(paths []string) error {
	var bad []string
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			bad = append(bad, strings.TrimPrefix(err.Error(), "stat "))
		case info.IsDir():
			bad = append(bad, path+": it is a folder: name the documents in it")
		case !info.Mode().IsRegular():
			bad = append(bad, path+": it is not a plain file")
		}
	}
	if len(bad) == 0 {
		return nil
	}
	r := refuse("FILE_BAD", "%s cannot be sent; nothing was sent", plural(len(bad), "file", "files"))
	r.Details = bad
	return r
}

// upload stores every file and returns them in order. Files that are not taken at all are named in one error; one whose
// contents were refused is warned about and goes along, unless there is no other. own says that the mark is another than the
// one with which a file is inspected.
func upload(ctx context.Context, t *term, client *api.Client, production string, paths []string, own bool) ([]*distributionv1.FileRef, error) {
	var refs []*distributionv1.FileRef
	var refused, bad []string
	seen := map[string]string{}
	for n, path := range paths {
		name := filepath.Base(path)
		info, err := os.Stat(path)
		if err != nil {
			return nil, refuse("FILE_BAD", "%v; nothing was sent", err)
		}
		b := t.bar(barBytes, fmt.Sprintf("uploading %d of %d, %s", n+1, len(paths), shorten(name, 30)), info.Size())
		file, err := client.Upload(ctx, production, name, path, b.watch)
		b.finish()
		var answer *api.Error
		switch {
		case errors.As(err, &answer) && aboutTheFile(answer):
			refused = append(refused, fmt.Sprintf("%s: %s (%s)", path, answer.Message, answer.Code))
			continue
		case err != nil:
			return nil, fmt.Errorf("upload %s: %w", path, err)
		case file.GetVerdict() == "refused" && own && aboutTheMark(file.GetErrorCode()):
			t.say("note on %s: the default mark cannot be shown there (%s); whether yours can is found out before anything is sent", path, file.GetErrorCode())
		case file.GetVerdict() == "refused":
			// It stays part of the distribution: its items fail and say why, the others go on, or nothing does by --on-failure.
			bad = append(bad, fmt.Sprintf("%s: %s (%s)", path, file.GetErrorMessage(), file.GetErrorCode()))
		}
		if first, double := seen[file.GetSha256()]; double {
			refused = append(refused, fmt.Sprintf("%s: the same document as %s: send it once (FILE_TWICE)", path, first))
			continue
		}
		seen[file.GetSha256()] = path
		for _, note := range file.GetNotes() {
			t.say("note on %s: %s", path, note)
		}
		refs = append(refs, &distributionv1.FileRef{Sha256: file.GetSha256(), Name: name})
	}
	if len(refused) > 0 {
		r := refuse("FILE_REFUSED", "%s of %d refused; nothing was sent", plural(len(refused), "file", "files"), len(paths))
		r.Details = append(refused, bad...)
		return nil, r
	}
	if len(bad) == len(refs) {
		r := refuse("FILE_REFUSED", "%s cannot be sent; nothing was sent", plural(len(bad), "file", "files"))
		r.Details = bad
		return nil, r
	}
	for _, b := range bad {
		t.say("warning: cannot be sent: %s", b)
	}
	return refs, nil
}

// aboutTheMark tells a refusal that depends on the mark from one of the document itself.
func aboutTheMark(code string) bool { return code == "PDF_MARK_HIDDEN" || code == "MARK_OBSCURES_TEXT" }

// aboutTheFile tells a refusal of the document from one of the caller.
func aboutTheFile(e *api.Error) bool {
	switch e.Status {
	case 400, 409, 412, 413, 415, 422:
		return !strings.HasPrefix(e.Code, "HTTP_") || e.Status == 413
	}
	return false
}

// create starts the distribution. When no answer came it says how to find out without sending twice.
func (c *sendCmd) create(ctx context.Context, client *api.Client, req *distributionv1.CreateDistributionRequest) (*distributionv1.Distribution, []byte, error) {
	key := c.IdempotencyKey
	if key == "" {
		key = rand.Text()
	}
	d, raw, err := client.Create(ctx, req, key)
	if err == nil {
		return d, raw, nil
	}
	var answer *api.Error
	// A quota is looked at after the key: had an earlier try been accepted, this one would have been told so.
	if errors.As(err, &answer) && (!answer.Retryable || strings.HasPrefix(answer.Code, "QUOTA_")) {
		return nil, nil, err
	}
	again := "--idempotency-key " + key
	if c.Deadline.set {
		// Counted from another moment it would be another request.
		again += " --deadline " + req.GetDeadline().AsTime().Format(time.RFC3339)
	}
	unsure := refuse("OUTCOME_UNKNOWN", "it is not known whether the distribution was accepted (%v): "+
		"run the same command again with %s; it sends once at most", err, again)
	var gone *api.UnreachableError
	if errors.As(err, &gone) {
		unsure.exit = exitUnreachable
	}
	return nil, nil, unsure
}

// shorten cuts a name to n letters.
func shorten(s string, n int) string {
	return cells.Truncate(s, n, "…")
}
