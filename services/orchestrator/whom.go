package orchestrator

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/people"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// mostRecipients is how many people one distribution goes to.
const mostRecipients = 10_000

// origin is where a recipient of a resolved request came from: 0 is the request itself, 1 its people, from 2 on its lists.
type origin int

// whom is a request with all whom it is for by name and address, in place of the people and lists of the directory that it
// names, and with what the lists' policies say where it says nothing.
type whom struct {
	req *distributionv1.CreateDistributionRequest
	// inline is how many recipients the request named itself; they are the first.
	inline int
	// origins says of each recipient of req where they came from, and merged lists those who were there already.
	origins []origin
	merged  []merged
}

// merged is somebody left out, since recipient number is of the same address.
type merged struct {
	number int
	*distributionv1.RecipientInput
}

// named reports whether req says whom it is for.
func named(req *distributionv1.CreateDistributionRequest) bool {
	return len(req.GetRecipients())+len(req.GetLists())+len(req.GetPeople()) > 0
}

// resolve finds whom req is for, now.
func (s *Server) resolve(ctx context.Context, req *distributionv1.CreateDistributionRequest) (whom, error) {
	if !named(req) {
		return whom{}, fault.New(fault.Invalid, "INVALID", "nobody is named to send to: give recipients, lists, or people of the directory")
	}
	if len(req.GetLists())+len(req.GetPeople()) == 0 {
		return whom{req: req, inline: len(req.GetRecipients()), origins: make([]origin, len(req.GetRecipients()))}, nil
	}
	w := whom{req: proto.CloneOf(req), inline: len(req.GetRecipients())}
	w.req.Lists, w.req.People = nil, nil
	first := map[string]int{}
	for i, r := range req.GetRecipients() {
		w.origins = append(w.origins, 0)
		first[people.Key(r.GetEmail())] = i + 1
	}
	add := func(from origin, list []*directoryv1.Person) error {
		for _, p := range list {
			r := &distributionv1.RecipientInput{Name: p.GetName(), Email: p.GetEmail(), Fields: p.GetFields()}
			key := people.Key(p.GetEmail())
			if n := first[key]; n > 0 {
				w.merged = append(w.merged, merged{n, r})
				continue
			}
			if len(w.req.GetRecipients()) == mostRecipients {
				return fault.New(fault.Invalid, "TOO_MANY_RECIPIENTS", "with everybody in its lists it would go to more than %d people: send to fewer lists at once", mostRecipients)
			}
			w.req.Recipients, w.origins = append(w.req.Recipients, r), append(w.origins, from)
			first[key] = len(w.req.GetRecipients())
		}
		return nil
	}
	err := s.named(ctx, req, add)
	if err != nil {
		return whom{}, err
	}
	if len(w.req.GetRecipients()) == 0 {
		return whom{}, fault.New(fault.Invalid, "RECIPIENTS_MISSING", "nobody is in the lists to send to")
	}
	return w, s.inherit(ctx, w.req, req.GetLists())
}

// named reads the people of the directory whom req names.
func (s *Server) named(ctx context.Context, req *distributionv1.CreateDistributionRequest, add func(origin, []*directoryv1.Person) error) error {
	const slice = 100
	for ids := req.GetPeople(); len(ids) > 0; ids = ids[min(len(ids), slice):] {
		resp, err := s.deps.Directory.GetPeople(ctx, &directoryv1.GetPeopleRequest{Production: req.GetProduction(), People: ids[:min(len(ids), slice)]})
		if err == nil {
			err = add(1, resp.GetPeople())
		}
		if err != nil {
			return err
		}
	}
	for i, list := range req.GetLists() {
		page := &directoryv1.ListListPeopleRequest{Production: req.GetProduction(), List: list, PageSize: 1000}
		for {
			resp, err := s.deps.Directory.ListListPeople(ctx, page)
			if err == nil {
				err = add(origin(2+i), resp.GetPeople())
			}
			if err != nil {
				return err
			}
			page.PageToken = resp.GetNextPageToken()
			if page.PageToken == "" {
				break
			}
		}
	}
	return nil
}

// inherit puts what the lists' policies say where req says nothing.
func (s *Server) inherit(ctx context.Context, req *distributionv1.CreateDistributionRequest, lists []string) error {
	type setting struct {
		name string
		to   *string
		of   func(*directoryv1.ListPolicy) string
		from string // the list that says it
	}
	open := slices.DeleteFunc([]setting{
		{name: "mode", to: &req.Mode, of: (*directoryv1.ListPolicy).GetMode},
		{name: "mark", to: &req.Mark, of: (*directoryv1.ListPolicy).GetMark},
		{name: "password", to: &req.Password, of: (*directoryv1.ListPolicy).GetPassword},
	}, func(s setting) bool { return *s.to != "" })
	if len(open) == 0 {
		return nil
	}
	for _, list := range lists {
		resp, err := s.deps.Directory.GetList(ctx, &directoryv1.GetListRequest{Production: req.GetProduction(), List: list})
		if err != nil {
			return err
		}
		for i := range open {
			set := &open[i]
			said := set.of(resp.GetList().GetPolicy())
			switch {
			case said == "" || said == *set.to:
			case *set.to == "":
				*set.to, set.from = said, list
			default:
				return fault.New(fault.Invalid, "LIST_POLICIES_DIFFER", "the lists %q and %q have different policies about the %s: say which it is to be, or send to them apart", set.from, list, set.name)
			}
		}
	}
	return nil
}
