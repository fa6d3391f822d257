package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/directory/internal/store"
)

var letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// somebody is a new person; n tells their id.
func somebody(n int, name string, fields map[string]string) store.Person {
	lower := strings.ToLower(name)
	_, last, _ := strings.Cut(lower, " ")
	address := strings.ReplaceAll(lower, " ", ".") + "@example.com"
	return store.Person{ID: "per_" + strings.Repeat(letters[n/26%26:n/26%26+1], 25) + letters[n%26:n%26+1], Name: name, Email: address, Address: address,
		Fields: fields, Words: []string{lower, lower, last, address}}
}

func putPeople(t *testing.T, in store.Tenant, merge bool, people ...store.Person) (outcomes, ids []string) {
	t.Helper()
	put, err := in.PutPeople(t.Context(), people, merge)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range put {
		outcomes, ids = append(outcomes, p.Outcome), append(ids, p.ID)
	}
	return outcomes, ids
}

func found(t *testing.T, in store.Tenant, prefix string, limit int) (names []string) {
	t.Helper()
	for after := ""; ; {
		page, next, err := in.FindPeople(t.Context(), prefix, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page {
			names = append(names, p.Name)
		}
		if next == "" {
			return names
		}
		after = next
	}
}

func peopleLife(t *testing.T, client redis.UniversalClient) {
	in, other := tenant(t, store.New(client), "people"), tenant(t, store.New(client), "people-elsewhere")
	anna, bo := somebody(0, "Anna Berg", map[string]string{"role": "gaffer", "company": "Light"}), somebody(1, "Bo Anders", nil)
	outcomes, ids := putPeople(t, in, true, anna, bo)
	if !slices.Equal(outcomes, []string{store.Added, store.Added}) || !slices.Equal(ids, []string{anna.ID, bo.ID}) {
		t.Fatalf("got %q %q", outcomes, ids)
	}
	again := somebody(2, "Anna Berg", map[string]string{"role": "gaffer"})
	outcomes, ids = putPeople(t, in, true, again)
	if outcomes[0] != store.Unchanged || ids[0] != anna.ID {
		t.Errorf("got %q %q, want what a file does not have left alone", outcomes, ids)
	}
	outcomes, _ = putPeople(t, in, false, again)
	if outcomes[0] != store.Taken {
		t.Errorf("got %q, want that she is not made another", outcomes)
	}
	renamed := again
	renamed.Name, renamed.Fields, renamed.Words = "Anna Zeller", map[string]string{"role": "best boy", "unit": "2"}, []string{"anna zeller", "anna zeller", "zeller", again.Email}
	outcomes, _ = putPeople(t, in, true, renamed)
	if outcomes[0] != store.Changed {
		t.Errorf("got %q", outcomes)
	}
	have, err := in.People(t.Context(), []string{anna.ID, "per_NOBODY", bo.ID})
	if err != nil || len(have) != 2 || have[0].Revision != 2 || have[0].Name != "Anna Zeller" || fmt.Sprint(have[0].Fields) != "map[company:Light role:best boy unit:2]" {
		t.Fatalf("got %+v, %v", have, err)
	}
	for prefix, want := range map[string]string{"": "[Anna Zeller Bo Anders]", "an": "[Bo Anders Anna Zeller]", "berg": "[]", "zell": "[Anna Zeller]", "anna.berg@": "[Anna Zeller]", "x": "[]"} {
		if got := fmt.Sprint(found(t, in, prefix, 1)); got != want {
			t.Errorf("%q finds %s, want %s", prefix, got, want)
		}
	}
	if got := found(t, other, "", 10); got != nil {
		t.Errorf("another production has %q", got)
	}
	many := map[string]string{}
	for i := range 32 {
		many[fmt.Sprint("f", i)] = "x"
	}
	full := again
	full.Fields = many
	if outcomes, _ = putPeople(t, in, true, full); outcomes[0] != store.TooManyFields {
		t.Errorf("got %q, want too many fields", outcomes)
	}
	err = in.DeletePerson(t.Context(), anna.ID)
	if err == nil {
		err = in.DeletePerson(t.Context(), bo.ID)
	}
	if err == nil {
		err = in.DeletePerson(t.Context(), bo.ID) // no error
	}
	if err != nil {
		t.Fatal(err)
	}
	left, err := client.Keys(t.Context(), "{p:people}:p*").Result()
	if err != nil || !slices.Equal(left, []string{"{p:people}:production"}) {
		t.Errorf("left are %q, %v", left, err)
	}
	err = client.Del(t.Context(), "{p:people-elsewhere}:production").Err()
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.PutPeople(t.Context(), []store.Person{anna}, true)
	if !errors.Is(err, store.ErrNoProduction) {
		t.Errorf("got %v, want ErrNoProduction", err)
	}
}

func peopleEdited(t *testing.T, client redis.UniversalClient) {
	in := tenant(t, store.New(client), "edited")
	anna, bo := somebody(0, "Anna Berg", nil), somebody(1, "Bo Anders", nil)
	putPeople(t, in, true, anna, bo)
	// Many edit the same revision at once: one of them is let.
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		edit := anna
		edit.Revision, edit.Fields = 1, map[string]string{"by": fmt.Sprint(i)}
		wg.Go(func() { errs[i] = in.UpdatePerson(t.Context(), edit) })
	}
	wg.Wait()
	let := 0
	for _, err := range errs {
		if err == nil {
			let++
		} else if !errors.Is(err, store.ErrChanged) {
			t.Error(err)
		}
	}
	have, err := in.People(t.Context(), []string{anna.ID})
	if err != nil || let != 1 || have[0].Revision != 2 {
		t.Fatalf("%d were let, revision %d, %v", let, have[0].Revision, err)
	}
	// What is so already is no conflict, and no change.
	same := have[0]
	same.Address, same.Revision = anna.Address, 1
	if err = in.UpdatePerson(t.Context(), same); err != nil {
		t.Errorf("the same again: %v", err)
	}
	theirs := same
	theirs.Revision, theirs.Email, theirs.Address = 0, bo.Email, bo.Address
	if err = in.UpdatePerson(t.Context(), theirs); !errors.Is(err, store.ErrTaken) {
		t.Errorf("got %v, want ErrTaken", err)
	}
	moved := same
	moved.Revision, moved.Email, moved.Address = 0, "new@example.com", "new@example.com"
	moved.Words = []string{"anna berg", "anna berg", "new@example.com"}
	if err = in.UpdatePerson(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	// The address that she had is free.
	outcomes, ids := putPeople(t, in, true, somebody(5, "Anna Berg", nil))
	if outcomes[0] != store.Added || ids[0] == anna.ID {
		t.Errorf("got %q %q", outcomes, ids)
	}
	for _, odd := range []string{"", "per_", "*", "per_" + strings.Repeat("é", 13)} {
		moved.ID = odd
		if err = in.UpdatePerson(t.Context(), moved); !errors.Is(err, store.ErrNoPerson) {
			t.Errorf("%q: %v", odd, err)
		}
	}
}

func lists(t *testing.T, client redis.UniversalClient) {
	in := tenant(t, store.New(client), "lists")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	crew := store.List{ID: "crew", Name: "Crew", Word: "crew", Policy: store.Policy{Mode: "link", Password: "generate"}}
	for range 2 {
		must(in.CreateList(t.Context(), crew))
	}
	other := crew
	other.Policy.Mode = "attachment"
	if err := in.CreateList(t.Context(), other); !errors.Is(err, store.ErrListExists) {
		t.Errorf("got %v", err)
	}
	if err := in.CreateList(t.Context(), store.List{ID: "crew-2", Name: "CREW", Word: "crew"}); !errors.Is(err, store.ErrTaken) {
		t.Errorf("got %v, want that the name is taken", err)
	}
	other.Revision = 7
	if err := in.UpdateList(t.Context(), other); !errors.Is(err, store.ErrChanged) {
		t.Errorf("got %v, want ErrChanged", err)
	}
	other.Revision, other.Name, other.Word = 1, "All crew", "all crew"
	must(in.UpdateList(t.Context(), other))
	must(in.UpdateList(t.Context(), other)) // an answer that got lost
	must(in.CreateList(t.Context(), store.List{ID: "crew-2", Name: "Crew", Word: "crew"}))
	all, err := in.Lists(t.Context())
	if err != nil || len(all) != 2 || all[0].ID != "crew" || all[0].Name != "All crew" || all[0].Policy != other.Policy || all[0].Revision != 2 {
		t.Fatalf("got %+v, %v", all, err)
	}
	people := make([]store.Person, 12)
	ids := make([]string, len(people))
	for i := range people {
		people[i] = somebody(i, fmt.Sprintf("P%02d Q", i), nil)
		ids[i] = people[i].ID
	}
	putPeople(t, in, true, people...)
	slices.Reverse(ids)
	for range 2 {
		_, now, err := in.AddToList(t.Context(), "crew", append(slices.Clone(ids), ids[0]))
		if err != nil || now != 12 {
			t.Fatalf("%d in it, %v", now, err)
		}
	}
	var nobody *store.NoPersonError
	stranger := somebody(99, "X Y", nil).ID
	if _, _, err = in.AddToList(t.Context(), "crew-2", []string{ids[0], stranger}); !errors.As(err, &nobody) || nobody.ID != stranger {
		t.Errorf("got %v", err)
	}
	if l, _ := in.List(t.Context(), "crew-2"); l.People != 0 {
		t.Errorf("%d people came in beside one that there is not", l.People)
	}
	changed, now, err := in.RemoveFromList(t.Context(), "crew", []string{ids[3], ids[3], stranger})
	if err != nil || changed != 1 || now != 11 {
		t.Errorf("%d went, %d are left, %v", changed, now, err)
	}
	must(in.DeletePerson(t.Context(), ids[5]))
	var got []string
	for after := int64(0); ; {
		page, next, err := in.ListPeople(t.Context(), "crew", after, 3)
		must(err)
		for _, p := range page {
			got = append(got, p.ID)
		}
		if after = next; next == 0 {
			break
		}
	}
	if want := slices.Concat(ids[:3], ids[4:5], ids[6:]); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if in, err := in.ListsOf(t.Context(), ids[0]); err != nil || !slices.Equal(in, []string{"crew"}) {
		t.Errorf("in %q, %v", in, err)
	}
	for range 2 {
		must(in.DeleteList(t.Context(), "crew"))
	}
	if _, err = in.List(t.Context(), "crew"); !errors.Is(err, store.ErrNoList) {
		t.Errorf("got %v, want ErrNoList", err)
	}
	if _, _, err = in.AddToList(t.Context(), "crew", ids[:1]); !errors.Is(err, store.ErrNoList) {
		t.Errorf("got %v, want ErrNoList", err)
	}
	crew.Name, crew.Word = "New", "new"
	must(in.CreateList(t.Context(), crew)) // another of the same id is empty
	if l, err := in.List(t.Context(), "crew"); err != nil || l.People != 0 || l.Revision != 1 {
		t.Errorf("got %+v, %v", l, err)
	}
}

func listBounds(t *testing.T, client redis.UniversalClient) {
	in := tenant(t, store.New(client), "bounds")
	for i := range store.MaxLists + 1 {
		name := fmt.Sprint("l", i)
		err := in.CreateList(t.Context(), store.List{ID: name, Name: name, Word: name})
		if i < store.MaxLists && err != nil || i == store.MaxLists && !errors.Is(err, store.ErrFull) {
			t.Fatalf("list %d: %v", i, err)
		}
	}
	anna := somebody(0, "Anna Berg", nil)
	putPeople(t, in, true, anna)
	// As many as there may be, but for one.
	_, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range store.MaxListPeople - 1 {
			p.ZAdd(t.Context(), "{p:bounds}:list:people:l0", redis.Z{Score: float64(-1 - i), Member: fmt.Sprint(i)})
		}
		for i := range store.MaxPeople - 2 {
			p.HSet(t.Context(), "{p:bounds}:people:addresses", fmt.Sprint(i), "x")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	outcomes, ids := putPeople(t, in, true, somebody(1, "Bo Anders", nil), somebody(2, "Cy Dent", nil))
	if !slices.Equal(outcomes, []string{store.Added, store.Full}) {
		t.Errorf("got %q", outcomes)
	}
	if _, _, err = in.AddToList(t.Context(), "l0", []string{anna.ID, ids[0]}); !errors.Is(err, store.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if _, now, err := in.AddToList(t.Context(), "l0", []string{anna.ID}); err != nil || now != store.MaxListPeople {
		t.Errorf("%d in it, %v", now, err)
	}
}
