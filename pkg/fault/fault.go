// Package fault is the form an error takes when it crosses a process boundary: a kind, a stable reason word, one
// sentence that is safe to show, and whether repeating can help. It is used at edges only; inside a service errors are
// wrapped with %w, and whatever reaches an edge untyped becomes Internal with an opaque message.
//
// On the wire a fault is a gRPC status with google.rpc.ErrorInfo (domain "filigree").
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Kind says what sort of failure it is; it decides the gRPC code and the HTTP status.
type Kind int

const (
	// Internal is a defect of ours, or an error nobody classified. Repeating may help.
	Internal Kind = iota
	// Invalid: the request is wrong as it stands.
	Invalid
	// Unauthenticated: no caller, or a token that nobody knows.
	Unauthenticated
	// Denied: the caller is known and may not.
	Denied
	// NotFound: it does not exist, or the caller may not know that it does.
	NotFound
	// Conflict: the request contradicts the present state.
	Conflict
	// Exhausted: a limit was met; repeating later helps.
	Exhausted
	// Unavailable: something needed did not answer; repeating helps.
	Unavailable
)

var kinds = map[Kind]codes.Code{
	Internal:        codes.Internal,
	Invalid:         codes.InvalidArgument,
	Unauthenticated: codes.Unauthenticated,
	Denied:          codes.PermissionDenied,
	NotFound:        codes.NotFound,
	Conflict:        codes.FailedPrecondition,
	Exhausted:       codes.ResourceExhausted,
	Unavailable:     codes.Unavailable,
}

const domain = "filigree"

// Error is a classified failure. The zero value of each optional field means "nothing special".
type Error struct {
	Kind    Kind
	Reason  string // stable, upper case: "PDF_ENCRYPTED"
	Message string // for people: what is wrong, with what, what to do
	// RetryAfter is how long to wait before repeating; 0 leaves it to the caller's back-off.
	RetryAfter time.Duration
	// Uncertain says that the effect may have happened.
	Uncertain bool
	// Delivery is the state a delivery ends in when this failure is final ("bounced", "blocked").
	Delivery string

	cause error
}

// New makes an Error; format and args make its message.
func New(kind Kind, reason, format string, args ...any) *Error {
	return &Error{Kind: kind, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Because attaches the cause, which is logged and never shown.
func (e *Error) Because(cause error) *Error {
	e.cause = cause
	return e
}

func (e *Error) Error() string {
	s := e.Reason + ": " + e.Message
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.cause }

// Transient reports whether repeating can help.
func (e *Error) Transient() bool {
	switch e.Kind {
	case Internal, Exhausted, Unavailable:
		return true
	}
	return false
}

// GRPCStatus makes Error a status for grpc-go.
func (e *Error) GRPCStatus() *status.Status {
	meta := map[string]string{}
	if e.Uncertain {
		meta["uncertain"] = "true"
	}
	if e.Delivery != "" {
		meta["delivery"] = e.Delivery
	}
	st := status.New(kinds[e.Kind], e.Message)
	info := &errdetails.ErrorInfo{Reason: e.Reason, Domain: domain, Metadata: meta}
	var err error
	if e.RetryAfter > 0 {
		st, err = st.WithDetails(info, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	} else {
		st, err = st.WithDetails(info)
	}
	if err != nil {
		return status.New(kinds[e.Kind], e.Message)
	}
	return st
}

// From classifies any error: an *Error in its chain as it is, a gRPC status by its code and details, a context's end as
// Unavailable, everything else as Internal with an opaque message and err as its cause. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if st, ok := status.FromError(err); ok {
		return fromStatus(st).Because(err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return New(Unavailable, "TIMEOUT", "it took too long and was given up; try again").Because(err)
	}
	return New(Internal, "INTERNAL", "something went wrong on our side; it was logged").Because(err)
}

func fromStatus(st *status.Status) *Error {
	e := &Error{Reason: "INTERNAL", Message: st.Message()}
	known := false
	for kind, code := range kinds {
		if code == st.Code() {
			e.Kind, known = kind, true
		}
	}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == domain {
				e.Reason = d.GetReason()
				e.Uncertain = d.GetMetadata()["uncertain"] == "true"
				e.Delivery = d.GetMetadata()["delivery"]
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	if e.Reason != "INTERNAL" && known {
		return e
	}
	// A status of gRPC itself, or of a library: its text is not ours to show.
	switch st.Code() {
	case codes.DeadlineExceeded, codes.Canceled:
		return New(Unavailable, "TIMEOUT", "it took too long and was given up; try again")
	case codes.Unavailable:
		return New(Unavailable, "UNAVAILABLE", "a part of Filigree did not answer; try again")
	case codes.ResourceExhausted:
		return New(Exhausted, "TOO_LARGE", "the request is larger than is taken in one call")
	case codes.Unimplemented:
		return New(Invalid, "UNKNOWN_METHOD", "there is no such call")
	case codes.InvalidArgument:
		return New(Invalid, "INVALID", "%s", st.Message())
	case codes.NotFound:
		return New(NotFound, "NOT_FOUND", "there is no such thing here")
	}
	return New(Internal, "INTERNAL", "something went wrong on our side; it was logged")
}

// Transient reports whether repeating what failed with err can help.
func Transient(err error) bool {
	return err != nil && From(err).Transient()
}
