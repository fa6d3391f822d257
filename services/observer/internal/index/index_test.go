package index_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"github.com/filigreehq/filigree/pkg/traceid"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/index"
)

var all = index.Scope{All: true}

func open(t testing.TB) *index.Index {
	t.Helper()
	x, err := index.Open(filepath.Join(t.TempDir(), "index.db"), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := x.Close()
		if err != nil {
			t.Error(err)
		}
	})
	return x
}

func take(t testing.TB, x *index.Index, seen ...index.Seen) {
	t.Helper()
	err := x.Take(t.Context(), seen, nil)
	if err != nil {
		t.Fatal(err)
	}
}

var begun = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// id is a distribution's, of one that began so many seconds after begun.
func id(second int) string {
	return ulid.MustNew(ulid.Timestamp(begun.Add(time.Duration(second)*time.Second)), rand.NewChaCha8([32]byte{byte(second)})).String()
}

func sha(n int) string { return fmt.Sprintf("%064x", n+0xabc) }

func dist(second int, title string, people ...event.Recipient) index.Seen {
	for i := range people {
		people[i].Number = i + 1
	}
	return index.Seen{Distribution: event.Distribution{
		Production: "default", ID: id(second), Title: title, State: "running", Definition: "send-documents", Version: 3,
		Created: begun.Add(time.Duration(second) * time.Second), Items: 2 * len(people), Recipients: len(people),
		Files: []event.File{{SHA256: sha(1), Name: "Script v7.pdf"}, {SHA256: sha(second + 10), Name: fmt.Sprintf("Callsheet %d.pdf", second)}},
	}, Body: []byte(title), Recipients: people}
}

func person(name, email string) event.Recipient {
	return event.Recipient{Name: name, Email: email, State: "queued"}
}

func search(t testing.TB, x *index.Index, q index.Query) []string {
	t.Helper()
	if q.Most == 0 {
		q.Most = 50
	}
	if !q.Scope.All && q.Scope.Productions == nil {
		q.Scope = all
	}
	var out []string
	for page := 0; ; page++ {
		hits, next, err := x.Search(t.Context(), q)
		if err != nil {
			t.Fatalf("Search(%q): %v", q.Text, err)
		}
		if len(hits) > q.Most {
			t.Fatalf("Search(%q) gave %d hits, want at most %d", q.Text, len(hits), q.Most)
		}
		for _, h := range hits {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s", h.Kind, h.Name)))
		}
		if next == "" {
			return out
		}
		if page > 1000 {
			t.Fatalf("Search(%q) does not come to an end", q.Text)
		}
		q.After = next
	}
}

