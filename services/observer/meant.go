package observer

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/rpc"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/index"
	"github.com/filigreehq/filigree/services/observer/internal/story"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

var (
	idForm   = regexp.MustCompile(`^([0-7][0-9A-HJKMNP-TV-Z]{25})(?:\.(?:(r\d{1,9})(?:\.\d+)?|(\d{1,9}\.\d{1,9})|(f\d{1,9})))?$`)
	unitForm = regexp.MustCompile(`^(d|f[1-9]\d{0,8}|r[1-9]\d{0,8}|i[1-9]\d{0,8}\.[1-9]\d{0,8})$`)
)

// looksThrough is how many distributions are looked through for a name that the index does not know yet.
const looksThrough = 100

// mostPages is how often the index is asked on when it has found nothing yet, and has not been everywhere.
const mostPages = 20

// meant finds what a question is about: by an id the very thing, in a distribution one of its people, else what the search
// finds, and what is so new that the search has not heard of it.
func (s *Server) meant(ctx context.Context, l *look, req *observerv1.WhyRequest) ([]*observerv1.Hit, error) {
	query := strings.TrimSpace(req.GetQuery())
	if m := idForm.FindStringSubmatch(query); m != nil && req.GetDistribution() == "" {
		unit := "d"
		switch {
		case m[2] != "":
			unit = m[2]
		case m[3] != "":
			unit = "i" + m[3]
		case m[4] != "":
			unit = m[4]
		}
		hit := s.byID(ctx, l, req.GetProduction(), m[1], unit)
		if hit != nil {
			return []*observerv1.Hit{hit}, nil
		}
	}
	if req.GetDistribution() != "" {
		hit := s.byID(ctx, l, req.GetProduction(), req.GetDistribution(), "d")
		if hit == nil {
			return nil, nil
		}
		return s.within(ctx, hit, query)
	}
	hits, err := s.indexed(ctx, req.GetProduction(), query)
	if err != nil || len(hits) > 0 || l.blind() {
		return hits, err
	}
	return s.lookThrough(ctx, l, req.GetProduction(), query), nil
}

// blind says that no record can be read.
func (l *look) blind() bool { return !l.state.RedisDown.IsZero() && !l.state.Replica }

// indexed is what the index finds, without asking anybody else.
func (s *Server) indexed(ctx context.Context, production, query string) ([]*observerv1.Hit, error) {
	where, err := searched(ctx, production)
	if err != nil {
		return nil, err
	}
	var found []index.Hit
	q := index.Query{Text: query, Scope: where, Most: 50}
	for page := 0; page < mostPages && len(found) == 0 && (page == 0 || q.After != "") && err == nil; page++ {
		found, q.After, err = s.index.Search(ctx, q)
	}
	if err != nil {
		s.deps.Log.WarnContext(ctx, "the index does not answer; records are looked through", "err", err)
		return nil, nil
	}
	var out []*observerv1.Hit
	for _, h := range found {
		if h.Distribution == "" {
			continue
		}
		out = append(out, &observerv1.Hit{Kind: h.Kind, Production: h.Production, Distribution: h.Distribution, Unit: h.Unit, Name: h.Name, Detail: h.Detail,
			State: h.State, Time: stampOf(h.Time), Code: h.Code})
	}
	return out, nil
}

// kept is a distribution as the index keeps it; nil if it does not.
func (s *Server) kept(ctx context.Context, production, id string) *distributionv1.Distribution {
	body, found, err := s.index.Get(ctx, production, id)
	if err != nil || !found {
		return nil
	}
	d := &distributionv1.Distribution{}
	err = proto.Unmarshal(body, d)
	if err != nil {
		return nil
	}
	return d
}

// byID is the hit of a distribution's unit; nil if the caller knows of none.
func (s *Server) byID(ctx context.Context, l *look, production, id, unit string) *observerv1.Hit {
	for _, p := range s.candidates(ctx, l, production, id) {
		d, ok := s.kept(ctx, p, id), rpc.MayActIn(ctx, p)
		if !l.blind() {
			d, ok = s.knows(ctx, p, id)
		}
		if !ok || d == nil {
			continue
		}
		h := &observerv1.Hit{Kind: "distribution", Production: p, Distribution: id, Unit: unit, Name: d.GetTitle(), Detail: d.GetTitle(), State: d.GetState(), Time: d.GetCreatedAt()}
		switch unit[0] {
		case 'r':
			h.Kind = "recipient"
		case 'i':
			h.Kind = "item"
		case 'f':
			h.Kind = "file"
			n, _ := story.Numbers(unit)
			if n >= 1 && n <= len(d.GetFiles()) {
				h.Name = d.GetFiles()[n-1].GetName()
			}
		}
		return h
	}
	return nil
}

