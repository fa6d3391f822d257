package cli_test

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// watch serves a distribution as server-sent events, an event for each look. What it breaks on order: drop-before, 502,
// 503; cut: the connection breaks in the middle of the second event; bye: the stream ends after the first event, as at
// the end of a gateway; restart: so it does, and nobody listens for a while; html: somebody else answers.
func (f *fake) watch(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.changed.Broadcast()
	f.calls["watch"]++
	fault := ""
	if plan := f.faults["watch"]; len(plan) > 0 {
		fault, f.faults["watch"] = plan[0], plan[1:]
	}
	d := f.find(r.PathValue("id"))
	last := r.Header.Get("Last-Event-ID")
	if last != "" {
		f.resumed = append(f.resumed, last)
	}
	switch {
	case fault == "drop-before":
		panic(http.ErrAbortHandler)
	case fault == "502":
		http.Error(w, "<html>Bad Gateway</html>", http.StatusBadGateway)
		return
	case fault == "503":
		(&problem{503, "UNAVAILABLE", "a part of Filigree did not answer; try again"}).write(w)
		return
	case fault == "html":
		_, _ = w.Write([]byte("<html>"))
		return
	case f.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] == "":
		(&problem{401, "TOKEN_UNKNOWN", "nobody has this token"}).write(w)
		return
	case d == nil:
		unknownDistribution(r).write(w)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	write := func(format string, args ...any) {
		_, _ = fmt.Fprintf(w, format, args...) // a client that has gone
		_ = http.NewResponseController(w).Flush()
	}
	write(":\n\n")
	for n := 0; ; n++ {
		over := d.EndedAt != nil
		data := f.look(d)
		id := strconv.Itoa(f.looks[d.Id])
		whole := fmt.Sprintf("id: %s\nevent: distribution\ndata: %s\n\n", id, data)
		if fault == "cut" && n == 1 {
			write("%s", whole[:len(whole)/2])
			panic(http.ErrAbortHandler)
		}
		write("%s", whole)
		f.changed.Broadcast()
		switch {
		case over, d.EndedAt != nil:
			write("event: end\ndata: {}\n\n")
			return
		case fault == "bye":
			return
		case fault == "restart":
			f.restart()
			panic(http.ErrAbortHandler)
		case f.outcome == "" && n > 0:
			f.mu.Unlock()
			<-r.Context().Done() // nothing happens any more
			f.mu.Lock()
			return
		}
	}
}

// restart stops listening and, after long enough for a client to be refused, listens again at the same address.
func (f *fake) restart() {
	handler, addr := f.Config.Handler, f.Listener.Addr().String()
	_ = f.Listener.Close()
	time.AfterFunc(300*time.Millisecond, func() {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			panic(err)
		}
		s := &http.Server{Handler: handler}
		f.mu.Lock()
		f.later = append(f.later, s)
		f.mu.Unlock()
		_ = s.Serve(l)
	})
}

// act is POST …/distributions/{id}:cancel, :retry and the like.
func (f *fake) act(r *http.Request, body []byte) (any, *problem) {
	id, verb, _ := strings.Cut(r.PathValue("id"), ":")
	d := f.find(id)
	if d == nil {
		return nil, unknownDistribution(r)
	}
	switch verb {
	case "cancel":
		if d.EndedAt != nil && d.State != "cancelled" {
			return nil, &problem{409, "DISTRIBUTION_ENDED", "it has ended: " + d.State}
		}
		f.stop(d)
		return d, nil
	case "revoke":
		answer := &distributionv1.RevokeDistributionResponse{Distribution: d}
		sent := d.GetRecipients().GetSent()
		switch {
		case d.Mode == "attachment":
			answer.BeyondRecall = sent
		case !f.revoked[d.Id]:
			answer.LinksRevoked = sent
		}
		if d.EndedAt == nil {
			f.stop(d)
		}
		f.revoked[d.Id] = true
		return answer, nil
	case "retry":
		return f.retry(d, body)
	case "pause":
		if d.EndedAt != nil {
			return nil, &problem{409, "DISTRIBUTION_ENDED", "it has ended: " + d.State}
		}
		d.State = "paused"
		return d, nil
	case "resume":
		if d.State == "paused" {
			d.State = "running"
		}
		return d, nil
	}
	return nil, unknownDistribution(r)
}

func (f *fake) stop(d *distributionv1.Distribution) {
	d.State, d.CancelRequested, d.EndedAt = "cancelled", true, timestamppb.New(epoch.Add(2*time.Second))
	f.count(d)
}

func (f *fake) retry(d *distributionv1.Distribution, body []byte) (any, *problem) {
	req := &distributionv1.RetryDistributionRequest{}
	err := protojson.Unmarshal(body, req)
	if err != nil {
		return nil, &problem{400, "INVALID", err.Error()}
	}
	for _, id := range req.GetRecipients() {
		if !strings.HasPrefix(id, d.Id+".r") {
			return nil, &problem{404, "RECIPIENT_UNKNOWN", fmt.Sprintf("there is no recipient %q in distribution %s", id, d.Id)}
		}
	}
	f.named = req.GetRecipients()
	f.retried = req
	if req.GetMark() != "" {
		for _, id := range req.GetRecipients() {
			f.marks[id] = req.GetMark()
		}
		return d, nil
	}
	if d.State != failing && req.GetDone() != "redo" {
		return nil, &problem{409, "NOTHING_TO_RETRY", "nothing of this distribution has failed, so there is nothing to do again"}
	}
	d.State, d.EndedAt = "running", nil
	f.looks[d.Id] = 0
	f.count(d)
	return d, nil
}

// resend lets a recipient's mail be sent again: it may be the second one they get.
func (f *fake) resend(r *http.Request, body []byte) (any, *problem) {
	id, verb, _ := strings.Cut(r.PathValue("recipient"), ":")
	d := f.find(r.PathValue("id"))
	if d == nil || verb != "resend" && verb != "revoke" {
		return nil, unknownDistribution(r)
	}
	req := &distributionv1.ResendRecipientRequest{}
	err := protojson.Unmarshal(body, req)
	if err != nil {
		return nil, &problem{400, "INVALID", err.Error()}
	}
	for i, p := range f.people[d.Id] {
		if id != fmt.Sprintf("%s.r%d", d.Id, i+1) {
			continue
		}
		if verb == "revoke" {
			answer := &distributionv1.RevokeRecipientResponse{Recipient: &distributionv1.Recipient{Id: id, Name: p.Name, Email: p.Email}}
			switch {
			case d.Mode == "attachment":
				answer.BeyondRecall = 1
			case !f.revoked[id]:
				answer.LinksRevoked = 1
			}
			f.revoked[id] = true
			return answer, nil
		}
		if req.GetEmail() != "" {
			p.Email = req.GetEmail()
		}
		if req.GetName() != "" {
			p.Name = req.GetName()
		}
		f.again[id] = &distributionv1.Delivery{Channel: "email", State: "queued", MaybeDuplicate: true, Reply: "250 2.0.0 queued as 4711"}
		return &distributionv1.Recipient{Id: id, Name: p.Name, Email: p.Email, Delivery: f.again[id]}, nil
	}
	return nil, &problem{404, "RECIPIENT_UNKNOWN", fmt.Sprintf("there is no recipient %q in distribution %s", id, d.Id)}
}
