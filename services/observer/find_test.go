package observer_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/observer"
)

// trouble makes some of what is done fail: the copies of Person 2 for good, the mail to p3 the first two times.
func (w *world) trouble() {
	stamp, send := w.stamp, w.send
	w.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		if strings.HasSuffix(r.GetItem(), ".1.2") {
			return nil, fault.New(fault.Invalid, "MARK_HIDDEN", "the mark of %s would be hidden on page 3", r.GetItem())
		}
		return stamp(ctx, r)
	}
	tried := make(chan struct{}, 2)
	w.send = func(ctx context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		if strings.HasPrefix(r.GetTo().GetEmail(), "p3@") {
			select {
			case tried <- struct{}{}:
				return nil, fault.New(fault.Unavailable, "MAIL_DEFERRED", "451 4.7.1 greylisted, come back later")
			default:
			}
		}
		return send(ctx, r)
	}
}

func (w *world) endedAt(production, id string) *distributionv1.Distribution {
	w.t.Helper()
	var d *distributionv1.Distribution
	w.until(func() bool {
		resp, err := w.distributions.GetDistribution(w.t.Context(), &distributionv1.GetDistributionRequest{Production: production, Distribution: id})
		if err != nil {
			w.t.Fatal(err)
		}
		d = resp.GetDistribution()
		return d.GetEndedAt() != nil
	}, func() any { return d })
	return d
}

// found asks until the index has so many distributions that have ended.
func (w *world) found(ctx context.Context, n int) []*distributionv1.Distribution {
	w.t.Helper()
	var got *observerv1.FindDistributionsResponse
	w.until(func() bool {
		var err error
		got, err = w.observer.FindDistributions(ctx, &observerv1.FindDistributionsRequest{})
		if err != nil {
			w.t.Fatal(err)
		}
		ended := 0
		for _, d := range got.GetDistributions() {
			if d.GetEndedAt() != nil {
				ended++
			}
		}
		return ended == n
	}, func() any { return got })
	return got.GetDistributions()
}

// Whatever happened while there was no observer, also when word of it was thrown away, is in the index afterwards, and an
// index that is made anew holds the same.
func TestIndexMissesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorld(t, func(d *observer.Deps) { d.Dir = dir })
	w.trouble()
	stop := w.work("worker-1")
	first := w.create("default", 2, 5)
	w.endedAt("default", first)
	w.found(t.Context(), 1)
	open := w.create("other", 1, 30)
	w.stopObserver()
	second := w.create("other", 1, 4)
	_, err := w.distributions.RetryDistribution(t.Context(), &distributionv1.RetryDistributionRequest{Production: "default", Distribution: first})
	if err != nil {
		t.Fatal(err)
	}
	w.endedAt("other", second)
	w.endedAt("other", open)
	w.endedAt("default", first)
	stop()
	cancelled := w.create("default", 1, 3)
	_, err = w.distributions.CancelDistribution(t.Context(), &distributionv1.CancelDistributionRequest{Production: "default", Distribution: cancelled})
	if err != nil {
		t.Fatal(err)
	}
	w.endedAt("default", cancelled)
	for shard := range 2 {
		err = w.redis.Client.XTrimMaxLen(t.Context(), fmt.Sprintf("{%d}:changed", shard), 0).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.work("worker-2")
	last := w.create("default", 1, 1)
	w.endedAt("default", last)
	w.startObserver(func(d *observer.Deps) { d.Dir = dir })
	all := w.found(t.Context(), 5)
	for _, d := range all {
		if want := w.endedAt(d.GetProduction(), d.GetId()); d.GetState() != want.GetState() || d.GetItems().GetDone() != want.GetItems().GetDone() {
			t.Errorf("the index has %v, want %v", d, want)
		}
	}
	w.stopObserver()
	was := dump(t, dir)
	anew := t.TempDir()
	w.startObserver(func(d *observer.Deps) { d.Dir = anew })
	w.found(t.Context(), 5)
	w.stopObserver()
	if diff := cmp.Diff(was, dump(t, anew)); diff != "" {
		t.Errorf("an index made anew is another: -was +is\n%s", diff)
	}
	w.startObserver(func(d *observer.Deps) { d.Dir = anew })
}

// dump writes down all that an index holds, apart from the places of its rows.
func dump(t *testing.T, dir string) (lines []string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range []string{
		`SELECT id, run, production, title, state, mode, definition, version, created, started, ended, deadline, items, items_done, items_failed, recipients,
			parent, code, stopped, failing, position, hex(body) FROM distributions ORDER BY id`,
		"SELECT d.id, doc & 1048575, sha256, name FROM files JOIN distributions d ON d.n = doc >> 20 ORDER BY 1, 2",
		"SELECT d.id, doc & 1048575, name, email, r.state, message_id, r.code, message, sent FROM recipients r JOIN distributions d ON d.n = doc >> 20 ORDER BY 1, 2",
		"SELECT d.id, doc & 1048575, m.id FROM messages m JOIN distributions d ON d.n = doc >> 20 ORDER BY 1, 2, 3",
		"SELECT d.id, worker FROM workers w JOIN distributions d ON d.n = w.n ORDER BY 1, 2",
		"SELECT d.id, unit, step, f.code, message, worker, recipient, attempts, first, last, f.state FROM failures f JOIN distributions d ON d.n = f.n ORDER BY 1, 2, 3, 4",
		"SELECT d.id, e.code, message FROM errors e JOIN distributions d ON d.n = doc >> 20 ORDER BY 1, 2, 3",
		"SELECT 'words', d.id, w.rowid & 1048575 FROM words w JOIN distributions d ON d.n = w.rowid >> 20 ORDER BY 2, 3",
		`SELECT 'Person', d.id, w.rowid & 1048575 FROM words w JOIN distributions d ON d.n = w.rowid >> 20 WHERE words MATCH 'person : "person"' ORDER BY 2, 3`,
	} {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			cells := make([]any, len(columns))
			for i := range cells {
				cells[i] = new(sql.NullString)
			}
			err = rows.Scan(cells...)
			if err != nil {
				t.Fatal(err)
			}
			var line []string
			for _, c := range cells {
				s, _ := c.(*sql.NullString)
				line = append(line, s.String)
			}
			lines = append(lines, strings.Join(line, " | "))
		}
		err = rows.Err()
		if err != nil {
			t.Fatal(err)
		}
		_ = rows.Close()
	}
	if len(lines) < 100 {
		t.Fatalf("the index holds %d lines, want more", len(lines))
	}
	return lines
}

