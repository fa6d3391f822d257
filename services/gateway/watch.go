package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc/metadata"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// watchPath sends a distribution each time it changes, as server-sent events (HTML Living Standard, 9.2). Protos have no
// HTTP rule for it: a plain handler can go on after Last-Event-ID, generated code cannot.
const watchPath = "/v1/productions/{production}/distributions/{distribution}/watch"

// watchBeat is how often something is sent while nothing changes, so that nobody in between takes the silence for the end.
const watchBeat = 15 * time.Second

// watchAsk is how often it is asked whether a watcher may still watch.
const watchAsk = 5 * time.Second

// watch serves one watcher until the distribution has ended, the client goes away or the gateway stops. The answer to a
// watcher who has seen everything of a distribution that has ended is 204, which tells an EventSource to stop asking.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, params map[string]string) {
	ctx := metadata.NewOutgoingContext(r.Context(), callFrom(r.Context()).outgoing)
	stream, err := s.deps.Distributions.WatchDistribution(ctx, &distributionv1.WatchDistributionRequest{
		Production: params["production"], Distribution: params["distribution"], After: r.Header.Get("Last-Event-ID"),
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	type received struct {
		m   *distributionv1.WatchDistributionResponse
		err error
	}
	messages := make(chan received)
	go func() {
		for {
			m, err := stream.Recv()
			select {
			case messages <- received{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	out := events{w: w, control: http.NewResponseController(w), timeout: s.cfg.WriteTimeout}
	beat := time.NewTicker(watchBeat)
	defer beat.Stop()
	ask := time.NewTicker(watchAsk)
	defer ask.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.stopping:
			return // the client comes back, to another gateway
		case <-ask.C:
			if callFrom(ctx).over(r.Context()) { // as the gateway: not on behalf of who watches
				return // the client comes back, and is told
			}
			continue
		case <-beat.C:
			err = out.beat()
		case got := <-messages:
			switch {
			case errors.Is(got.err, io.EOF) && !out.begun:
				w.WriteHeader(http.StatusNoContent)
				return
			case errors.Is(got.err, io.EOF):
				_ = out.send("", "end", []byte("{}")) // it is the last word either way
				return
			case got.err != nil && !out.begun:
				s.fail(w, r, got.err)
				return
			case got.err != nil:
				return // the client comes back with Last-Event-ID
			}
			var data []byte
			data, err = newCodec().Marshal(got.m.GetDistribution())
			if err == nil {
				err = out.send(got.m.GetCursor(), "distribution", data)
			}
		}
		if err != nil {
			return // the client has gone
		}
	}
}

// events writes an event stream.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	begun   bool
}

func (e *events) send(id, event string, data []byte) error {
	text := "event: " + event + "\ndata: " + string(data) + "\n\n"
	if id != "" {
		text = "id: " + id + "\n" + text
	}
	return e.write(text)
}

// beat sends a comment.
func (e *events) beat() error { return e.write(":\n\n") }

func (e *events) write(text string) error {
	if !e.begun {
		e.begun = true
		e.w.Header().Set("Content-Type", "text/event-stream")
		e.w.Header().Set("X-Accel-Buffering", "no") // a proxy that gathers answers would hold events back
		e.w.WriteHeader(http.StatusOK)
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(e.timeout)) // not every ResponseWriter has deadlines
	_, err := io.WriteString(e.w, text)
	if err == nil {
		err = e.control.Flush()
	}
	if err != nil {
		return fmt.Errorf("send an event: %w", err)
	}
	return nil
}
