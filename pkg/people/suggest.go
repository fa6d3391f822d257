package people

import (
	"slices"
	"strings"
)

// wellKnown are domains of which a typing error is told.
var wellKnown = []string{
	"gmail.com", "googlemail.com", "hotmail.com", "outlook.com", "yahoo.com", "icloud.com", "aol.com", "gmx.de", "gmx.net", "web.de",
	"t-online.de", "proton.me", "protonmail.com",
}

// others are domains of their own, though one letter off.
var others = []string{"mail.com", "ymail.com", "email.com"}

// Suggest is what an address should probably be whose domain is one letter off a well-known one: gmial.com, gmail.con. It is
// empty when there is nothing to suggest.
func Suggest(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return ""
	}
	domain := strings.Trim(strings.ToLower(address[at+1:]), " .,;")
	if slices.Contains(wellKnown, domain) {
		if better := strings.TrimSpace(address[:at]) + "@" + domain; better != Key(address) && Address(better) {
			return better
		}
		return ""
	}
	if slices.Contains(others, domain) {
		return ""
	}
	for _, known := range wellKnown {
		// Of short names too much is one letter off.
		if len(known) >= 8 && oneOff(domain, known) {
			better := strings.TrimSpace(address[:at]) + "@" + known
			if Address(better) {
				return better
			}
		}
	}
	return ""
}

// oneOff reports whether one letter too many, too few, or another, or two that changed places, make b of a.
func oneOff(a, b string) bool {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	x, y := a[i:], b[i:]
	switch {
	case len(x) == len(y)+1:
		return x[1:] == y
	case len(x)+1 == len(y):
		return x == y[1:]
	case len(x) != len(y) || len(x) == 0:
		return false
	}
	return x[1:] == y[1:] || len(x) > 1 && x[0] == y[1] && x[1] == y[0] && x[2:] == y[2:]
}
