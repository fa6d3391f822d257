package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

func newArchived(t *testing.T) (*redistest.Server, *store.Store, *repeated) {
	t.Helper()
	server := redistest.Start(t)
	for _, source := range store.Scripts(t) { // else laying out is left to a chore
		err := server.Client.ScriptLoad(t.Context(), source).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	st, err := store.Open(t.Context(), server.Client, 1)
	if err != nil {
		t.Fatal(err)
	}
	return server, st, newRepeated(t, st, server.Client)
}

func TestEventsOfWhatRunsStay(t *testing.T) {
	t.Parallel()
	_, st, r := newArchived(t)
	r.ready()
	last, _, err := st.LastEvent(t.Context(), "p", "D1")
	r.must(err)
	_, err = st.Archived(t.Context(), "p", "D1", store.Archive{Ended: time.Now(), LastEvent: last, SHA256: "a"})
	if !errors.Is(err, store.ErrOpen) {
		t.Errorf("it answers %v, want %v", err, store.ErrOpen)
	}
	all, _, err := st.Events(t.Context(), "p", "D1", "", 100)
	if err != nil || len(all) == 0 || all[len(all)-1].ID != last {
		t.Errorf("events %v, %v", all, err)
	}
}

// Only events that the archive of this very end has are deleted, and never one that came later.
func TestEventsLeaveOnlyForTheArchiveOfTheirEnd(t *testing.T) {
	t.Parallel()
	server, st, r := newArchived(t)
	told := func(production string, a store.Archive, want error) bool {
		t.Helper()
		more, err := st.Archived(t.Context(), production, "D1", a)
		if !errors.Is(err, want) {
			t.Errorf("told of %+v it answers %v, want %v", a, err, want)
		}
		return more
	}
	size := func() int64 {
		n, err := server.Client.XLen(t.Context(), "{0}:ev:D1").Result()
		r.must(err)
		return n
	}
	r.failed()
	d, err := st.Get(t.Context(), "p", "D1")
	r.must(err)
	all, _, err := st.Events(t.Context(), "p", "D1", "", 100)
	r.must(err)
	n := len(all)
	last := all[n-1].ID
	told("other", store.Archive{Ended: d.Ended, LastEvent: last, SHA256: "a"}, store.ErrNotFound)
	told("p", store.Archive{Ended: d.Ended.Add(time.Millisecond), LastEvent: last, SHA256: "a"}, store.ErrOutdated)
	if size() != int64(n) {
		t.Fatalf("refused calls left %d events of %d", size(), n)
	}
	kept, next, err := st.Kept(t.Context(), time.Time{}, 10)
	if err != nil || len(kept) != 1 || !next.IsZero() {
		t.Errorf("kept %v, next %v, %v", kept, next, err)
	}

	// All but the last is archived.
	if !told("p", store.Archive{Ended: d.Ended, LastEvent: all[n-2].ID, SHA256: "a"}, nil) || size() != 1 {
		t.Errorf("%d events are left, want the one that came later", size())
	}
	told("p", store.Archive{Ended: d.Ended, LastEvent: all[n-2].ID, SHA256: "b"}, store.ErrOther)
	for _, cursor := range []string{"", all[0].ID, all[n-3].ID} {
		_, _, err = st.Events(t.Context(), "p", "D1", cursor, 100)
		if !errors.Is(err, store.ErrArchived) {
			t.Errorf("after %q: %v", cursor, err)
		}
	}
	left, _, err := st.Events(t.Context(), "p", "D1", all[n-2].ID, 100)
	if err != nil || fmt.Sprint(left) != fmt.Sprint(all[n-1:]) {
		t.Errorf("left %v, %v", left, err)
	}
	if told("p", store.Archive{Ended: d.Ended, LastEvent: last, SHA256: "b"}, nil) || size() != 0 {
		t.Errorf("%d events are left", size())
	}
	// An archive that has less was told of late.
	told("p", store.Archive{Ended: d.Ended, LastEvent: all[n-2].ID, SHA256: "a"}, nil)
	at, archived, err := st.LastEvent(t.Context(), "p", "D1")
	if err != nil || at != last || archived != last {
		t.Errorf("the last event is %s, archived %s, %v", at, archived, err)
	}
	kept, _, err = st.Kept(t.Context(), time.Time{}, 10)
	if err != nil || len(kept) != 0 {
		t.Errorf("kept %v, %v", kept, err)
	}

	// Ids go on growing, whatever the clock does.
	_, err = server.Client.Do(t.Context(), "XADD", "{0}:ev:D1", "1-1", "k", "view").Result()
	if err == nil {
		t.Error("an event came before the archived ones")
	}
}
