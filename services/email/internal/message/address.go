package message

import (
	"fmt"
	"net/mail"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// RFC 5321 4.5.3.1.
const (
	maxLocal   = 64
	maxAddress = 254
)

// Address is a mailbox that may be written into headers and SMTP commands as it is: made by ParseAddress only.
type Address struct {
	name   string
	local  string
	domain string // ASCII
}

// AddressError says what is wrong with an address, in words for whoever typed it.
type AddressError struct {
	Problem string
}

func (e *AddressError) Error() string { return e.Problem }

// ParseAddress takes a name as people write it and a bare mailbox ("ada@example.com"), nothing around it. Quoted local
// parts, comments, groups, routes and address literals are refused: they are legal, nobody has one, and each is a way
// to smuggle something. A domain of other letters than ASCII becomes its xn-- form; a local part may have such letters,
// see NeedsUTF8.
func ParseAddress(name, mailbox string) (Address, error) {
	problem := func(format string, args ...any) (Address, error) {
		return Address{}, &AddressError{Problem: fmt.Sprintf(format, args...)}
	}
	at := strings.LastIndexByte(mailbox, '@')
	if at < 0 {
		return problem("it has no @")
	}
	local, domain := mailbox[:at], mailbox[at+1:]
	if local == "" || domain == "" {
		return problem("something is missing before or after the @")
	}
	for _, r := range mailbox {
		if r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) {
			return problem("it contains a space or an invisible character")
		}
	}
	if strings.ContainsAny(local, `"(),:;<>@[\]`) {
		return problem("the part before the @ contains a character that addresses do not have")
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return problem("%q is not the name of a mail domain", domain)
	}
	if len(local) > maxLocal || len(local)+1+len(ascii) > maxAddress {
		return problem("it is longer than addresses can be")
	}
	// The last word has the standard library's parser: what it reads must be exactly what was meant.
	parsed, err := mail.ParseAddress(local + "@" + ascii)
	if err != nil || parsed.Name != "" || parsed.Address != local+"@"+ascii {
		return problem("it is not written as an address is")
	}
	return Address{name: Line(name, maxName), local: local, domain: ascii}, nil
}

// Name is the name shown with the address; it may be empty.
func (a Address) Name() string { return a.name }

// Mailbox is the bare address, for SMTP commands.
func (a Address) Mailbox() string { return a.local + "@" + a.domain }

// Domain is the ASCII domain.
func (a Address) Domain() string { return a.domain }

// NeedsUTF8 reports whether only a server with SMTPUTF8 can take this address.
func (a Address) NeedsUTF8() bool {
	for i := range len(a.local) {
		if a.local[i] >= 0x80 {
			return true
		}
	}
	return false
}

// header is the address as a header field has it.
func (a Address) header() string {
	if a.name == "" {
		return "<" + a.Mailbox() + ">"
	}
	return phrase(a.name) + " <" + a.Mailbox() + ">"
}
