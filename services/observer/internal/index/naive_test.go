package index_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/index"
)

// naive is all that was taken in, looked through one by one.
type naive struct {
	seen []index.Seen // the newest first
}

type naiveDoc struct {
	what, production string
	texts            []string
}

// docs are all things that have texts, the newest first.
func (v *naive) docs() []naiveDoc {
	var all []naiveDoc
	for _, d := range v.seen {
		for _, r := range slices.Backward(d.Recipients) {
			all = append(all, naiveDoc{fmt.Sprintf("recipient %s.r%d", d.ID, r.Number), d.Production, []string{r.Name, r.Email}})
		}
		for i, f := range slices.Backward(d.Files) {
			all = append(all, naiveDoc{fmt.Sprintf("file %s.f%d", d.ID, i+1), d.Production, []string{f.Name}})
		}
		all = append(all, naiveDoc{fmt.Sprintf("distribution %s.d", d.ID), d.Production, []string{d.Title}})
	}
	return all
}

// fit is how well texts fit words that are all of three letters or more: 1 as a whole, 2 by a beginning, 3 somewhere, 0 not.
func fit(texts []string, q string) int {
	best := 0
	for _, t := range texts {
		t = strings.ToLower(t)
		switch {
		case t == q:
			return 1
		case strings.Contains(" "+t, " "+q):
			best = 2
		}
	}
	if best > 0 {
		return best
	}
	joined := strings.ToLower(strings.Join(texts, "\n"))
	for _, w := range strings.Fields(q) {
		if !strings.Contains(joined, w) {
			return 0
		}
	}
	return 3
}

func (v *naive) search(q, kind string, sees func(string) bool) []string {
	var out []string
	wants := func(what string) bool { return kind == "" || strings.HasPrefix(what, kind+" ") }
	if strings.Contains(q, "@") {
		for _, d := range v.docs() {
			if strings.HasPrefix(d.what, "recipient ") && wants(d.what) && sees(d.production) && strings.ToLower(d.texts[1]) == q {
				out = append(out, d.what)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	for class := 1; class <= 3; class++ {
		for _, d := range v.docs() {
			if wants(d.what) && sees(d.production) && fit(d.texts, q) == class {
				out = append(out, d.what)
			}
		}
	}
	return out
}

func (v *naive) failed(code string, sees func(string) bool) []string {
	var out []string
	for _, d := range v.seen {
		var units []string
		for _, e := range d.Events {
			if sees(d.Production) && e.Code == code {
				units = append(units, e.Unit)
			}
		}
		slices.Sort(units)
		for _, u := range slices.Backward(slices.Compact(units)) {
			out = append(out, "recipient "+d.ID+"."+u)
		}
	}
	return out
}

func (v *naive) find(f index.Filter, sees func(string) bool) []string {
	has := func(texts []string, q string) bool { return fit(texts, q) > 0 }
	address := ""
	var out []string
	for _, d := range v.seen {
		for _, r := range d.Recipients {
			if sees(d.Production) && strings.ToLower(r.Email) == f.Person {
				address = f.Person
			}
		}
	}
	for _, d := range v.seen {
		person, file, code, worker := f.Person == "", f.File == "", f.Error == "", f.Worker == ""
		for _, r := range d.Recipients {
			person = person || address == "" && has([]string{r.Name, r.Email}, f.Person) || address != "" && strings.ToLower(r.Email) == address
		}
		for _, x := range d.Files {
			file = file || has([]string{x.Name}, f.File) || x.SHA256 == f.File
		}
		for _, e := range d.Events {
			code, worker = code || has([]string{e.Code, e.Message}, f.Error), worker || e.Worker == f.Worker
		}
		end := d.Ended
		if end.IsZero() {
			end = f.Now
		}
		if sees(d.Production) && person && file && code && worker && (f.Title == "" || has([]string{d.Title}, f.Title)) &&
			(len(f.States) == 0 || slices.Contains(f.States, d.State)) && (f.After.IsZero() || d.Created.After(f.After)) &&
			(!f.Late || !d.Deadline.IsZero() && d.Deadline.Before(end)) {
			out = append(out, d.ID)
		}
	}
	return out
}

// Whoever looks for whatever, by pages of whatever size, is given all of theirs that a look at each thing finds, in that order,
// and nothing else: with everything looked through at once, and by slices.
func TestLikeNaive(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	for name, c := range map[string]struct {
		full  int
		hurry time.Duration
	}{
		"at once": {8192, time.Minute}, "small slices": {9, 1}, "large slices": {200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, uint64(c.full)))
			x := open(t)
			x.Narrow(c.full, c.hurry)
			v := fill(t, x, r)
			for range 40 {
				scope, sees := caller(r)
				q, kind := v.anything(r), ""
				if r.IntN(3) == 0 {
					kind = []string{"recipient", "file", "distribution"}[r.IntN(3)]
				}
				most := []int{3, 20, 100}[r.IntN(3)]
				want := v.search(q, kind, sees)
				got := whats(t, x, index.Query{Text: q, Kind: kind, Scope: scope, Most: most})
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Fatalf("seed %d: %v searches %s for %q by pages of %d: -want +got\n%s", seed, scope, kind, q, most, diff)
				}
				code := codes[r.IntN(len(codes))]
				got = whats(t, x, index.Query{Text: code, Scope: scope, Most: most})
				if diff := gocmp.Diff(v.failed(code, sees), got); diff != "" {
					t.Fatalf("seed %d: %v searches for %s: -want +got\n%s", seed, scope, code, diff)
				}
				f := v.filter(r)
				f.Scope, f.Most = scope, most
				got = ids(t, x, f)
				if diff := gocmp.Diff(v.find(f, sees), got); diff != "" {
					t.Fatalf("seed %d: find of %+v: -want +got\n%s", seed, f, diff)
				}
			}
		})
	}
}

