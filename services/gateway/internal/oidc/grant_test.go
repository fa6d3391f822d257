package oidc

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestGroupsAreFoundWhereTheyAreSaid(t *testing.T) {
	t.Parallel()
	var claims map[string]any
	err := json.Unmarshal([]byte(`{"groups":["a","b",7],"one":"c","https://x.example/groups":["d"],
		"realm_access":{"roles":["e"]},"a.b":["f"],"a":{"b":["g"]},"number":3}`), &claims)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"groups": {"a", "b"}, "one": {"c"}, "https://x.example/groups": {"d"}, "realm_access.roles": {"e"}, "a.b": {"f"},
		"none": nil, "realm_access.none": nil, "one.more": nil, "number": nil, "": nil,
	} {
		if got := groupsIn(claims, name); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestTheFirstGrantThatFitsSaysTheRole(t *testing.T) {
	t.Parallel()
	var grants []Grant
	for _, line := range []string{"lead=oncall@red", "crew=coordinator@blue", "crew=oncall@green,red", "all=oncall@*"} {
		g, err := ParseGrant(line)
		if err != nil {
			t.Fatal(err)
		}
		grants = append(grants, g)
	}
	for _, c := range []struct {
		groups      []string
		role        string
		productions []string
	}{
		{[]string{"crew"}, "coordinator", []string{"blue"}},
		{[]string{"crew", "lead"}, "oncall", []string{"green", "red"}},
		{[]string{"lead", "all"}, "oncall", []string{"*"}},
		{[]string{"Crew", ""}, "", nil},
		{nil, "", nil},
	} {
		role, productions := pick(grants, c.groups)
		if role != c.role || !slices.Equal(productions, c.productions) {
			t.Errorf("%q: got %s in %q, want %s in %q", c.groups, role, productions, c.role, c.productions)
		}
	}
}
