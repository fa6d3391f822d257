package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/directory/internal/store"
)

func tokens(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	want := store.Token{SHA256: sum("secret"), Role: "coordinator", Grant: store.Grant{Productions: []string{"a", "b"}}, Note: "Kim"}
	id, err := s.CreateToken(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	other := want
	other.Role = "admin"
	again, err := s.CreateToken(t.Context(), other)
	if err != nil || again != id {
		t.Errorf("got %s %v, want %s again", again, err, id)
	}
	got, err := s.Token(t.Context(), sum("secret"))
	if err != nil || got.ID != id || got.Role != "coordinator" || got.Note != "Kim" || got.Grant.All || !slices.Equal(got.Grant.Productions, []string{"a", "b"}) {
		t.Errorf("got %+v %v", got, err)
	}
	if len(id) > 64 || strings.Contains(sum("secret")[32:], id) {
		t.Errorf("id %q", id)
	}
	sameHalf := sum("secret")[:32] + sum("another")[32:]
	for _, unknown := range []string{sameHalf, sum("another"), "", "ab"} {
		_, err = s.Token(t.Context(), unknown)
		if !errors.Is(err, store.ErrNoToken) {
			t.Errorf("%q: got %v, want ErrNoToken", unknown, err)
		}
	}
	_, err = s.CreateToken(t.Context(), store.Token{SHA256: sum("all"), Role: "oncall", Grant: store.Everywhere()})
	if err != nil {
		t.Fatal(err)
	}
	got, err = s.Token(t.Context(), sum("all"))
	if err != nil || !got.Grant.All {
		t.Errorf("got %+v %v, want a grant for all", got, err)
	}
}

func revokedTokens(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	token := store.Token{SHA256: sum("revoked"), Role: "admin", Grant: store.Everywhere()}
	id, err := s.CreateToken(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err = s.RevokeToken(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Token(t.Context(), sum("revoked"))
		if !errors.Is(err, store.ErrNoToken) {
			t.Errorf("got %v, want ErrNoToken", err)
		}
		_, err = s.CreateToken(t.Context(), token)
		if !errors.Is(err, store.ErrRevoked) {
			t.Errorf("got %v, want ErrRevoked", err)
		}
	}
	err = s.RevokeToken(t.Context(), "tok_none")
	if !errors.Is(err, store.ErrNoToken) {
		t.Errorf("got %v, want ErrNoToken", err)
	}
}

func auditOnce(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	in := tenant(t, s, "audited")
	for _, call := range []string{"c1", "c2", "c1"} { // the third repeats the first, as a lost reply makes go-redis do
		err := in.Record(t.Context(), store.Line{Call: call, Who: "tok_1", What: "reveal_password", About: "d.r7"})
		if err != nil {
			t.Fatal(err)
		}
	}
	lines, err := client.XRange(t.Context(), "{p:audited}:audit", "-", "+").Result()
	if err != nil || len(lines) != 2 {
		t.Fatalf("got %d lines %v, want 2", len(lines), err)
	}
	if v := lines[0].Values; v["who"] != "tok_1" || v["what"] != "reveal_password" || v["about"] != "d.r7" {
		t.Errorf("got %v", v)
	}
}

func auditCapped(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	in := tenant(t, s, "capped")
	key := "{p:capped}:audit"
	_, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range 100_500 {
			p.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"call", i, "who", "x"}})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = in.Record(t.Context(), store.Line{Call: "last", Who: "x"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := client.XLen(t.Context(), key).Result()
	if err != nil || n < 100_000 || n > 100_200 {
		t.Errorf("got %d lines %v, want 100,000 and a few", n, err)
	}
}
