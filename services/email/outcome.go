package email

import (
	"errors"
	"strings"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/email/internal/smtp"
)

// States of a delivery whose message was refused for good.
const (
	bounced = "bounced"
	blocked = "blocked"
)

// outcome says what a failed Send means to the orchestrator and to people. What is no *smtp.Error came from the
// checkpoint or an attachment and is passed on.
func (s *Server) outcome(err error) error {
	var e *smtp.Error
	if !errors.As(err, &e) {
		return err
	}
	said := e.Reply()
	switch e.Outcome {
	case smtp.Deferred:
		f := fault.New(fault.Unavailable, "EMAIL_DEFERRED", "the mail server asks to try later: %s", said)
		f.RetryAfter = s.cfg.RetryAfter
		return f.Because(err)
	case smtp.Rejected:
		f := fault.New(fault.Invalid, "EMAIL_REJECTED", "the mail server refuses this message: %s", said)
		if e.Phase == smtp.Rcpt {
			f.Message = "the mail server refuses this recipient: " + said
		}
		f.Delivery = bounced
		if strings.HasPrefix(e.Enhanced, "5.7.") {
			f.Delivery = blocked
		}
		return f.Because(err)
	case smtp.TooBig:
		f := tooBig("the mail server")
		if said != "" {
			f = fault.New(fault.Invalid, "EMAIL_TOO_BIG", "the message is larger than the mail server takes (%s); send fewer documents at a time, or links", said)
			f.Delivery = bounced
		}
		return f.Because(err)
	case smtp.Unsupported:
		return fault.New(fault.Invalid, "EMAIL_ADDRESS_UNSUPPORTED", "the address has letters before the @ that this mail server cannot handle (it has no SMTPUTF8); use another address of the recipient").Because(err)
	case smtp.AuthFailed:
		f := fault.New(fault.Unavailable, "EMAIL_AUTH", "the mail server does not accept our sign-in, so nothing can be sent until user and password in the configuration are put right: %s", orNone(said))
		f.RetryAfter = s.cfg.RetryAfter
		return f.Because(err)
	case smtp.Uncertain:
		f := fault.New(fault.Unavailable, "EMAIL_UNCERTAIN", "the connection broke after the complete message was handed over, so the mail server may or may not have taken it")
		f.Uncertain = true
		return f.Because(err)
	}
	if said != "" {
		return fault.New(fault.Unavailable, "EMAIL_UNREACHABLE", "the mail server does not talk to us (at %s): %s", e.Phase, said).Because(err)
	}
	return fault.New(fault.Unavailable, "EMAIL_UNREACHABLE", "the mail server could not be reached, or the connection was lost (at %s); nothing was sent", e.Phase).Because(err)
}

func tooBig(who string) *fault.Error {
	return fault.New(fault.Invalid, "EMAIL_TOO_BIG", "the message is larger than %s takes; send fewer documents at a time, or links", who)
}

func orNone(said string) string {
	if said == "" {
		return "it offers no way to sign in that we know"
	}
	return said
}
