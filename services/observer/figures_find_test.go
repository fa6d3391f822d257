package observer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/redistest"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer"
	"github.com/filigreehq/filigree/services/observer/internal/index"
	"github.com/filigreehq/filigree/services/observer/internal/index/sample"
)

// searchGoal is what a search may take, whatever it is for, whoever asks.
const searchGoal = 100 * time.Millisecond

// TestFiguresFind prints what docs/benchmarks.md says of finding things among 100,000 distributions with a million recipients, over
// gRPC, for each kind of question and of caller. It fails where an answer takes longer than the goal. Filling the index takes
// minutes: FILIGREE_INDEX names a folder in which it is kept for the next time.
func TestFiguresFind(t *testing.T) {
	if os.Getenv("FILIGREE_FIGURES") == "" {
		t.Skip("FILIGREE_FIGURES is not set: times are taken by make bench, on a machine that does nothing else")
	}
	size := 100_000
	if n, err := strconv.Atoi(os.Getenv("FILIGREE_INDEX_SIZE")); err == nil {
		size = n
	}
	dir := os.Getenv("FILIGREE_INDEX")
	if dir == "" {
		dir = t.TempDir()
	}
	s := filled(t, dir, size)
	w := newWorldOn(t, redistest.Start(t), func(w *world) func(*observer.Deps) {
		w.look = 2 * time.Second
		return func(d *observer.Deps) { d.Dir = dir }
	})
	many := []string{sample.Production(3)}
	for i := range 30 {
		many = append(many, fmt.Sprint("elsewhere-", i))
	}
	callers := []struct {
		name string
		ctx  context.Context
	}{
		{"all", t.Context()},
		{"one of seven", w.as(accessv1.Role_ROLE_COORDINATOR, sample.Production(3))},
		{"three", w.as(accessv1.Role_ROLE_COORDINATOR, sample.Production(1), sample.Production(4), sample.Production(5))},
		{"one, and 30 without anything", w.as(accessv1.Role_ROLE_COORDINATOR, many...)},
		{"none of those", w.as(accessv1.Role_ROLE_COORDINATOR, "other")},
	}
	pick := func(from []string, i int) string { return from[i*7919%len(from)] }
	searches := []struct {
		name string
		text func(i int) string
	}{
		{"a distribution's id", func(i int) string { return pick(s.IDs, i) }},
		{"a Message-ID", func(i int) string { return "<" + pick(s.Messages, i) + ">" }},
		{"a SHA-256", func(i int) string { return fmt.Sprintf("%064x", i*7919%size) }},
		{"a code", func(int) string { return "MAIL_REFUSED" }},
		{"a name", func(i int) string { return pick(s.Names, i) }},
		{"an address", func(i int) string { return pick(s.Mails, i) }},
		{"an address that is not there", func(i int) string { return "x" + pick(s.Mails, i) }},
		{"a part of a name", func(i int) string { return pick(sample.Last, i)[1:5] }},
		{"a domain that a fortieth has", func(i int) string { return fmt.Sprintf("@unit%d.example.com", i%sample.Domains) }},
		{"the end of a domain that a fortieth has", func(i int) string { return fmt.Sprintf("unit%d.example.com", i%sample.Domains) }},
		{"what all addresses have", func(int) string { return "example.com" }},
		{"a number in a title", func(i int) string { return strconv.Itoa(i * 7919 % size) }},
		{"nothing", func(i int) string { return "zzyzx" + strconv.Itoa(i) }},
		{"common letters that nothing has in a row", func(i int) string { return pick(sample.Last, i)[1:5] + "2@unit1.example.co.com" }},
		{"common words of which nobody has both", func(i int) string { return "@unit3.example @unit4.example" }},
	}
	finds := []struct {
		name string
		req  *observerv1.FindDistributionsRequest
	}{
		{"find all", &observerv1.FindDistributionsRequest{}},
		{"find failed", &observerv1.FindDistributionsRequest{States: []string{"failed"}}},
		{"find a state that nothing is in", &observerv1.FindDistributionsRequest{States: []string{"paused"}}},
		{"find late", &observerv1.FindDistributionsRequest{Late: true}},
		{"find a definition that nothing has", &observerv1.FindDistributionsRequest{Definition: "nobodys"}},
		{"find a person", &observerv1.FindDistributionsRequest{Person: "lovelace"}},
		{"find a domain", &observerv1.FindDistributionsRequest{Person: "@unit2.example.com"}},
		{"find a person, failed", &observerv1.FindDistributionsRequest{Person: "hopper", States: []string{"failed"}}},
		{"find a person, an error", &observerv1.FindDistributionsRequest{Person: "@unit2.example.com", Error: "no such user"}},
		{"find a person, a title that nothing has", &observerv1.FindDistributionsRequest{Person: "example.com", Title: "nobodys"}},
	}
	_, err := w.observer.Search(t.Context(), &observerv1.SearchRequest{Query: "example.com"}) // the first opens files
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range callers {
		for _, q := range searches {
			measured(t, q.name, c.name, func(i int, token string) (int, string, error) {
				got, err := w.observer.Search(c.ctx, &observerv1.SearchRequest{Query: q.text(i), PageToken: token})
				return len(got.GetHits()), got.GetNextPageToken(), err
			})
		}
		for _, f := range finds {
			measured(t, f.name, c.name, func(_ int, token string) (int, string, error) {
				f.req.PageToken = token
				got, err := w.observer.FindDistributions(c.ctx, f.req)
				return len(got.GetDistributions()), got.GetNextPageToken(), err
			})
		}
	}
}

// filled makes an index in dir, unless there is one.
func filled(t *testing.T, dir string, size int) *sample.Sample {
	s := sample.New(size)
	_, err := os.Stat(filepath.Join(dir, "index.db"))
	if err == nil {
		err = s.Know()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	x, err := index.Open(filepath.Join(dir, "index.db"), false)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Fill(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	err = x.Close()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// measured asks a question 40 times, and the first time until there is something, or nothing more.
func measured(t *testing.T, what, whose string, ask func(i int, token string) (int, string, error)) {
	t.Helper()
	var took []time.Duration
	pages, hits := 0, 0
	for i := range 40 {
		token := ""
		for page := 1; ; page++ {
			began := time.Now()
			n, next, err := ask(i, token)
			if err != nil {
				t.Fatalf("%s, %s: %v", what, whose, err)
			}
			took = append(took, time.Since(began))
			if i > 0 {
				break
			}
			pages, hits, token = page, hits+n, next
			if n > 0 || next == "" {
				break
			}
		}
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	end := ""
	if pages > 1 {
		end = fmt.Sprintf(", %d pages until something or the end", pages)
	}
	t.Logf("%-42s %-30s p50 %6.2f ms, p99 %6.2f ms, %d found%s", what, whose, ms(p50), ms(p99), hits, end)
	if p99 > searchGoal {
		t.Errorf("%s, %s: p99 is %s, and is to be at most %s", what, strings.TrimSpace(whose), p99, searchGoal)
	}
}