// Whatever is at hand leads to the thing, for who may see it.
func TestSearchAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.trouble()
	w.work("worker-1")
	id := w.create("default", 2, 5)
	w.endedAt("default", id)
	w.found(t.Context(), 1)
	mine := w.as(accessv1.Role_ROLE_COORDINATOR, "default")
	search := func(ctx context.Context, query string) *observerv1.SearchResponse {
		t.Helper()
		got, err := w.observer.Search(ctx, &observerv1.SearchRequest{Query: query})
		if err != nil {
			t.Fatalf("Search(%q): %v", query, err)
		}
		return got
	}
	for query, want := range map[string]string{
		id:                      "distribution Pages completed_with_failures MARK_HIDDEN",
		id + ".1.2":             "item 0001.pdf failed MARK_HIDDEN",
		id + ".2.2":             "item 0002.pdf done ",
		id + ".r3":              "recipient Person 3 sent ",
		"person 3":              "recipient Person 3 sent ",
		"p4@example":            "recipient Person 4 sent ",
		"MARK_HIDDEN":           "item 0001.pdf failed MARK_HIDDEN",
		fmt.Sprintf("%064x", 2): "file 0002.pdf  ",
		"<" + id + ".r3@x>":     "",
		"0001.pd":               "file 0001.pdf  ",
	} {
		got := search(mine, query)
		text := ""
		if len(got.GetHits()) > 0 {
			h := got.GetHits()[0]
			text = fmt.Sprintf("%s %s %s %s", h.GetKind(), h.GetName(), h.GetState(), h.GetCode())
		}
		if text != want {
			t.Errorf("Search(%q) = %q, want %q", query, text, want)
		}
		if got.GetFreshness().GetAsOf() == nil || got.GetFreshness().GetIndexLag() == nil {
			t.Errorf("Search(%q) does not say of when it is: %v", query, got.GetFreshness())
		}
		other := search(w.as(accessv1.Role_ROLE_COORDINATOR, "other"), query)
		if len(other.GetHits()) > 0 {
			t.Errorf("Search(%q) tells somebody of another production %v", query, other.GetHits())
		}
	}
	for _, call := range []func(context.Context) error{
		func(ctx context.Context) error {
			_, err := w.observer.Search(ctx, &observerv1.SearchRequest{Query: "ada", Production: "default"})
			return err
		},
		func(ctx context.Context) error {
			_, err := w.observer.FindDistributions(ctx, &observerv1.FindDistributionsRequest{Production: "default"})
			return err
		},
	} {
		err := call(w.as(accessv1.Role_ROLE_COORDINATOR, "other"))
		if f := fault.From(err); err == nil || f.Reason != "PRODUCTION_UNKNOWN" {
			t.Errorf("got %v, want PRODUCTION_UNKNOWN", err)
		}
	}
	for name, c := range map[string]struct {
		req  *observerv1.FindDistributionsRequest
		want int
	}{
		"person": {&observerv1.FindDistributionsRequest{Person: "erson 4"}, 1},
		"error":  {&observerv1.FindDistributionsRequest{Error: "greylisted"}, 1},
		"code":   {&observerv1.FindDistributionsRequest{Error: "MARK_HIDDEN", Worker: "worker-1"}, 1},
		"state":  {&observerv1.FindDistributionsRequest{States: []string{"completed"}}, 0},
		"file":   {&observerv1.FindDistributionsRequest{File: "0002", Title: "pages", Definition: "send-documents"}, 1},
	} {
		got, err := w.observer.FindDistributions(mine, c.req)
		if err != nil || len(got.GetDistributions()) != c.want {
			t.Errorf("%s: got %v, %v, want %d", name, got, err, c.want)
		}
	}
	// A run that a program reported is found like anything else.
	_, err := w.observer.ReportRun(mine, &observerv1.ReportRunRequest{Production: "default", Id: "import-1", Run: &observerv1.Run{Name: "nightly-import", State: "running"}})
	if err != nil {
		t.Fatal(err)
	}
	var got *observerv1.SearchResponse
	w.until(func() bool {
		got = search(mine, "nightly")
		return len(got.GetHits()) == 1 && got.GetHits()[0].GetKind() == "run"
	}, func() any { return got })
}
