package email

import (
	"errors"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/email/internal/ses"
	"github.com/filigreehq/filigree/services/email/internal/smtp"
)

// States of a delivery whose message was refused for good.
const (
	bounced = "bounced"
	blocked = "blocked"
)

// smtpOutcome says what a failed Send means to the orchestrator and to people. What is no *smtp.Error came from the
// checkpoint or an attachment and is passed on.
func smtpOutcome(err error, retryAfter time.Duration) error {
	var e *smtp.Error
	if !errors.As(err, &e) {
		return err
	}
	said := e.Reply()
	switch e.Outcome {
	case smtp.Deferred:
		f := fault.New(fault.Unavailable, "EMAIL_DEFERRED", "the mail server asks to try later: %s", said)
		f.RetryAfter = retryAfter
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
		return unsupported().Because(err)
	case smtp.AuthFailed:
		f := fault.New(fault.Unavailable, "EMAIL_AUTH", "the mail server does not accept our sign-in, so nothing can be sent until user and password in the configuration are put right: %s", orNone(said))
		f.RetryAfter = retryAfter
		return f.Because(err)
	case smtp.Uncertain:
		return uncertain().Because(err)
	}
	if said != "" {
		return fault.New(fault.Unavailable, "EMAIL_UNREACHABLE", "the mail server does not talk to us (at %s): %s", e.Phase, said).Because(err)
	}
	return fault.New(fault.Unavailable, "EMAIL_UNREACHABLE", "the mail server could not be reached, or the connection was lost (at %s); nothing was sent", e.Phase).Because(err)
}

// sesOutcome is smtpOutcome for *ses.Error.
func sesOutcome(err error, retryAfter time.Duration) error {
	var e *ses.Error
	if !errors.As(err, &e) {
		return err
	}
	var f *fault.Error
	switch e.Outcome {
	case ses.Deferred:
		f = fault.New(fault.Unavailable, "EMAIL_DEFERRED", "Amazon SES asks to try later: %s", e.Reply())
		f.RetryAfter = retryAfter
	case ses.Rejected:
		f = fault.New(fault.Invalid, "EMAIL_REJECTED", "Amazon SES refuses this message: %s", e.Reply())
		f.Delivery = blocked
	case ses.Invalid:
		f = fault.New(fault.Invalid, "EMAIL_REJECTED", "Amazon SES cannot send this message: %s", e.Reply())
		f.Delivery = bounced
	case ses.TooBig:
		f = tooBig("Amazon SES")
		f.Delivery = bounced
	case ses.AuthFailed:
		f = fault.New(fault.Unavailable, "EMAIL_AUTH", "Amazon SES does not accept our credentials, or there are none, so nothing can be sent until that is put right (%s)", orNothing(e.Reply()))
		f.RetryAfter = retryAfter
	case ses.Misconfigured:
		f = fault.New(fault.Unavailable, "EMAIL_SENDER", "Amazon SES does not let us send from this address yet, so nothing can be sent until its domain is verified and the configuration set exists: %s", e.Reply())
		f.RetryAfter = retryAfter
	case ses.Suspended:
		f = fault.New(fault.Denied, "EMAIL_SUSPENDED", "Amazon has stopped this account from sending for good: %s", e.Reply())
	case ses.Uncertain:
		f = uncertain()
	default:
		f = fault.New(fault.Unavailable, "EMAIL_UNREACHABLE", "Amazon SES could not be reached, or the connection was lost; nothing was sent")
	}
	return f.Because(err)
}

func uncertain() *fault.Error {
	f := fault.New(fault.Unavailable, "EMAIL_UNCERTAIN", "the connection broke after the complete message was handed over, so the mail server may or may not have taken it")
	f.Uncertain = true
	return f
}

func unsupported() *fault.Error {
	return fault.New(fault.Invalid, "EMAIL_ADDRESS_UNSUPPORTED", "the address has letters before the @ that this mail server cannot handle (it has no SMTPUTF8); use another address of the recipient")
}

func tooBig(who string) *fault.Error {
	return fault.New(fault.Invalid, "EMAIL_TOO_BIG", "the message is larger than %s takes; send fewer documents at a time, or links", who)
}

func orNothing(said string) string {
	if said == "" {
		return "it said nothing"
	}
	return said
}

func orNone(said string) string {
	if said == "" {
		return "it offers no way to sign in that we know"
	}
	return said
}