var (
	syllables = strings.Fields("ana nab ban aba lan")
	codes     = strings.Fields("MAIL_REFUSED MAIL_DEFERRED MARK_HIDDEN NEVER_SEEN")
	states    = strings.Fields("running completed failed")
)

const naiveProductions = 24

func production(i int) string { return fmt.Sprint("production-", i) }

// caller may act in all productions, in none that there is, in one, in a few, or in more than FTS5 is asked for by name.
func caller(r *rand.Rand) (index.Scope, func(string) bool) {
	if r.IntN(5) == 0 {
		return all, func(string) bool { return true }
	}
	scope := index.Scope{Productions: []string{"none"}}
	n := []int{0, 1, 3, 20}[r.IntN(4)]
	for _, p := range r.Perm(naiveProductions)[:n] {
		scope.Productions = append(scope.Productions, production(p))
	}
	return scope, func(p string) bool { return slices.Contains(scope.Productions, p) }
}

func word(r *rand.Rand) string {
	w := ""
	for range 1 + r.IntN(2) {
		w += syllables[r.IntN(len(syllables))]
	}
	return w
}

// fill takes in distributions in another order than that of their creation, some in parts, and changes some of their people.
func fill(t *testing.T, x *index.Index, r *rand.Rand) *naive {
	v := &naive{}
	for second := range 100 {
		d := dist(second, strings.ToUpper(word(r))+" "+word(r))
		d.Production = production(r.IntN(naiveProductions) * r.IntN(2)) // half of all is in one
		d.Files = nil
		for range 1 + r.IntN(2) {
			d.Files = append(d.Files, event.File{SHA256: sha(r.IntN(20)), Name: word(r) + " " + word(r) + ".pdf"})
		}
		for i := range r.IntN(6) {
			p := person(word(r)+" "+word(r), word(r)+"."+word(r)+"@"+word(r)+".example")
			p.Number = i + 1
			d.Recipients = append(d.Recipients, p)
			if r.IntN(4) == 0 {
				d.Events = append(d.Events, event.Event{ID: fmt.Sprintf("%d-0", i+1), Time: begun, Kind: "attempt", Unit: fmt.Sprint("r", i+1), Step: "email", State: "failed",
					Code: codes[r.IntN(3)], Message: "no " + word(r), Worker: fmt.Sprint("w", r.IntN(3))})
			}
		}
		d.State = states[r.IntN(3)]
		d.Deadline = d.Created.Add(time.Duration(r.IntN(100)) * time.Second)
		if d.State != "running" {
			d.Ended = d.Created.Add(time.Duration(r.IntN(100)) * time.Second)
		}
		v.seen = append(v.seen, d)
	}
	for _, i := range r.Perm(len(v.seen)) {
		d := v.seen[i]
		if r.IntN(3) == 0 {
			was := d
			was.Recipients = slices.Clone(d.Recipients)
			for i := range was.Recipients {
				was.Recipients[i].Name, was.Recipients[i].Email = "nabucco", "nabucco@aba.example"
			}
			take(t, x, was)
		}
		take(t, x, d)
	}
	slices.SortFunc(v.seen, func(a, b index.Seen) int { return cmp.Compare(b.Created.Unix(), a.Created.Unix()) })
	return v
}

