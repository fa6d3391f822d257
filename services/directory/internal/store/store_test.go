package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

func TestStore(t *testing.T) {
	t.Parallel()
	client := redistest.New(t)
	for name, test := range map[string]func(*testing.T, redis.UniversalClient){
		"a production is made once":                  productionOnce,
		"productions are listed in pages":            productionPages,
		"a setting is changed and recorded":          settings,
		"a tenant is given to who may act there":     tenantByGrant,
		"a file is recorded once":                    fileOnce,
		"files are listed newest first":              filePages,
		"a verdict of ok is final, a refusal is not": verdicts,
		"a verdict ends with the setting it is from": openVerdicts,
		"a token is found by its secret's SHA-256":   tokens,
		"a revoked token stays revoked":              revokedTokens,
		"a device is one person's":                   devices,
		"a person's devices are bounded":             deviceBound,
		"an audit line is recorded once for a call":  auditOnce,
		"an audit is capped":                         auditCapped,
		"credentials are kept, opened and recorded":  credentials,
		"credentials are bounded":                    credentialBound,
		"people are put, found and deleted":          peopleLife,
		"of many who edit one person one is let":     peopleEdited,
		"lists have people":                          lists,
		"people and lists are bounded":               listBounds,
		"keys are of one production or of none":      keySpace,
	} {
		t.Run(name, func(t *testing.T) { test(t, client) })
	}
}

func sum(what string) string {
	s := sha256.Sum256([]byte(what))
	return hex.EncodeToString(s[:])
}

