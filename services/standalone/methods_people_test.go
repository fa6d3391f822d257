package standalone_test

import (
	"context"
	"fmt"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

func init() {
	for _, name := range []string{"GetPerson", "GetPeople", "ListPeople", "GetList", "ListLists", "ListListPeople"} {
		methods["DirectoryService."+name] = method{safe: readsOnly}
	}
	methods["DirectoryService.CreatePerson"] = method{do: func(s *suite) { s.person() }}
	methods["DirectoryService.UpdatePerson"] = method{do: func(s *suite) {
		p := s.calmPerson()
		s.again(func(ctx context.Context) error {
			_, err := s.directory.UpdatePerson(ctx, &directoryv1.UpdatePersonRequest{Production: "p", Person: p.GetId(), Name: "New " + s.name(), Email: p.GetEmail(), Revision: p.GetRevision()})
			return err
		})
		s.want("revision", s.getPerson(p.GetId()).GetRevision(), p.GetRevision()+1)
	}}
	methods["DirectoryService.DeletePerson"] = method{do: func(s *suite) {
		p := s.calmPerson()
		s.again(func(ctx context.Context) error {
			_, err := s.directory.DeletePerson(ctx, &directoryv1.DeletePersonRequest{Production: "p", Person: p.GetId()})
			return err
		})
		s.want("people", len(s.find(p.GetEmail())), 0)
	}}
	methods["DirectoryService.ImportPeople"] = method{do: func(s *suite) {
		email := "import-" + s.name() + "@example.com"
		var last *directoryv1.ImportPeopleResponse
		s.again(func(ctx context.Context) error {
			var err error
			last, err = s.directory.ImportPeople(ctx, &directoryv1.ImportPeopleRequest{Production: "p", Csv: "name,email\nAda," + email + "\n"})
			return err
		})
		s.want("rows", last.GetAdded()+last.GetUnchanged(), 1)
		s.want("people", len(s.find(email)), 1)
	}}
	methods["DirectoryService.CreateList"] = method{do: func(s *suite) { s.list() }}
	methods["DirectoryService.UpdateList"] = method{do: func(s *suite) {
		var l *directoryv1.List
		s.calm(func() { l = s.list() })
		s.again(func(ctx context.Context) error {
			_, err := s.directory.UpdateList(ctx, &directoryv1.UpdateListRequest{Production: "p", List: l.GetId(), Name: "New " + s.name(), Revision: l.GetRevision()})
			return err
		})
		s.calm(func() {
			s.again(func(ctx context.Context) error {
				_, err := s.directory.DeleteList(ctx, &directoryv1.DeleteListRequest{Production: "p", List: l.GetId()})
				return err
			})
		})
	}}
	methods["DirectoryService.DeleteList"] = method{do: func(s *suite) {
		var l *directoryv1.List
		s.calm(func() { l = s.list() })
		s.again(func(ctx context.Context) error {
			_, err := s.directory.DeleteList(ctx, &directoryv1.DeleteListRequest{Production: "p", List: l.GetId()})
			return err
		})
	}}
	methods["DirectoryService.AddListPeople"] = method{do: func(s *suite) { s.members(true) }}
	methods["DirectoryService.RemoveListPeople"] = method{do: func(s *suite) { s.members(false) }}
}

func (s *suite) email() string { return s.name() + "@people.example.com" }

// person is this round's person, made again until there is an answer.
func (s *suite) person() (p *directoryv1.Person) {
	s.t.Helper()
	s.again(func(ctx context.Context) error {
		resp, err := s.directory.CreatePerson(ctx, &directoryv1.CreatePersonRequest{Production: "p", Name: "Ada " + s.name(), Email: s.email()})
		p = resp.GetPerson()
		return err
	}, "PERSON_EXISTS")
	s.want("people", len(s.find(s.email())), 1)
	return p
}

// calmPerson is a person of this round as they are, whatever rounds before made of them.
func (s *suite) calmPerson() (p *directoryv1.Person) {
	s.t.Helper()
	if have := s.find(s.email()); len(have) > 0 {
		return have[0]
	}
	s.calm(func() { p = s.person() })
	return p
}

func (s *suite) find(q string) []*directoryv1.Person {
	s.t.Helper()
	return ask(s, func(ctx context.Context) (*directoryv1.ListPeopleResponse, error) {
		return s.directory.ListPeople(ctx, &directoryv1.ListPeopleRequest{Production: "p", Q: q})
	}).GetPeople()
}

func (s *suite) getPerson(id string) *directoryv1.Person {
	s.t.Helper()
	return ask(s, func(ctx context.Context) (*directoryv1.GetPersonResponse, error) {
		return s.directory.GetPerson(ctx, &directoryv1.GetPersonRequest{Production: "p", Person: id})
	}).GetPerson()
}

func (s *suite) list() (l *directoryv1.List) {
	s.t.Helper()
	s.again(func(ctx context.Context) error {
		resp, err := s.directory.CreateList(ctx, &directoryv1.CreateListRequest{Production: "p", Id: s.name(), Name: "List " + s.name()})
		l = resp.GetList()
		return err
	})
	s.want("the list", l.GetId(), s.name())
	return l
}

// members puts this round's person into its list, or takes them out, and sends to the list.
func (s *suite) members(add bool) {
	s.t.Helper()
	p := s.calmPerson()
	s.calm(func() { s.list() })
	one := []string{p.GetId()}
	put := func(ctx context.Context) error {
		_, err := s.directory.AddListPeople(ctx, &directoryv1.AddListPeopleRequest{Production: "p", List: s.name(), People: one})
		return err
	}
	if add {
		s.again(put)
		s.want("who got it", s.sentTo(s.name()), fmt.Sprint([]string{p.GetEmail()}))
		return
	}
	s.calm(func() { s.again(put) })
	s.again(func(ctx context.Context) error {
		_, err := s.directory.RemoveListPeople(ctx, &directoryv1.RemoveListPeopleRequest{Production: "p", List: s.name(), People: one})
		return err
	})
	got := ask(s, func(ctx context.Context) (*directoryv1.GetListResponse, error) {
		return s.directory.GetList(ctx, &directoryv1.GetListRequest{Production: "p", List: s.name()})
	})
	s.want("people in it", got.GetList().GetPeople(), 0)
}

// sentTo is to whom a distribution to a list goes.
func (s *suite) sentTo(list string) string {
	s.t.Helper()
	id := ""
	s.calm(func() {
		s.again(func(ctx context.Context) error {
			req := s.request("quick", "to "+list)
			req.Recipients, req.Lists = nil, []string{list}
			resp, err := s.distributions.CreateDistribution(ctx, req)
			id = resp.GetDistribution().GetId()
			return err
		})
	})
	resp := ask(s, func(ctx context.Context) (*distributionv1.ListRecipientsResponse, error) {
		return s.distributions.ListRecipients(ctx, &distributionv1.ListRecipientsRequest{Production: "p", Distribution: id})
	})
	var to []string
	for _, r := range resp.GetRecipients() {
		to = append(to, r.GetEmail())
	}
	return fmt.Sprint(to)
}