// anything is something to look for: a part of a text, some words, an address or the end of one.
func (v *naive) anything(r *rand.Rand) string {
	docs := v.docs()
	for {
		d := docs[r.IntN(len(docs))]
		text := strings.ToLower(d.texts[r.IntN(len(d.texts))])
		q := text
		switch r.IntN(6) {
		case 0:
			from := r.IntN(len(text))
			q = text[from : from+r.IntN(len(text)-from)]
		case 1:
			q = word(r)
		case 2:
			q = word(r) + " " + word(r)[:3]
		case 3:
			q = text[strings.IndexByte(text, '@')+1:]
		case 4:
			q = "@" + word(r) + ".example"
		}
		q = strings.Join(strings.Fields(q), " ")
		long := q != ""
		for _, w := range strings.Fields(q) {
			long = long && len(w) >= 3
		}
		if long {
			return q
		}
	}
}

func (v *naive) filter(r *rand.Rand) index.Filter {
	f := index.Filter{Now: begun.Add(time.Minute)}
	one := func(s *string, of func() string) {
		if r.IntN(4) == 0 {
			*s = of()
		}
	}
	one(&f.Person, func() string { return v.anything(r) })
	one(&f.File, func() string { return word(r) })
	if r.IntN(10) == 0 {
		f.File = sha(r.IntN(20))
	}
	one(&f.Error, func() string { return strings.ToLower(codes[r.IntN(4)]) })
	one(&f.Title, func() string { return word(r) })
	one(&f.Worker, func() string { return fmt.Sprint("w", r.IntN(4)) })
	f.States = states[:r.IntN(3)]
	f.Late = r.IntN(3) == 0
	if r.IntN(4) == 0 {
		f.After = begun.Add(time.Duration(r.IntN(100)) * time.Second)
	}
	return f
}

// whats are the things that a search finds.
func whats(t *testing.T, x *index.Index, q index.Query) (out []string) {
	t.Helper()
	for page := 0; ; page++ {
		hits, next, err := x.Search(t.Context(), q)
		if err != nil {
			t.Fatalf("Search(%q) after %q: %v", q.Text, q.After, err)
		}
		for _, h := range hits {
			out = append(out, fmt.Sprintf("%s %s.%s", h.Kind, h.Distribution, h.Unit))
		}
		if next == "" {
			return out
		}
		if page > 10_000 || next == q.After {
			t.Fatalf("Search(%q) does not come to an end: %q after %q", q.Text, next, q.After)
		}
		q.After = next
	}
}

// ids are the distributions that a filter chooses.
func ids(t *testing.T, x *index.Index, f index.Filter) (out []string) {
	t.Helper()
	for page := 0; ; page++ {
		found, next, err := x.Find(t.Context(), f)
		if err != nil {
			t.Fatalf("Find(%+v): %v", f, err)
		}
		for _, d := range found {
			out = append(out, d.ID)
		}
		if next == "" {
			return out
		}
		if page > 10_000 || next == f.From {
			t.Fatalf("Find(%+v) does not come to an end", f)
		}
		f.From = next
	}
}