func TestSearchText(t *testing.T) {
	t.Parallel()
	x := open(t)
	take(t, x,
		dist(1, "Ada's first", person("Ada", "ada@one.example")),
		dist(2, "Rehearsal", person("Ada Lovelace", "ada.lovelace@example.com"), person("Grace Hopper", "grace@example.com")),
		dist(3, "Shooting plan", person("Bernadádette Ö", "b@example.com"), person("Ada", "other@two.example"), person("Æsa Þórsdóttir", "aesa@ísland.example")),
	)
	for text, want := range map[string][]string{
		"ada":                      {"recipient Ada", "recipient Ada", "recipient Ada Lovelace", "distribution Ada's first", "recipient Bernadádette Ö"},
		"ADA":                      {"recipient Ada", "recipient Ada", "recipient Ada Lovelace", "distribution Ada's first", "recipient Bernadádette Ö"},
		"bernadadette o":           {"recipient Bernadádette Ö"},
		"velac":                    {"recipient Ada Lovelace"},
		"lovelace ada":             {"recipient Ada Lovelace"},
		"ada  lovelace ":           {"recipient Ada Lovelace"},
		"lo":                       {"recipient Ada Lovelace"},
		"g":                        {"recipient Grace Hopper"},
		"hopper":                   {"recipient Grace Hopper"},
		"callsheet 2":              {"file Callsheet 2.pdf"},
		"lls":                      {"file Callsheet 3.pdf", "file Callsheet 2.pdf", "file Callsheet 1.pdf"},
		"þórs":                     {"recipient Æsa Þórsdóttir"},
		"@example.com":             {"recipient Bernadádette Ö", "recipient Grace Hopper", "recipient Ada Lovelace"},
		`"; DROP (*) "`:            nil,
		"lovelace@example.com":     {"recipient Ada Lovelace"},
		"lovelace@example.net":     nil,
		"ada.lovelace@exam":        {"recipient Ada Lovelace"},
		"ada ada.lovelace@example": {"recipient Ada Lovelace"},
		"ada ada.lovelace@eggs":    nil,
		"nobody":                   nil,
		"ada NOT grace":            nil,
	} {
		for _, most := range []int{50, 1, 2} {
			got := search(t, x, index.Query{Text: text, Most: most})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Search(%q) by pages of %d: -want +got\n%s", text, most, diff)
			}
		}
	}
	got := search(t, x, index.Query{Text: "ada", Kind: "distribution"})
	if diff := cmp.Diff([]string{"distribution Ada's first"}, got); diff != "" {
		t.Errorf("only distributions: %s", diff)
	}
	_, _, err := x.Search(t.Context(), index.Query{Text: "ada", Scope: all, Most: 5, After: "9.9"})
	if err == nil {
		t.Error("a token that no search gave is taken")
	}
}

// Ids lead straight to the thing, and to nothing else.
func TestSearchIDs(t *testing.T) {
	t.Parallel()
	x := open(t)
	d := dist(1, "Plan", person("Ada Lovelace", "ada@example.com"), person("Grace Hopper", "grace@example.com"))
	d.Recipients[1].MessageID, d.Recipients[1].State = "<r2.1@mail.example>", "sent"
	d.Events = []event.Event{{ID: "1-0", Time: begun, Kind: "attempt", Step: "watermark", Unit: "i2.1", Attempt: 1, Worker: "w1", State: "failed", Code: "PDF_DAMAGED", Message: "page 3 is damaged"}}
	take(t, x, d, dist(2, "Other", person("Ada Lovelace", "ada@example.com")))
	trace := func(unit string) string {
		id, ok := traceid.Of(d.ID, unit)
		if !ok {
			t.Fatal("no trace id")
		}
		return id.String()
	}
	for text, want := range map[string][]string{
		d.ID:                     {"distribution Plan"},
		strings.ToLower(d.ID):    {"distribution Plan"},
		d.ID + ".r2":             {"recipient Grace Hopper"},
		d.ID + ".2.1":            {"item Callsheet 1.pdf"},
		d.ID + ".f1":             {"file Script v7.pdf"},
		d.ID + ".r3":             nil,
		d.ID + ".3.1":            nil,
		d.ID + ".x":              nil,
		id(77):                   nil,
		sha(1):                   {"file Script v7.pdf", "file Script v7.pdf"},
		strings.ToUpper(sha(11)): {"file Callsheet 1.pdf"},
		"<r2.1@mail.example>":    {"message Grace Hopper"},
		"r2.1@mail.example":      {"message Grace Hopper"},
		trace("d"):               {"trace Plan"},
		trace("i2.1"):            {"trace Callsheet 1.pdf"},
		trace("r2"):              {"trace Grace Hopper"},
		trace("r9"):              nil,
		"00-" + trace("r2") + "-" + strings.Repeat("a", 16) + "-01": {"trace Grace Hopper"},
		"PDF_DAMAGED":     {"item Callsheet 1.pdf"},
		"PDF_UNKNOWN":     nil,
		"ada@example.com": {"recipient Ada Lovelace", "recipient Ada Lovelace"},
	} {
		got := search(t, x, index.Query{Text: text})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Search(%q): -want +got\n%s", text, diff)
		}
	}
	hits, _, err := x.Search(t.Context(), index.Query{Text: d.ID + ".2.1", Scope: all, Most: 5})
	if err != nil || len(hits) != 1 || hits[0].Unit != "i2.1" || hits[0].Code != "PDF_DAMAGED" || hits[0].Recipient != 1 ||
		hits[0].Detail != "Ada Lovelace <ada@example.com>" || hits[0].Production != "default" || hits[0].Distribution != d.ID {
		t.Errorf("got %+v, %v", hits, err)
	}
}