// candidates are the productions that a distribution can be of.
func (s *Server) candidates(ctx context.Context, l *look, production, id string) []string {
	if production != "" {
		return []string{production}
	}
	for _, b := range l.open {
		if b.ID == id {
			return []string{b.Production}
		}
	}
	var out []string
	for _, p := range l.productions {
		if rpc.MayActIn(ctx, p) {
			out = append(out, p)
		}
	}
	return out
}

// within finds a unit, a person or a file of one distribution.
func (s *Server) within(ctx context.Context, of *observerv1.Hit, query string) ([]*observerv1.Hit, error) {
	if query == of.GetDistribution() {
		return []*observerv1.Hit{of}, nil
	}
	unit := strings.TrimPrefix(query, of.GetDistribution()+".")
	if unit != query && unit[0] >= '0' && unit[0] <= '9' {
		unit = "i" + unit
	}
	if unitForm.MatchString(unit) {
		return []*observerv1.Hit{{Kind: kindOf(unit), Production: of.GetProduction(), Distribution: of.GetDistribution(), Unit: unit, Name: of.GetName(), Detail: of.GetName(), State: of.GetState(), Time: of.GetTime()}}, nil
	}
	people, err := s.people(ctx, of.GetProduction(), of.GetDistribution())
	if err != nil {
		return nil, err
	}
	d, _ := s.knows(ctx, of.GetProduction(), of.GetDistribution())
	return matching(d, people, query), nil
}

func kindOf(unit string) string {
	switch unit[0] {
	case 'r':
		return "recipient"
	case 'i':
		return "item"
	case 'f':
		return "file"
	}
	return "distribution"
}

// matching are the people and files of a distribution that a query names, those named exactly first.
func matching(d *distributionv1.Distribution, people []event.Recipient, query string) []*observerv1.Hit {
	q := strings.ToLower(query)
	var exact, part []*observerv1.Hit
	add := func(h *observerv1.Hit, names ...string) {
		for _, name := range names {
			switch low := strings.ToLower(name); {
			case low == q:
				exact = append(exact, h)
				return
			case strings.Contains(low, q):
				part = append(part, h)
				return
			}
		}
	}
	for _, p := range people {
		add(&observerv1.Hit{Kind: "recipient", Production: d.GetProduction(), Distribution: d.GetId(), Unit: "r" + strconv.Itoa(p.Number), Name: p.Name,
			Detail: p.Email, State: p.State, Time: d.GetCreatedAt(), Code: p.Code}, p.Email, p.Name, p.MessageID)
	}
	for i, f := range d.GetFiles() {
		add(&observerv1.Hit{Kind: "file", Production: d.GetProduction(), Distribution: d.GetId(), Unit: "f" + strconv.Itoa(i+1), Name: f.GetName(),
			Detail: d.GetTitle(), State: d.GetState(), Time: d.GetCreatedAt()}, f.GetName(), f.GetSha256())
	}
	add(&observerv1.Hit{Kind: "distribution", Production: d.GetProduction(), Distribution: d.GetId(), Unit: "d", Name: d.GetTitle(), State: d.GetState(), Time: d.GetCreatedAt()}, d.GetTitle())
	if len(exact) > 0 {
		return exact
	}
	return part
}

// lookThrough looks through distributions that are open, the newest first.
func (s *Server) lookThrough(ctx context.Context, l *look, production, query string) []*observerv1.Hit {
	open := slices.Clone(l.open)
	now, err := s.records.Unended(ctx, mostOpen)
	if err == nil {
		open = now
	}
	ended, err := s.records.Ended(ctx, l.now().Add(-sinceAtLeast), looksThrough)
	if err == nil {
		open = append(open, ended...)
	}
	slices.SortFunc(open, func(a, b readside.Brief) int { return b.Created.Compare(a.Created) })
	var out []*observerv1.Hit
	looked := 0
	for _, b := range open {
		if !rpc.MayActIn(ctx, b.Production) || production != "" && b.Production != production {
			continue
		}
		looked++
		if looked > looksThrough {
			break
		}
		d, ok := s.knows(ctx, b.Production, b.ID)
		if !ok {
			continue
		}
		people, err := s.people(ctx, b.Production, b.ID)
		if err == nil {
			out = append(out, matching(d, people, query)...)
		}
	}
	return out
}
