package mark

import "strings"

// Fields returns the names of the fields that template names, in lower case and in their order; an empty template stands
// for Default. What is broken in a template is not its concern.
func Fields(template string) []string {
	if strings.TrimSpace(template) == "" {
		template = Default
	}
	var names []string
	for {
		_, rest, found := strings.Cut(template, "{")
		if !found {
			return names
		}
		if strings.HasPrefix(rest, "{") {
			template = rest[1:]
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return names
		}
		names = append(names, key(name))
		template = after
	}
}
