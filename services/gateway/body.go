package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
)

// stallWindow is what a body must bring within Config.StallTimeout: less is a client that has stalled, or that means
// to hold a connection for ever with a byte now and then.
const stallWindow = 64 << 10

var errTooLong = errors.New("body is longer than allowed")

// body reads a request's body: no more than limit bytes, and never waiting long for them.
type body struct {
	r       io.Reader
	control *http.ResponseController
	stall   time.Duration
	left    int64
	window  int // bytes still to come before the deadline moves on
}

func newBody(w http.ResponseWriter, r *http.Request, limit int64, stall time.Duration) *body {
	return &body{r: r.Body, control: http.NewResponseController(w), stall: stall, left: limit}
}

// Read returns errTooLong once the limit is passed.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.window <= 0 {
		b.window = stallWindow
		b.deadline(time.Now().Add(b.stall))
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more than allowed shows that there is more
	}
	n, err := b.r.Read(p)
	b.window -= n
	b.left -= int64(n)
	if b.left < 0 {
		b.deadline(time.Time{})
		return 0, errTooLong
	}
	if errors.Is(err, io.EOF) {
		// The deadline is the connection's: left in place it would end the request while it is being answered.
		b.deadline(time.Time{})
	}
	return n, err
}

func (b *body) deadline(t time.Time) {
	_ = b.control.SetReadDeadline(t) // not every ResponseWriter has deadlines
}

// readFault says why a body could not be read; tooLarge is the answer if there was too much of it.
func readFault(err error, tooLarge *fault.Error) error {
	switch {
	case errors.Is(err, errTooLong):
		return tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.New(fault.Unavailable, codeStalled, "the request's body stopped coming and was given up; send it again").Because(err)
	}
	return fault.New(fault.Invalid, codeCut, "the request's body ended before it was complete; send it again").Because(err)
}
