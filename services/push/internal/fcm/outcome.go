package fcm

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
)

// Outcome says what a failed Send means.
type Outcome int

const (
	// Unavailable: FCM did not take the message now, or what it answered is no answer of it.
	Unavailable Outcome = iota
	// Gone: no app listens under this token any more, and none ever will.
	Gone
	// Rejected: FCM will not take this message for this device.
	Rejected
	// Throttled: too much was sent, at large or to this device.
	Throttled
	// Unauthorized: we may not send until people put something right.
	Unauthorized
)

// Error is why a message was not taken.
type Error struct {
	Outcome Outcome
	Status  int    // of HTTP; 0 when there was no answer
	Code    string // FCM's error code, else the status word of Google's APIs; empty when it gave none
	Said    string // its sentence, for people, shortened; tells no token
	// RetryAfter is how long FCM asks to wait.
	RetryAfter time.Duration

	cause error
}

func (e *Error) Error() string {
	if e.Status == 0 {
		return "FCM did not answer: " + e.cause.Error()
	}
	return strings.TrimSpace(fmt.Sprintf("FCM answered %d %s: %s", e.Status, e.Code, e.Said))
}

func (e *Error) Unwrap() error { return e.cause }

// Words is what FCM said, for people.
func (e *Error) Words() string {
	switch {
	case e.Status == 0:
		return "it did not answer"
	case e.Code == "" && e.Said == "":
		return "HTTP status " + strconv.Itoa(e.Status)
	}
	return strings.TrimSpace(e.Code + " " + e.Said)
}

// The error codes of FCM.
const (
	unspecified    = "UNSPECIFIED_ERROR"
	invalid        = "INVALID_ARGUMENT"
	unregistered   = "UNREGISTERED"
	senderMismatch = "SENDER_ID_MISMATCH"
	quota          = "QUOTA_EXCEEDED"
	unavailable    = "UNAVAILABLE"
	internal       = "INTERNAL"
	thirdParty     = "THIRD_PARTY_AUTH_ERROR" // Apple's or a browser's push service refuses the project's own keys
)

var outcomes = map[string]Outcome{
	unspecified: Unavailable, invalid: Rejected, unregistered: Gone, senderMismatch: Rejected, quota: Throttled,
	unavailable: Unavailable, internal: Unavailable, thirdParty: Unauthorized,
}

// classify sorts an error of the library's.
func (c *Client) classify(err error) error {
	var refusal *oauth2.RetrieveError
	if errors.As(err, &refusal) {
		return c.tokenRefused(refusal, err)
	}
	var answer *googleapi.Error
	if !errors.As(err, &answer) {
		return &Error{Outcome: Unavailable, cause: err} // no answer, or an accepting one that cannot be read
	}
	e := &Error{Status: answer.Code, Said: sentence(answer.Message), cause: err}
	e.Code = errorCode(answer)
	outcome, known := outcomes[e.Code]
	switch {
	case e.Code == invalid && badToken(answer):
		e.Outcome = Gone // it never was a token
	case known:
		e.Outcome = outcome
	default:
		// Not FCM's own words: Google's gate in front of it, or a machine between. Never a reason to forget a device.
		e.Outcome = byStatus(e.Status)
	}
	e.RetryAfter = c.retryAfter(e.Outcome, answer.Header)
	return e
}

func byStatus(status int) Outcome {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return Unauthorized
	case http.StatusTooManyRequests:
		return Throttled
	case http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge:
		return Rejected
	}
	return Unavailable
}

// tokenRefused is the outcome when the token server gave us no access token.
func (c *Client) tokenRefused(r *oauth2.RetrieveError, cause error) error {
	e := &Error{Outcome: Unavailable, Code: r.ErrorCode, Said: sentence(r.ErrorDescription), cause: cause}
	var header http.Header
	if r.Response != nil {
		e.Status, header = r.Response.StatusCode, r.Response.Header
	}
	switch {
	case e.Status == http.StatusTooManyRequests:
		e.Outcome = Throttled
	case e.Status >= 400 && e.Status < 500:
		e.Outcome = Unauthorized
	}
	e.RetryAfter = c.retryAfter(e.Outcome, header)
	return e
}

// errorCode finds FCM's error code among the details of an answer.
func errorCode(answer *googleapi.Error) string {
	for _, detail := range answer.Details {
		fields, ok := detail.(map[string]any)
		if !ok || fields["@type"] != "type.googleapis.com/google.firebase.fcm.v1.FcmError" {
			continue
		}
		code, ok := fields["errorCode"].(string)
		if ok {
			return word(code)
		}
	}
	return ""
}

// badToken reports whether an answer finds fault with the device's token alone.
func badToken(answer *googleapi.Error) bool {
	found := false
	for _, detail := range answer.Details {
		fields, ok := detail.(map[string]any)
		if !ok || fields["@type"] != "type.googleapis.com/google.rpc.BadRequest" {
			continue
		}
		violations, _ := fields["fieldViolations"].([]any)
		for _, v := range violations {
			violation, _ := v.(map[string]any)
			if violation["field"] != "message.token" {
				return false
			}
			found = true
		}
	}
	return found
}

// retryAfter is what an answer asks for, within reason; what it should have asked for if it only says "later".
func (c *Client) retryAfter(o Outcome, header http.Header) time.Duration {
	const most = 6 * time.Hour
	asked := header.Get("Retry-After")
	seconds, err := strconv.Atoi(asked)
	if err == nil && seconds > 0 {
		return min(time.Duration(min(seconds, int(most/time.Second)))*time.Second, most)
	}
	at, err := http.ParseTime(asked)
	if err == nil && time.Until(at) > 0 {
		return min(time.Until(at), most)
	}
	if o == Throttled || o == Unauthorized {
		return c.cfg.RetryAfter
	}
	return 0
}

// sentence makes of what a server says something to show: visible characters, shortened.
func sentence(s string) string {
	const most = 200
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))), " ")
	runes := []rune(s)
	if len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// word is s if it can be an error code.
func word(s string) string {
	if len(s) > 64 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return ""
	}
	return s
}