// Nobody hears of what is in productions that they may not see, whatever they ask.
func TestScope(t *testing.T) {
	t.Parallel()
	x := open(t)
	d := dist(1, "Secret plan", person("Ada Lovelace", "ada@example.com"))
	d.Production = "secret"
	d.Recipients[0].MessageID = "m@x.example"
	d.Events = []event.Event{{ID: "1-0", Kind: "attempt", Step: "email", Unit: "r1", State: "failed", Code: "MAIL_REFUSED", Worker: "w"}}
	take(t, x, d)
	err := x.PutRuns(t.Context(), []index.Run{index.Run{Production: "secret", ID: "run-1", Name: "import", State: "running", Started: begun}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	trace, _ := traceid.Of(d.ID, "r1")
	for _, scope := range []index.Scope{{}, {Productions: []string{"default", "secretive"}}} {
		for _, text := range []string{d.ID, d.ID + ".r1", d.ID + ".1.1", sha(1), "m@x.example", trace.String(), "MAIL_REFUSED", "ada", "plan", "script", "import", "run-1"} {
			hits, next, err := x.Search(t.Context(), index.Query{Text: text, Scope: scope, Most: 10})
			if err != nil || len(hits) > 0 || next != "" {
				t.Errorf("Search(%q) of %v = %v, %q, %v, want nothing", text, scope, hits, next, err)
			}
			if len(search(t, x, index.Query{Text: text, Scope: index.Scope{Productions: []string{"secret"}}})) == 0 {
				t.Errorf("Search(%q) finds nothing for who may", text)
			}
		}
		found, next, err := x.Find(t.Context(), index.Filter{Scope: scope, Most: 10})
		if err != nil || len(found) > 0 || next != "" {
			t.Errorf("Find of %v = %v, %q, %v, want nothing", scope, found, next, err)
		}
		failures, err := x.Failures(t.Context(), index.FailureFilter{Scope: scope, Most: 10})
		if err != nil || len(failures) > 0 {
			t.Errorf("Failures of %v = %v, %v, want nothing", scope, failures, err)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	x := open(t)
	ended := dist(1, "Rehearsal one", person("Ada Lovelace", "ada@example.com"))
	ended.State, ended.Ended, ended.Deadline = "completed", begun.Add(time.Hour), begun.Add(time.Minute)
	failing := dist(2, "Rehearsal two", person("Grace Hopper", "grace@example.com"))
	failing.Deadline = begun.Add(time.Hour)
	failing.Events = []event.Event{{ID: "1-0", Time: begun, Kind: "attempt", Step: "email", Unit: "r1", State: "retrying", Worker: "email-2",
		Code: "MAIL_DEFERRED", Message: "451 4.7.1 greylisted, please wait"}}
	other := dist(3, "Shooting", person("Ada Lovelace", "ada@example.com"))
	other.Production, other.Definition = "night", "own-thing"
	take(t, x, ended, failing, other)
	err := x.PutRuns(t.Context(), []index.Run{index.Run{Production: "default", ID: "r-9", Name: "nightly-import", State: "running", Started: begun.Add(4 * time.Second), Body: []byte("run")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		filter index.Filter
		want   string
	}{
		"all":           {index.Filter{}, "run Shooting Rehearsal two Rehearsal one"},
		"production":    {index.Filter{Scope: index.Scope{Productions: []string{"night", "x"}}}, "Shooting"},
		"state":         {index.Filter{States: []string{"running"}}, "run Shooting Rehearsal two"},
		"states":        {index.Filter{States: []string{"completed", "failed"}}, "Rehearsal one"},
		"person":        {index.Filter{Person: "LOVELACE"}, "Shooting Rehearsal one"},
		"address":       {index.Filter{Person: "grace@"}, "Rehearsal two"},
		"one address":   {index.Filter{Person: "Ada@Example.com", States: []string{"completed"}}, "Rehearsal one"},
		"no address":    {index.Filter{Person: "ada@example.net"}, ""},
		"file":          {index.Filter{File: "callsheet 3"}, "Shooting"},
		"sha":           {index.Filter{File: sha(1), Title: "rehears"}, "Rehearsal two Rehearsal one"},
		"code":          {index.Filter{Error: "MAIL_DEFERRED"}, "Rehearsal two"},
		"sentence":      {index.Filter{Error: "greylisted"}, "Rehearsal two"},
		"worker":        {index.Filter{Worker: "email-2"}, "Rehearsal two"},
		"worker, other": {index.Filter{Worker: "email-2", Person: "ada"}, ""},
		"title":         {index.Filter{Title: "hearsal"}, "Rehearsal two Rehearsal one"},
		"definition":    {index.Filter{Definition: "own-thing"}, "Shooting"},
		"run":           {index.Filter{Definition: "nightly-import"}, "run"},
		"late":          {index.Filter{Late: true, Now: begun}, "Rehearsal one"},
		"late, later":   {index.Filter{Late: true, Now: begun.Add(2 * time.Hour)}, "Rehearsal two Rehearsal one"},
		"after":         {index.Filter{After: begun.Add(2 * time.Second)}, "run Shooting"},
		"before":        {index.Filter{Before: begun.Add(2 * time.Second)}, "Rehearsal one"},
		"both":          {index.Filter{Person: "ada", After: begun.Add(2 * time.Second), Before: begun.Add(9 * time.Second)}, "Shooting"},
		"nothing":       {index.Filter{Person: "zzz"}, ""},
		"spaces":        {index.Filter{Person: "  "}, ""},
	} {
		for most := range 4 {
			f := c.filter
			f.Most = most + 1
			if f.Scope.Productions == nil {
				f.Scope = all
			}
			var got []string
			for {
				found, next, err := x.Find(t.Context(), f)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				for _, d := range found {
					got = append(got, string(d.Body))
				}
				if next == "" {
					break
				}
				f.From = next
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s by pages of %d: got %q, want %q", name, most+1, got, c.want)
			}
		}
	}
}

// What was told of a failure is known until it is over, and how often it happened.
func TestFailures(t *testing.T) {
	t.Parallel()
	x := open(t)
	d := dist(1, "Plan", person("Ada", "ada@example.com"), person("Grace", "grace@example.com"))
	attempt := func(n int, unit, state, code string) event.Event {
		return event.Event{ID: fmt.Sprintf("%d-0", n), Time: begun.Add(time.Duration(n) * time.Second), Kind: "attempt", Step: "email", Unit: unit, State: state,
			Code: code, Message: "no " + code, Worker: "w"}
	}
	events := []event.Event{
		attempt(1, "r1", "retrying", "A_B"), attempt(2, "r1", "retrying", "A_B"), attempt(3, "r2", "failed", "C_D"),
		attempt(4, "r1", "retrying", "C_D"), attempt(5, "r2", "done", ""), attempt(6, "r1", "retrying", "A_B"),
		{ID: "7-0", Kind: "ended", State: "cancelled"},
		{ID: "8-0", Kind: "retry_requested"}, attempt(9, "r2", "ready", "WORKER_LOST"),
	}
	show := func() (out []string) {
		failures, err := x.Failures(t.Context(), index.FailureFilter{Scope: all, Resolved: true, Most: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range failures {
			out = append(out, fmt.Sprintf("%s %s %s ×%d %s", f.Unit, f.Code, f.State, f.Attempts, f.Name))
		}
		return out
	}
	want := []string{"r2 WORKER_LOST retrying ×1 Grace", "r1 A_B failed ×3 Ada", "r1 C_D resolved ×1 Ada", "r2 C_D resolved ×1 Grace"}
	// However they come, it is the same, and those that come again count once.
	for _, size := range []int{1, 2, 3, 100} {
		for from := 0; from < len(events); from += size {
			part := d
			part.Events = events[max(0, from-1):min(from+size, len(events))]
			take(t, x, part)
		}
		if diff := cmp.Diff(want, show()); diff != "" {
			t.Errorf("taken in by %d: -want +got\n%s", size, diff)
		}
		x = open(t)
	}
}

// A resend changes names and addresses: the old ones find nothing, old Message-IDs still do.
func TestRecipientChanges(t *testing.T) {
	t.Parallel()
	x := open(t)
	d := dist(1, "Plan", person("Ada", "ada@exmaple.com"))
	d.Recipients[0].MessageID = "first@x"
	take(t, x, d)
	d.Recipients = []event.Recipient{{Number: 1, Name: "Ada L", Email: "ada@example.com", MessageID: "second@x", State: "sent"}}
	take(t, x, d)
	for text, want := range map[string]int{"exmaple": 0, "example": 1, "first@x": 1, "second@x": 1} {
		if got := search(t, x, index.Query{Text: text}); len(got) != want {
			t.Errorf("Search(%q) = %v, want %d", text, got, want)
		}
	}
}

// A broken file, and one of another version, are begun anew: before it is opened and while it is used.
func TestBroken(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, path string){
		"no database": func(t *testing.T, path string) { write(t, path, []byte(strings.Repeat("not a database ", 1000))) },
		"empty":       func(t *testing.T, path string) { write(t, path, nil) },
		"torn": func(t *testing.T, path string) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 4096; i < len(raw); i++ {
				raw[i] = 0xa5
			}
			write(t, path, raw)
		},
		"a folder": func(t *testing.T, path string) {
			err := os.Remove(path)
			if err == nil {
				err = os.Mkdir(path, 0o700)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "index.db")
			x, err := index.Open(path, false)
			if err != nil {
				t.Fatal(err)
			}
			take(t, x, dist(1, "Plan", person("Ada", "ada@example.com")))
			err = x.Close()
			if err != nil {
				t.Fatal(err)
			}
			spoil(t, path)
			x, err = index.Open(path, false)
			if err != nil {
				t.Fatalf("Open: %v, want it begun anew", err)
			}
			defer x.Close()
			if x.Fresh() == "" || len(search(t, x, index.Query{Text: "ada"})) > 0 {
				t.Errorf("it says %q and knows things, want it begun anew", x.Fresh())
			}
			take(t, x, dist(1, "Plan", person("Ada", "ada@example.com")))
			if len(search(t, x, index.Query{Text: "ada"})) != 1 {
				t.Error("it finds nothing after it was begun anew")
			}
		})
	}
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	err := os.WriteFile(path, raw, 0o600)
	if err != nil {
		t.Fatal(err)
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "index.db")
	for i := range 3 {
		x, err := index.Open(path, i == 2)
		if err != nil {
			t.Fatal(err)
		}
		got := search(t, x, index.Query{Text: "ada"})
		if want := i % 2; len(got) != want {
			t.Errorf("opened for the %d. time it finds %v, want %d", i+1, got, want)
		}
		positions, err := x.Positions(t.Context())
		if err != nil || len(positions) != i%2 {
			t.Errorf("positions %v, %v", positions, err)
		}
		err = x.Take(t.Context(), []index.Seen{dist(1, "Plan", person("Ada", "ada@example.com"))}, []index.Mark{{Stream: "s", Position: "1-0"}})
		if err != nil {
			t.Fatal(err)
		}
		err = x.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
}
