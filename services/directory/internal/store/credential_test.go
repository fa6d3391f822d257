package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/directory/internal/store"
)

func names(t *testing.T, v store.Safe) []string {
	t.Helper()
	list, err := v.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}

func credentials(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	owned := tenant(t, s, "safe")
	for audit, v := range map[string]store.Safe{"{p:safe}:audit": owned.Safe(), "{dir}:audit": s.StudioSafe()} {
		for i, name := range []string{"smtp", "drive", "smtp"} {
			changed, err := v.Put(t.Context(), name, fmt.Sprint("sealed ", i), "tok_ada", fmt.Sprint("put ", i))
			if err != nil || changed.IsZero() {
				t.Fatal(changed, err)
			}
		}
		if got := names(t, v); !slices.Equal(got, []string{"drive", "smtp"}) {
			t.Errorf("got %q, want each once and in order", got)
		}
		list, err := v.List(t.Context())
		if err != nil || list[1].ChangedBy != "tok_ada" || list[1].Changed.IsZero() {
			t.Errorf("got %+v, %v", list, err)
		}
		for range 2 {
			sealed, err := v.Open(t.Context(), "smtp", "service:email", "the same call")
			if err != nil || sealed != "sealed 2" {
				t.Errorf("got %q, %v, want the last one put", sealed, err)
			}
		}
		_, err = v.Open(t.Context(), "none", "service:email", "another call")
		if !errors.Is(err, store.ErrNoCredential) {
			t.Errorf("got %v, want ErrNoCredential", err)
		}
		for range 2 {
			err = v.Delete(t.Context(), "smtp", "tok_bob", "delete")
			if err != nil {
				t.Error(err)
			}
		}
		_, err = v.Open(t.Context(), "smtp", "service:email", "a third call")
		if !errors.Is(err, store.ErrNoCredential) || !slices.Equal(names(t, v), []string{"drive"}) {
			t.Errorf("got %v and %q, want it gone", err, names(t, v))
		}
		lines, err := client.XRange(t.Context(), audit, "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range lines {
			got = append(got, fmt.Sprint(l.Values["who"], " ", l.Values["what"], " ", l.Values["about"]))
		}
		want := []string{
			"tok_ada put_credential smtp", "tok_ada put_credential drive", "tok_ada put_credential smtp",
			"service:email open_credential smtp", "tok_bob delete_credential smtp",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", audit, got, want)
		}
	}
	if got := names(t, tenant(t, s, "safe-elsewhere").Safe()); len(got) != 0 {
		t.Errorf("another production has %q", got)
	}
	err := client.Del(t.Context(), "{p:safe}:production").Err()
	if err != nil {
		t.Fatal(err)
	}
	_, err = owned.Safe().Put(t.Context(), "late", "sealed", "tok_ada", "late")
	if !errors.Is(err, store.ErrNoProduction) || slices.Contains(names(t, owned.Safe()), "late") {
		t.Errorf("got %v, want ErrNoProduction and nothing kept", err)
	}
}

func credentialBound(t *testing.T, client redis.UniversalClient) {
	v := tenant(t, store.New(client), "full").Safe()
	const over = 20
	var full sync.Map
	var wg sync.WaitGroup
	for i := range store.MaxCredentials + over {
		wg.Go(func() {
			_, err := v.Put(t.Context(), fmt.Sprint("c", i), "sealed", "tok_ada", fmt.Sprint(i))
			if errors.Is(err, store.ErrTooManyCredentials) {
				full.Store(i, true)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	refused := 0
	full.Range(func(any, any) bool { refused++; return true })
	if got := names(t, v); len(got) != store.MaxCredentials || refused != over {
		t.Errorf("%d are there and %d were refused, want %d and %d", len(got), refused, store.MaxCredentials, over)
	}
	_, err := v.Put(t.Context(), names(t, v)[0], "sealed anew", "tok_ada", "again")
	if err != nil {
		t.Errorf("one that is there cannot be changed: %v", err)
	}
}
