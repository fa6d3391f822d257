package cli

import (
	"fmt"
	"regexp"
)

// limitName is what limits and shared resources may be called: also as functions are.
type limitName string

var limitForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.@_-]{0,47}$`)

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *limitName) UnmarshalText(text []byte) error {
	if !limitForm.Match(text) {
		return fmt.Errorf("%q is no name here: it begins with a letter and takes letters, digits and . @ _ -, up to 48", text)
	}
	*n = limitName(text)
	return nil
}

// slug is a name that people give to something, where it becomes part of an address.
type slug string

var slugForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *slug) UnmarshalText(text []byte) error {
	if !slugForm.Match(text) {
		return fmt.Errorf("%q is no name here: it takes lower-case letters, digits and dashes, up to 63", text)
	}
	*s = slug(text)
	return nil
}
