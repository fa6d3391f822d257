package drive

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"github.com/filigreehq/filigree/pkg/fault"
)

// call makes one request, again where that can help. Whatever it makes must be the same when it is made twice. Its error
// is a fault, or ctx's.
func (c *Client) call(ctx context.Context, timeout time.Duration, do func(context.Context) error) error {
	backoff := c.cfg.Backoff
	for attempt := 1; ; attempt++ {
		tooLong, err := c.pace.wait(ctx)
		if err != nil {
			return err
		}
		if tooLong > 0 {
			f := throttled.fault(nil)
			f.RetryAfter = tooLong
			return f
		}
		err = c.try(ctx, timeout, do)
		if err == nil {
			c.pace.faster()
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m, after := meaning(err), retryAfter(err, time.Now())
		if m.class == slowDown {
			c.pace.slower(after)
		}
		if m.class == final || m.class == later || attempt >= c.cfg.Attempts || after > c.cfg.Patience {
			f := m.fault(err)
			f.RetryAfter = max(f.RetryAfter, after)
			return f
		}
		// The pause is any length up to backoff, so that those that were refused together do not come back together.
		err = sleep(ctx, max(after, rand.N(backoff+1)))
		if err != nil {
			return err
		}
		backoff = min(2*backoff, c.cfg.Patience)
	}
}

func (c *Client) try(ctx context.Context, timeout time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return do(ctx)
}

// status is the HTTP status that Drive refused with; 0 if it did not.
func status(err error) int {
	var e *googleapi.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// retryAfter is how long Google asks to wait; 0 if it does not say.
func retryAfter(err error, now time.Time) time.Duration {
	var e *googleapi.Error
	if !errors.As(err, &e) {
		return 0
	}
	value := e.Header.Get("Retry-After")
	seconds, err := strconv.Atoi(value)
	if err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	at, err := http.ParseTime(value)
	if err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// meaning says what a failed request means.
func meaning(err error) meant {
	var f *fault.Error
	if errors.As(err, &f) {
		return meant{class: final, given: f}
	}
	var token *oauth2.RetrieveError
	if errors.As(err, &token) {
		if token.Response != nil && token.Response.StatusCode < http.StatusInternalServerError {
			return reasons["authError"]
		}
		return unreachable
	}
	var e *googleapi.Error
	if !errors.As(err, &e) {
		return unreachable
	}
	for _, item := range e.Errors {
		m, known := reasons[item.Reason]
		if known {
			return m
		}
	}
	switch {
	case e.Code >= http.StatusInternalServerError:
		return broken
	case e.Code == http.StatusTooManyRequests:
		return throttled
	case e.Code == http.StatusUnauthorized:
		return reasons["authError"]
	case e.Code == http.StatusRequestTimeout:
		return unreachable
	case e.Code == http.StatusNotFound:
		return reasons["notFound"]
	case e.Code == http.StatusForbidden:
		return reasons["forbidden"]
	}
	return refused
}
