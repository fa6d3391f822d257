package oidc

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Grant says what members of a provider's group may do here.
type Grant struct {
	Group, Role string
	Productions []string // "*" is all
}

// ParseGrant reads GROUP=ROLE@PRODUCTION,…; "*" as production is all. The group's name may have = and @ in it.
func ParseGrant(text string) (Grant, error) {
	wrong := fmt.Errorf("%q is not of the form GROUP=ROLE@PRODUCTION,… (or @* for all productions)", text)
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return Grant{}, wrong
	}
	left, right := text[:at], text[at+1:]
	is := strings.LastIndexByte(left, '=')
	if is < 1 {
		return Grant{}, wrong
	}
	g := Grant{Group: strings.TrimSpace(left[:is]), Role: strings.TrimSpace(left[is+1:])}
	if g.Group == "" {
		return Grant{}, wrong
	}
	if !slices.Contains([]string{"coordinator", "oncall", "admin"}, g.Role) {
		return Grant{}, fmt.Errorf("%q: there is no role %q; there are coordinator, oncall and admin", text, g.Role)
	}
	for p := range strings.SplitSeq(right, ",") {
		p = strings.TrimSpace(p)
		if p == "" || len(p) > 64 {
			return Grant{}, wrong
		}
		g.Productions = append(g.Productions, p)
	}
	return g, nil
}

// ReadGrants reads them from a file, one a line; empty lines and those that begin with # are passed over.
func ReadGrants(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the grants: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// pick is what somebody in groups may do: the role of the first grant that fits, in the productions of all that fit and
// have this role. Who signs in has one role.
func pick(grants []Grant, groups []string) (role string, productions []string) {
	for _, g := range grants {
		if !slices.Contains(groups, g.Group) || role != "" && g.Role != role {
			continue
		}
		role = g.Role
		productions = append(productions, g.Productions...)
	}
	if slices.Contains(productions, "*") {
		return role, []string{"*"}
	}
	slices.Sort(productions)
	return role, slices.Compact(productions)
}

// groupsIn are the groups that a token says, under a name, or under names within each other: "realm_access.roles".
func groupsIn(claims map[string]any, name string) []string {
	found, ok := claims[name]
	for !ok {
		outer, rest, nested := strings.Cut(name, ".")
		if !nested {
			return nil
		}
		inner, isObject := claims[outer].(map[string]any)
		if !isObject {
			return nil
		}
		claims, name = inner, rest
		found, ok = claims[name]
	}
	var groups []string
	switch v := found.(type) {
	case string:
		groups = append(groups, v)
	case []any:
		for _, g := range v {
			s, isText := g.(string)
			if isText {
				groups = append(groups, s)
			}
		}
	}
	return groups
}
