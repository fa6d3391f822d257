package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/link/internal/store"
)

func spec(id string) store.Spec {
	return store.Spec{
		Production: "p", ID: id, Distribution: "d", Mode: "link", Person: "anna@example.com", Lifetime: time.Hour,
		Content: store.Content{Title: "T", Documents: []store.Document{{Name: "x.pdf", Key: "art/x"}}},
	}
}

func claim(n int) store.Claim {
	return store.Claim{Hash: fmt.Sprintf("%064x", n*0x1f3d5b79), Key: 1, Generation: 1}
}

// Every script says what it is for, what it takes and what it returns.
func TestScriptsExplainThemselves(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("lua/*.lua")
	if err != nil || len(files) != 8 {
		t.Fatalf("got %d scripts, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"#!lua\n-- ", "\n-- KEYS 1", "\n-- ARGV 1", "\n-- Returns {code"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s does not say %q", name, want)
			}
		}
	}
}

// A crash between any two writes of making and revoking a link, in any order of the two callers, leaves no link that is
// revoked and opens.
func TestMakingMeetsRevoking(t *testing.T) {
	t.Parallel()
	s := store.New(redistest.New(t))
	ctx := t.Context()
	revokeID := func(id string) {
		_, _, err := s.RevokeID(ctx, "p", "d", id)
		if err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, when := range []string{"before", "after the claim", "after the record"} {
		for _, repeat := range []bool{false, true} {
			n++
			id := fmt.Sprintf("d.r%d", n)
			sp, c := spec(id), claim(n)
			var errs []error
			if when == "before" {
				revokeID(id)
			}
			got, err := s.Claim(ctx, sp, c)
			errs = append(errs, err)
			if when == "after the claim" {
				revokeID(id)
			}
			if err == nil {
				_, err = s.Put(ctx, sp, got)
				errs = append(errs, err)
			}
			if when == "after the record" {
				revokeID(id)
			}
			if repeat { // as after a crash
				got, err = s.Claim(ctx, sp, c)
				if err == nil {
					_, err = s.Put(ctx, sp, got)
				}
				errs = append(errs, err)
			}
			refused := errors.Is(errors.Join(errs...), store.ErrRevoked)
			if refused != (when != "after the record" || repeat) {
				t.Errorf("revoked %s, repeat %v: got %v", when, repeat, errs)
			}
			_, err = s.Open(ctx, c.Hash, time.Minute)
			if !errors.Is(err, store.ErrRevoked) && !errors.Is(err, store.ErrUnknown) {
				t.Errorf("revoked %s, repeat %v: a session was opened, or %v", when, repeat, err)
			}
		}
	}
}

func TestTheFirstClaimStays(t *testing.T) {
	t.Parallel()
	s := store.New(redistest.New(t))
	first, err := s.Claim(t.Context(), spec("d.r1"), claim(1))
	if err != nil || first != claim(1) {
		t.Fatalf("got %v %v", first, err)
	}
	// The key ring moved on; the link keeps its token.
	second := claim(2)
	second.Key = 2
	got, err := s.Claim(t.Context(), spec("d.r1"), second)
	if err != nil || got != first {
		t.Errorf("got %v %v, want the first claim", got, err)
	}
	all, err := s.Claims(t.Context(), "p", []string{"nobody", "d.r1"})
	if err != nil || len(all) != 2 || all[0] != (store.Claim{}) || all[1] != first {
		t.Errorf("got %v %v", all, err)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	client := redistest.New(t)
	s := store.New(client)
	make1(t, s, 1)
	var sessions []store.Session
	for range 30 {
		session, err := s.Open(t.Context(), claim(1).Hash, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, session)
	}
	open := 0
	for _, x := range sessions {
		hash, _, err := s.Enter(t.Context(), x.ID, x.Secret)
		switch {
		case err == nil && hash == claim(1).Hash:
			open++
		case !errors.Is(err, store.ErrUnknown):
			t.Fatalf("got %s %v", hash, err)
		}
	}
	if open != 20 {
		t.Errorf("%d sessions are open, want 20", open)
	}
	last := sessions[29]
	_, _, err := s.Enter(t.Context(), last.ID, last.Secret)
	if err != nil {
		t.Errorf("the newest session was not kept: %v", err)
	}
	_, _, err = s.Enter(t.Context(), last.ID, sessions[28].Secret)
	if !errors.Is(err, store.ErrUnknown) {
		t.Errorf("another session's secret: got %v", err)
	}
	for range 600 {
		err = errors.Join(s.Downloaded(t.Context(), claim(1).Hash), s.Opened(t.Context(), claim(1).Hash, store.Machine))
		if err != nil {
			t.Fatal(err)
		}
	}
	log, err := s.Log(t.Context(), claim(1).Hash)
	if err != nil || len(log) != 500 {
		t.Errorf("the log has %d entries, %v; want it capped", len(log), err)
	}
	l, err := s.FindOne(t.Context(), claim(1).Hash)
	if err != nil || l.Views != 30 || l.Downloads != 600 || l.OpensMachine != 600 {
		t.Errorf("got %+v %v", l, err)
	}
	if used := memory(t, client); used > 200_000 {
		t.Errorf("one link that is used as much as can be takes %d bytes", used)
	}
}

func make1(t *testing.T, s *store.Store, n int) {
	t.Helper()
	c, err := s.Claim(t.Context(), spec(fmt.Sprintf("d.r%d", n)), claim(n))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Put(t.Context(), spec(fmt.Sprintf("d.r%d", n)), c)
	if err != nil {
		t.Fatal(err)
	}
}

func memory(t *testing.T, client redis.UniversalClient) (used int64) {
	t.Helper()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		used += client.MemoryUsage(t.Context(), key, 0).Val()
	}
	return used
}

// All links of a large distribution end with the mark, before any record is touched; the records follow in pages.
func TestRevokingALargeDistribution(t *testing.T) {
	t.Parallel()
	client := redistest.New(t)
	s := store.New(client)
	const links = 250
	var hashes []string
	for n := 1; n <= links; n++ {
		make1(t, s, n)
		hashes = append(hashes, claim(n).Hash)
	}
	if per := memory(t, client) / links; per > 3000 {
		t.Errorf("a link takes %d bytes of Redis", per)
	}
	err := s.RevokeDistribution(t.Context(), "p", "d")
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.Find(t.Context(), hashes...)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range found {
		if !errors.Is(l.Err(), store.ErrRevoked) {
			t.Fatalf("%s: got %v, want it revoked", l.ID, l.Err())
		}
	}
	ended := 0
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		var page []store.Revoked
		page, after, err = s.RevokeMembers(t.Context(), "p", "d", after)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > 100 {
			t.Fatalf("a page of %d", len(page))
		}
		for _, r := range page {
			if r.Ended {
				ended++
			}
		}
	}
	if ended != links {
		t.Errorf("ended %d links, want %d", ended, links)
	}
	_, err = s.Claim(context.WithoutCancel(t.Context()), spec("d.r999"), claim(999))
	if !errors.Is(err, store.ErrRevoked) {
		t.Errorf("a link made later: got %v, want ErrRevoked", err)
	}
}
