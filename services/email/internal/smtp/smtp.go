// Package smtp hands one message for one recipient to a mail server, over pooled connections, and says exactly what
// became of it.
//
// What Pool.Send promises:
//   - The final dot is sent only after the whole message was written and flushed and the caller's checkpoint, which runs
//     last, returned nil. Any error before leaves the server with a broken transmission, which is no message.
//   - No error, then the server answered the dot with 2xx: it has the message. Else an *Error tells how far it came:
//     only with Uncertain may the server have the message; with every other outcome it has not.
//   - A failure on a reused connection before the server accepted MAIL says nothing about the message; it is tried once
//     more on a fresh connection, within the same Send.
//
// What it does not promise: that a message was not taken twice over two Sends; only the caller's record of the
// checkpoint can tell.
package smtp

import (
	"crypto/tls"
	"fmt"
	"time"
)

// Policy says when a connection must be encrypted.
type Policy int

const (
	// Required: no message without TLS and a certificate that proves the host.
	Required Policy = iota
	// Opportunistic: TLS where the server offers it, whoever it is.
	Opportunistic
	// Never: plain text.
	Never
)

// Config sets a Pool up. All durations must be positive.
type Config struct {
	Host string
	Port string
	// Implicit starts with TLS (port 465); else StartTLS decides.
	Implicit bool
	StartTLS Policy
	// TLS is the base of the client's configuration, for authorities of one's own; nil: the system's.
	TLS *tls.Config

	User     string // empty: no authentication
	Password string
	// PlainAuth allows credentials without TLS: for loopback only.
	PlainAuth bool

	Hello       string // our name in EHLO
	Connections int    // at most so many at once
	PerConn     int    // messages before a connection is replaced

	Dial    time.Duration // TCP connection
	Command time.Duration // each answer, and the TLS handshake
	Data    time.Duration // each piece of the message to be taken
	Dot     time.Duration // the answer to the final dot
	Idle    time.Duration // an unused connection is kept so long
}

// Envelope is what the server is told beside the message.
type Envelope struct {
	From string // bare mailbox
	To   string
	UTF8 bool  // an address needs SMTPUTF8
	Size int64 // bytes of the message
}

// Outcome says what became of a message that was not accepted.
type Outcome int

const (
	// Unreachable: no connection, no TLS, a lost or silent connection, nonsense; all before the dot.
	Unreachable Outcome = iota
	// Deferred: the server said 4xx.
	Deferred
	// Rejected: the server said 5xx to the sender, the recipient or the message.
	Rejected
	// TooBig: the server does not take messages of this size.
	TooBig
	// Unsupported: the address needs SMTPUTF8 and the server has it not.
	Unsupported
	// AuthFailed: the server does not take our credentials, or wants some.
	AuthFailed
	// Uncertain: the dot was sent and no proper answer came.
	Uncertain
)

func (o Outcome) String() string {
	return [...]string{"unreachable", "deferred", "rejected", "too big", "unsupported", "auth failed", "uncertain"}[o]
}

// Phase is how far the conversation had come.
type Phase string

// The phases in their order.
const (
	Connect  Phase = "connect"
	Banner   Phase = "banner"
	Hello    Phase = "EHLO"
	StartTLS Phase = "STARTTLS"
	Auth     Phase = "AUTH"
	Reset    Phase = "RSET"
	Mail     Phase = "MAIL"
	Rcpt     Phase = "RCPT"
	Data     Phase = "DATA"
	Body     Phase = "message"
	Dot      Phase = "final dot"
)

// Error is a message that was not accepted, or perhaps was.
type Error struct {
	Outcome Outcome
	Phase   Phase
	// Reply is what the server said, if it did: code, enhanced code ("5.1.1", may be empty) and text.
	Code     int
	Enhanced string
	Text     string

	cause error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s at %s", e.Outcome, e.Phase)
	if e.Code != 0 {
		s += ": " + e.Reply()
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.cause }

// Reply is the server's answer on one line, empty if there was none.
func (e *Error) Reply() string {
	if e.Code == 0 {
		return ""
	}
	return line(e.Code, e.Text)
}
