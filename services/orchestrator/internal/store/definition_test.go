package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

func version(name string, n int, functions ...string) *plan.Definition {
	d := &plan.Definition{Name: name, Version: n}
	for i, f := range functions {
		d.Steps = append(d.Steps, plan.Step{Name: fmt.Sprint("step", i), Scope: plan.ScopeItem, Function: f})
	}
	return d
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := redistest.New(t)
	st, err := store.Open(ctx, client, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*plan.Definition{
		version("b", 2, "f.A"), version("b", 10, "f.A", "f.B", "f.A"), version("a", 1, "f.C"), version("b", 9, "f.A"), version("b", 10, "f.A", "f.B"),
	} {
		err = st.Define(ctx, d, fmt.Sprintf("source of %s %d", d.Name, d.Version))
		if err != nil {
			t.Fatal(err)
		}
	}
	err = st.Define(ctx, version("b", 9), "another source")
	if !errors.Is(err, store.ErrDefined) {
		t.Errorf("got %v for another source, want ErrDefined", err)
	}
	got, err := st.Definitions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := []store.Defined{
		{Name: "a", Version: 1, Functions: []string{"f.C"}}, {Name: "b", Version: 10, Functions: []string{"f.A", "f.B"}},
		{Name: "b", Version: 9, Functions: []string{"f.A"}}, {Name: "b", Version: 2, Functions: []string{"f.A"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Defined{}, "Created")); diff != "" {
		t.Errorf("definitions differ (-want +got):\n%s", diff)
	}
	for asked, is := range map[int]int{0: 10, 2: 2, 9: 9} {
		d, err := st.Definition(ctx, "b", asked)
		if err != nil || d.Version != is || d.Source != fmt.Sprint("source of b ", is) || d.Created.IsZero() {
			t.Errorf("version %d: got %+v, %v", asked, d, err)
		}
	}
	for _, name := range []string{"b", "c"} {
		_, err = st.Definition(ctx, name, 3)
		if !errors.Is(err, store.ErrNoDefinition) {
			t.Errorf("%s@3: got %v, want ErrNoDefinition", name, err)
		}
	}
	_, err = st.Definition(ctx, "c", 0)
	if !errors.Is(err, store.ErrNoDefinition) {
		t.Errorf("newest of c: got %v, want ErrNoDefinition", err)
	}
	for i := range 30 { // over all shards
		production := fmt.Sprint("production-", i)
		source, err := st.DefinitionSource(ctx, production, "b", 9)
		if err != nil || source != "source of b 9" {
			t.Errorf("%s: got %q, %v", production, source, err)
		}
		_, newest, err := st.Rollout(ctx, production, "b")
		if err != nil || newest != 10 {
			t.Errorf("%s: newest is %d, %v", production, newest, err)
		}
	}
	_, err = st.DefinitionSource(ctx, "p", "b", 3)
	if !errors.Is(err, store.ErrNoDefinition) {
		t.Errorf("got %v, want ErrNoDefinition", err)
	}
}

// A process that died between two shards, and orchestrators of the first release, leave less behind.
func TestDefinitionsThatAreNotInEveryShard(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := redistest.New(t)
	st, err := store.Open(ctx, client, 3)
	if err != nil {
		t.Fatal(err)
	}
	err = client.HSet(ctx, "{0}:def:old", "1", "one").Err()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		source, err := st.DefinitionSource(ctx, fmt.Sprint("production-", i), "old", 1)
		if err != nil || source != "one" {
			t.Errorf("got %q, %v", source, err)
		}
	}
	err = st.Define(ctx, version("old", 2, "f.A"), "two")
	if err != nil {
		t.Fatal(err)
	}
	all, err := st.Definitions(ctx)
	if err != nil || len(all) != 2 || all[1].Version != 1 || !all[1].Created.IsZero() {
		t.Errorf("got %+v, %v, want both versions", all, err)
	}
	err = st.Define(ctx, version("old", 1, "f.A"), "one")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if got := client.HGet(ctx, fmt.Sprintf("{%d}:def:old", n), "1").Val(); got != "one" {
			t.Errorf("shard %d has %q", n, got)
		}
	}
}

func TestThereAreNotTooManyDefinitions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := redistest.New(t)
	st, err := store.Open(ctx, client, 1)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 1000; n++ {
		err = st.Define(ctx, version("many", n), "same")
		if err != nil {
			t.Fatal(err)
		}
	}
	err = st.Define(ctx, version("more", 1), "same")
	if !errors.Is(err, store.ErrTooMany) {
		t.Errorf("got %v, want ErrTooMany", err)
	}
	err = st.Define(ctx, version("many", 1000), "same")
	if err != nil {
		t.Errorf("the same again: %v", err)
	}
}

func TestRollouts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st, err := store.Open(ctx, redistest.New(t), 3)
	if err != nil {
		t.Fatal(err)
	}
	shares := []plan.Share{{Version: 2, Percent: 80}, {Version: 10, Percent: 20}}
	for _, p := range []string{"p", "q"} {
		err = st.SetRollout(ctx, p, "a", shares)
		if err != nil {
			t.Fatal(err)
		}
	}
	err = st.SetRollout(ctx, "q", "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, newest, err := st.Rollout(ctx, "p", "a")
	if diff := cmp.Diff(shares, got); diff != "" || newest != 0 || err != nil {
		t.Errorf("got newest %d, %v, shares (-want +got):\n%s", newest, err, diff)
	}
	for p, want := range map[string]map[string][]plan.Share{"p": {"a": shares}, "q": {}, "r": {}} {
		all, err := st.Rollouts(ctx, p)
		if diff := cmp.Diff(want, all); diff != "" || err != nil {
			t.Errorf("%s: %v, rollouts differ (-want +got):\n%s", p, err, diff)
		}
	}
}
