package ses

import (
	"errors"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// Outcome says what became of a message that was not accepted.
type Outcome int

const (
	// Unreachable: no connection, or one that was lost before the request was out.
	Unreachable Outcome = iota
	// Deferred: SES does not take it now: a rate, a quota, a pause, a fault of its own.
	Deferred
	// Rejected: SES does not take this message.
	Rejected
	// Invalid: SES cannot make sense of the request; mostly of the address.
	Invalid
	// TooBig: SES does not take messages of this size.
	TooBig
	// AuthFailed: SES does not take our credentials, or there are none.
	AuthFailed
	// Misconfigured: the sending domain, or the configuration set, is not what it should be.
	Misconfigured
	// Suspended: Amazon does not let the account send any more.
	Suspended
	// Uncertain: the request was out and no proper answer came.
	Uncertain
)

func (o Outcome) String() string {
	return [...]string{"unreachable", "deferred", "rejected", "invalid", "too big", "auth failed", "misconfigured", "suspended", "uncertain"}[o]
}

// Error is a message that was not accepted, or perhaps was.
type Error struct {
	Outcome Outcome
	// Code is SES's name for it ("MessageRejected"), Text its words; both empty if it did not answer.
	Code string
	Text string

	cause error
}

func (e *Error) Error() string {
	s := e.Outcome.String()
	if e.Code != "" {
		s += ": " + e.Reply()
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.cause }

// maxReply bounds what is kept of SES's words.
const maxReply = 300

// Reply is SES's answer on one line, empty if there was none.
func (e *Error) Reply() string {
	s := strings.TrimSuffix(e.Code, "Exception")
	words := strings.Join(strings.FieldsFunc(e.Text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\uFFFD' }), " ")
	if words != "" {
		s += ": " + words
	}
	if len(s) > maxReply {
		s = strings.ToValidUTF8(s[:maxReply], "") + " …"
	}
	return s
}

// outcomes is what SES says, and AWS for it. What is not here goes by its HTTP status.
var outcomes = map[string]Outcome{
	"MessageRejected":                    Rejected,
	"BadRequestException":                Invalid,
	"ValidationException":                Invalid,
	"MailFromDomainNotVerifiedException": Misconfigured,
	"NotFoundException":                  Misconfigured,
	"AccountSuspendedException":          Suspended,

	"TooManyRequestsException": Deferred,
	"LimitExceededException":   Deferred,
	"SendingPausedException":   Deferred,
	"Throttling":               Deferred,
	"ThrottlingException":      Deferred,
	"RequestThrottled":         Deferred,
	"InternalFailure":          Deferred,
	"ServiceUnavailable":       Deferred,
	// The clock is wrong, somebody's; it is put right by itself or by them.
	"RequestExpired":       Deferred,
	"RequestTimeTooSkewed": Deferred,

	"AccessDeniedException":       AuthFailed,
	"NotAuthorized":               AuthFailed,
	"OptInRequired":               AuthFailed,
	"ExpiredTokenException":       AuthFailed,
	"IncompleteSignature":         AuthFailed,
	"InvalidClientTokenId":        AuthFailed,
	"InvalidSignatureException":   AuthFailed,
	"SignatureDoesNotMatch":       AuthFailed,
	"MissingAuthenticationToken":  AuthFailed,
	"UnrecognizedClientException": AuthFailed,
}

// classify makes an Error of what went wrong with the request; out says whether all of it was sent.
func classify(err error, out bool) *Error {
	e := &Error{cause: err}
	var answer smithy.APIError
	if errors.As(err, &answer) {
		e.Code, e.Text = answer.ErrorCode(), answer.ErrorMessage()
	}
	status := 0
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	outcome, known := outcomes[e.Code]
	switch {
	case known:
		e.Outcome = outcome
	// Something between us and SES gave up on it, or the answer broke off.
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout, status/100 == 2:
		e.Outcome = Uncertain
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests:
		e.Outcome = Deferred
	case status == http.StatusRequestEntityTooLarge:
		e.Outcome = TooBig
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e.Outcome = AuthFailed
	case status >= http.StatusBadRequest:
		e.Outcome = Invalid
	case out:
		e.Outcome = Uncertain
	}
	return e
}
