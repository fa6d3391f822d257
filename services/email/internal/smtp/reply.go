package smtp

import (
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"strings"
)

// maxReply bounds what is kept of a server's words.
const maxReply = 300

var enhancedCode = regexp.MustCompile(`^([245]\.\d{1,3}\.\d{1,3})(?:\s|$)`)

// classify makes an Error of what went wrong at phase, before the dot was sent or with a reply to it.
func classify(phase Phase, err error) *Error {
	e := &Error{Outcome: Unreachable, Phase: phase}
	var reply *textproto.Error
	if !errors.As(err, &reply) {
		e.cause = err
		return e
	}
	e.Code, e.Text = reply.Code, reply.Msg
	if m := enhancedCode.FindStringSubmatch(reply.Msg); m != nil {
		e.Enhanced = m[1]
	}
	switch reply.Code / 100 {
	case 4:
		e.Outcome = Deferred
	case 5:
		e.Outcome = refusal(e)
	}
	return e
}

// refusal tells the kinds of 5xx apart.
func refusal(e *Error) Outcome {
	switch e.Phase {
	case Connect, Banner, Hello, StartTLS, Reset:
		return Unreachable // says nothing of the message: this server does not talk to us
	case Auth:
		return AuthFailed
	}
	switch {
	case e.Code == 530, e.Code == 534, e.Code == 535, e.Code == 538:
		return AuthFailed
	case e.Enhanced == "5.3.4", e.Enhanced == "5.2.3":
		return TooBig
	case e.Code == 552 && (e.Enhanced == "" || e.Enhanced == "5.0.0") && e.Phase != Rcpt:
		return TooBig // 552 to RCPT is a full mailbox
	}
	return Rejected
}

// closing reports whether the server said that it hangs up.
func (e *Error) closing() bool { return e.Code == 421 }

// line is a reply on one line, as much as is worth keeping, without anything unprintable.
func line(code int, text string) string {
	words := strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " ")))
	s := fmt.Sprintf("%d %s", code, strings.Join(words, " "))
	if len(s) > maxReply {
		s = strings.ToValidUTF8(s[:maxReply], "") + " …"
	}
	return strings.TrimSpace(s)
}