// tenant makes the production id and returns it.
func tenant(t *testing.T, s *store.Store, id string) store.Tenant {
	t.Helper()
	_, err := s.CreateProduction(t.Context(), id, "The "+id, store.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	in, _, err := s.In(t.Context(), store.Everywhere(), id)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func productionOnce(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	var wg sync.WaitGroup
	got := make([]store.Production, 20)
	for i := range got {
		wg.Go(func() {
			p, err := s.CreateProduction(t.Context(), "once", fmt.Sprintf("Name %d", i), store.Settings{OpenRestricted: i%2 == 0})
			if err != nil {
				t.Error(err)
			}
			got[i] = p
		})
	}
	wg.Wait()
	for _, p := range got {
		if p != got[0] || p.ID != "once" || p.Created.IsZero() {
			t.Errorf("got %+v and %+v, want all the same", got[0], p)
		}
	}
	for _, id := range []string{"", "UPPER", "a}b", "a{b", "-a", "*", strings.Repeat("a", 64)} {
		_, err := s.CreateProduction(t.Context(), id, "x", store.Settings{})
		if err == nil {
			t.Errorf("id %q was taken", id)
		}
	}
}

func settings(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	in := tenant(t, s, "set")
	for i, want := range []bool{false, true, true, false, true} {
		err := in.SetOpenRestricted(t.Context(), want, fmt.Sprint("call", i), "kim")
		if err != nil {
			t.Fatal(err)
		}
		_, p, err := s.In(t.Context(), store.Everywhere(), "set")
		if err != nil || p.OpenRestricted != want || p.Name != "The set" {
			t.Errorf("got %+v %v, want it to be %v", p, err, want)
		}
	}
	lines, err := client.XRange(t.Context(), "{p:set}:audit", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, l := range lines {
		said = append(said, fmt.Sprint(l.Values["call"], l.Values["who"], l.Values["what"], l.Values["about"]))
	}
	want := []string{"call1kimopen_restrictedon", "call3kimopen_restrictedoff", "call4kimopen_restrictedon"}
	if !slices.Equal(said, want) {
		t.Errorf("the audit has %q, want %q: what changed, and nothing else", said, want)
	}
	// As yesterday's was written: without the field.
	err = client.HDel(t.Context(), "{p:set}:production", "open_restricted").Err()
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.CreateProduction(t.Context(), "set", "The set", store.Settings{})
	if err != nil || again.OpenRestricted {
		t.Errorf("got %+v %v, want a production with the setting off", again, err)
	}
	err = client.Del(t.Context(), "{p:set}:production").Err()
	if err != nil {
		t.Fatal(err)
	}
	err = in.SetOpenRestricted(t.Context(), true, "call9", "kim")
	if !errors.Is(err, store.ErrNoProduction) {
		t.Errorf("got %v, want ErrNoProduction", err)
	}
}

func openVerdicts(t *testing.T, client redis.UniversalClient) {
	in := tenant(t, store.New(client), "open-verdicts")
	sha := sum("restricted")
	_, err := in.PutFile(t.Context(), sha, "a.pdf", 1)
	if err != nil {
		t.Fatal(err)
	}
	ok, no := store.Finding{Verdict: store.OK, Pages: 3}, store.Finding{Verdict: store.Refused, ErrorCode: "PDF_ENCRYPTED"}
	openOK, openNo := ok, no
	openOK.Open, openNo.Open = true, true
	for i, step := range []struct {
		found store.Finding
		want  store.Finding
	}{
		{openNo, openNo},
		{openOK, openOK},
		{openNo, openOK}, // final under the setting
		{no, no},         // the setting is off
		{openOK, openOK},
		{ok, ok}, // it needs no setting
		{no, ok},
		{openNo, ok},
	} {
		f, err := in.SetVerdict(t.Context(), sha, step.found)
		got := f.Finding
		got.Notes = nil
		if err != nil || fmt.Sprint(got) != fmt.Sprint(step.want) {
			t.Errorf("step %d: got %+v %v, want %+v", i, got, err, step.want)
		}
	}
}

func productionPages(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	var own []string
	for i := range 25 {
		id := fmt.Sprintf("page-%02d", i)
		own = append(own, id)
		_, err := s.CreateProduction(t.Context(), id, id, store.Settings{})
		if err != nil {
			t.Fatal(err)
		}
	}
	// As a crash between the index and the record leaves it.
	err := client.ZAdd(t.Context(), "{dir}:productions", redis.Z{Member: "page-07-ghost"}).Err()
	if err != nil {
		t.Fatal(err)
	}
	listed := func(grant store.Grant) (ids []string) {
		after := ""
		for {
			page, next, err := s.Productions(t.Context(), grant, after, 4)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > 4 || next != "" && len(page) != 4 {
				t.Fatalf("a page of %d with another after it", len(page))
			}
			for _, p := range page {
				ids = append(ids, p.ID)
			}
			if next == "" {
				return ids
			}
			after = next
		}
	}
	all := listed(store.Everywhere())
	if !slices.IsSorted(all) || slices.Contains(all, "page-07-ghost") {
		t.Errorf("got %q, want them sorted and without what has no record", all)
	}
	pages := slices.DeleteFunc(all, func(id string) bool { return !strings.HasPrefix(id, "page-") })
	if !slices.Equal(pages, own) {
		t.Errorf("got %q, want %q", pages, own)
	}
	some := []string{"page-20", "page-03", "no-such", "page-03", "page-07-ghost", "page-11", "page-12", "page-13", "a}b"}
	if got, want := listed(store.Grant{Productions: some}), []string{"page-03", "page-11", "page-12", "page-13", "page-20"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := listed(store.Grant{}); got != nil {
		t.Errorf("who may act nowhere got %q", got)
	}
}

func tenantByGrant(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	tenant(t, s, "mine")
	tenant(t, s, "theirs")
	_, p, err := s.In(t.Context(), store.Grant{Productions: []string{"mine"}}, "mine")
	if err != nil || p.Name != "The mine" {
		t.Errorf("got %+v %v", p, err)
	}
	for _, c := range []struct {
		grant store.Grant
		id    string
	}{
		{store.Grant{}, "mine"},
		{store.Grant{Productions: []string{"mine"}}, "theirs"},
		{store.Grant{Productions: []string{"mine", "nowhere"}}, "nowhere"},
		{store.Everywhere(), "nowhere"},
		{store.Everywhere(), "a}b"},
		{store.Everywhere(), ""},
	} {
		_, _, err := s.In(t.Context(), c.grant, c.id)
		if !errors.Is(err, store.ErrNoProduction) {
			t.Errorf("%+v in %q: got %v, want ErrNoProduction", c.grant, c.id, err)
		}
	}
}

func fileOnce(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	a, b := tenant(t, s, "files-a"), tenant(t, s, "files-b")
	first, err := a.PutFile(t.Context(), sum("x"), "first.pdf", 7)
	if err != nil {
		t.Fatal(err)
	}
	if first.Name != "first.pdf" || first.Size != 7 || first.Verdict != store.Unknown || first.Created.IsZero() || first.SHA256 != sum("x") {
		t.Errorf("got %+v", first)
	}
	again, err := a.PutFile(t.Context(), sum("x"), "second.pdf", 7)
	if err != nil || again.Name != "first.pdf" || !again.Created.Equal(first.Created) {
		t.Errorf("got %+v %v, want the record there was", again, err)
	}
	_, err = b.File(t.Context(), sum("x"))
	if !errors.Is(err, store.ErrNoFile) {
		t.Errorf("got %v, want that another production has it not", err)
	}
	page, _, err := a.Files(t.Context(), 0, 10)
	if err != nil || len(page) != 1 {
		t.Errorf("got %d files %v, want 1", len(page), err)
	}
}

func filePages(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	in := tenant(t, s, "file-pages")
	put := func(name string) {
		t.Helper()
		_, err := in.PutFile(t.Context(), sum(name), name, 1)
		if err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for i := range 11 {
		name := fmt.Sprintf("%d.pdf", i)
		put(name)
		want = slices.Insert(want, 0, name)
	}
	var got []string
	for before, pages := int64(0), 0; ; pages++ {
		page, next, err := in.Files(t.Context(), before, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page {
			got = append(got, f.Name)
		}
		put(fmt.Sprintf("meanwhile %d.pdf", pages)) // must not turn up on a later page
		if next == 0 {
			break
		}
		before = next
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func verdicts(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	in := tenant(t, s, "verdicts")
	_, err := in.PutFile(t.Context(), sum("v"), "v.pdf", 1)
	if err != nil {
		t.Fatal(err)
	}
	set := func(f store.Finding) store.File {
		t.Helper()
		got, err := in.SetVerdict(t.Context(), sum("v"), f)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	refused := store.Finding{Verdict: store.Refused, ErrorCode: "PDF_BROKEN", ErrorMessage: "it is broken"}
	ok := store.Finding{Verdict: store.OK, Pages: 3, Notes: []string{"2 signatures lose their value", "ä"}}
	for range 2 {
		got := set(refused)
		if got.Verdict != store.Refused || got.ErrorCode != "PDF_BROKEN" || got.ErrorMessage != "it is broken" {
			t.Errorf("got %+v", got)
		}
	}
	for _, f := range []store.Finding{ok, ok, refused} {
		got := set(f)
		if got.Verdict != store.OK || got.Pages != 3 || got.ErrorCode != "" || !slices.Equal(got.Notes, ok.Notes) || got.Name != "v.pdf" {
			t.Errorf("after %+v: got %+v", f, got)
		}
	}
	_, err = in.SetVerdict(t.Context(), sum("no such"), ok)
	if !errors.Is(err, store.ErrNoFile) {
		t.Errorf("got %v, want ErrNoFile", err)
	}
}

// keySpace holds all that the tests wrote against the two prefixes that directory owns.
func keySpace(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	_, err := tenant(t, s, "space").PutFile(t.Context(), sum("k"), "k", 1)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := client.Keys(context.WithoutCancel(t.Context()), "*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("got %d keys, %v", len(keys), err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "{dir}:") && !strings.HasPrefix(key, "{p:") {
			t.Errorf("key %q is in nobody's slot", key)
		}
	}
}

func TestEveryScriptSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("lua/*.lua")
	if err != nil || len(paths) == 0 {
		t.Fatalf("got %d scripts, %v", len(paths), err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		if lines[0] != "#!lua" {
			t.Errorf("%s does not start with #!lua, so Redis would let it touch keys of two slots", path)
		}
		header := ""
		for _, line := range lines[1:] {
			if !strings.HasPrefix(line, "--") {
				break
			}
			header += line + "\n"
		}
		for _, part := range []string{"-- KEYS 1 ", "-- Returns {code"} {
			if !strings.Contains(header, part) {
				t.Errorf("%s: its header lacks %q", path, part)
			}
		}
		if strings.Contains(string(data), "ARGV[") && !strings.Contains(header, "-- ARGV 1 ") {
			t.Errorf("%s: its header does not name its arguments", path)
		}
	}
}
