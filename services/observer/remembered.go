package observer

import (
	"context"
	"sync"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/fingerprint"
)

// peopleFor is how long recipients that were read are good: they change when somebody sends to them again, or gets theirs.
const peopleFor = 5 * time.Second

// remembered are events and recipients that were read before: events never change, so that only new ones are read.
type remembered struct {
	mu   sync.Mutex
	of   map[string]*past // by production and distribution
	size int              // events and people of all
}

type past struct {
	mu       sync.Mutex // held while it is read on
	events   []event.Event
	people   []event.Recipient
	peopleAt time.Time
	// attempts are what the first upTo events tell of them.
	attempts []fingerprint.Attempt
	upTo     int

	// Of these remembered.mu is the lock.
	used   time.Time
	size   int
	forgot bool // it is read on by somebody, and counts no more
}

// past is what is remembered of a distribution. What was not asked for longest is forgotten when there is too much.
func (r *remembered) past(production, id string) *past {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[string]*past{}
	}
	key := production + "/" + id
	p := r.of[key]
	if p == nil {
		p = &past{}
		r.of[key] = p
	}
	p.used = time.Now()
	for r.size > mostEvents && len(r.of) > 1 {
		oldest := ""
		for k, v := range r.of {
			if k != key && (oldest == "" || v.used.Before(r.of[oldest].used)) {
				oldest = k
			}
		}
		r.of[oldest].forgot = true
		r.size -= r.of[oldest].size
		delete(r.of, oldest)
	}
	return p
}

// drop forgets what is remembered of a distribution.
func (r *remembered) drop(production, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := production + "/" + id
	p := r.of[key]
	if p == nil {
		return
	}
	p.forgot = true
	r.size -= p.size
	delete(r.of, key)
}

// grew counts what was read of p.
func (r *remembered) grew(p *past, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !p.forgot {
		p.size += n
		r.size += n
	}
}

// eventsOf are a distribution's events, in order; at most mostEvents.
func (s *Server) eventsOf(ctx context.Context, production, id string) ([]event.Event, error) {
	p := s.remembered.past(production, id)
	p.mu.Lock()
	defer p.mu.Unlock()
	token := ""
	if n := len(p.events); n > 0 {
		token = p.events[n-1].ID
	}
	for len(p.events) < mostEvents {
		got, err := s.reads().ListEvents(ctx, &distributionv1.ListEventsRequest{Production: production, Distribution: id, PageSize: 1000, PageToken: token})
		if err != nil && len(p.events) > 0 && fault.From(err).Reason == "PAGE_TOKEN_INVALID" {
			break // it was archived since: nothing comes after
		}
		if err != nil {
			return nil, err
		}
		for _, e := range got.GetEvents() {
			p.events = append(p.events, eventOf(production, id, e))
		}
		s.remembered.grew(p, len(got.GetEvents()))
		token = got.GetNextPageToken()
		if token == "" {
			break
		}
	}
	// What is appended later is beyond what the caller sees.
	return p.events[:len(p.events):len(p.events)], nil
}

// people are a distribution's recipients, as of a few seconds ago; at most mostPeople.
func (s *Server) people(ctx context.Context, production, id string) ([]event.Recipient, error) {
	p := s.remembered.past(production, id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.peopleAt.IsZero() && time.Since(p.peopleAt) < peopleFor {
		return p.people, nil
	}
	var out []event.Recipient
	token := ""
	for len(out) < mostPeople {
		got, err := s.reads().ListRecipients(ctx, &distributionv1.ListRecipientsRequest{Production: production, Distribution: id, PageSize: 1000, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, r := range got.GetRecipients() {
			out = append(out, recipientOf(r))
		}
		token = got.GetNextPageToken()
		if token == "" {
			break
		}
	}
	s.remembered.grew(p, len(out)-len(p.people))
	p.people, p.peopleAt = out, time.Now()
	return out, nil
}
