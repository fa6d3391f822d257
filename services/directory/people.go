package directory

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/people"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

// CreatePerson adds a person; adding the same again answers with the one there is.
func (s *Server) CreatePerson(ctx context.Context, req *directoryv1.CreatePersonRequest) (*directoryv1.CreatePersonResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	p, err := newPerson(req.GetName(), req.GetEmail(), req.GetFields())
	if err != nil {
		return nil, err
	}
	put, err := t.PutPeople(ctx, []store.Person{p}, false)
	if err != nil {
		return nil, answer(err, req.GetProduction())
	}
	switch put[0].Outcome {
	case store.Taken:
		return nil, addressTaken(p.Email)
	case store.Full:
		return nil, fault.New(fault.Conflict, "PEOPLE_FULL", "%s; delete whom nothing is sent to any more", directoryFull(req.GetProduction()))
	}
	m, err := personMessage(ctx, t, put[0].ID)
	if err != nil {
		return nil, err
	}
	return &directoryv1.CreatePersonResponse{Person: m}, nil
}

// GetPerson answers with one person, and the lists they are in.
func (s *Server) GetPerson(ctx context.Context, req *directoryv1.GetPersonRequest) (*directoryv1.GetPersonResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	m, err := personMessage(ctx, t, req.GetPerson())
	if err != nil {
		return nil, err
	}
	return &directoryv1.GetPersonResponse{Person: m}, nil
}

// GetPeople answers with several people, in the order in which they are asked for.
func (s *Server) GetPeople(ctx context.Context, req *directoryv1.GetPeopleRequest) (*directoryv1.GetPeopleResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	found, err := t.People(ctx, req.GetPeople())
	if err != nil {
		return nil, err
	}
	resp := &directoryv1.GetPeopleResponse{}
	for i, id := range req.GetPeople() {
		if i >= len(found) || found[i].ID != id {
			return nil, personUnknown(id)
		}
		resp.People = append(resp.People, newMessage(found[i]))
	}
	return resp, nil
}

// ListPeople lists people in the order of their names, or finds them.
func (s *Server) ListPeople(ctx context.Context, req *directoryv1.ListPeopleRequest) (*directoryv1.ListPeopleResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	after, err := base64.RawURLEncoding.DecodeString(req.GetPageToken())
	prefix := folded(req.GetQ())
	if _, id, _ := strings.Cut(string(after), "\x00"); err != nil || len(after) > 0 && (!strings.HasPrefix(id, "per_") || !strings.HasPrefix(string(after), prefix)) {
		return nil, errPageToken()
	}
	page, next, err := t.FindPeople(ctx, prefix, string(after), pageSize(req.GetPageSize()))
	if err != nil {
		return nil, err
	}
	resp := &directoryv1.ListPeopleResponse{NextPageToken: base64.RawURLEncoding.EncodeToString([]byte(next))}
	for _, p := range page {
		resp.People = append(resp.People, newMessage(p))
	}
	return resp, nil
}

// UpdatePerson sets all of a person.
func (s *Server) UpdatePerson(ctx context.Context, req *directoryv1.UpdatePersonRequest) (*directoryv1.UpdatePersonResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	p, err := newPerson(req.GetName(), req.GetEmail(), req.GetFields())
	if err != nil {
		return nil, err
	}
	p.ID, p.Revision = req.GetPerson(), int(req.GetRevision())
	err = t.UpdatePerson(ctx, p)
	switch {
	case errors.Is(err, store.ErrNoPerson):
		return nil, personUnknown(req.GetPerson())
	case errors.Is(err, store.ErrTaken):
		return nil, addressTaken(p.Email)
	case errors.Is(err, store.ErrChanged):
		return nil, fault.New(fault.Conflict, "PERSON_CHANGED", "somebody else changed this person meanwhile; look at what there is now, and change that")
	case err != nil:
		return nil, err
	}
	m, err := personMessage(ctx, t, p.ID)
	if err != nil {
		return nil, err
	}
	return &directoryv1.UpdatePersonResponse{Person: m}, nil
}

// DeletePerson removes a person; removing who is not there is no error.
func (s *Server) DeletePerson(ctx context.Context, req *directoryv1.DeletePersonRequest) (*directoryv1.DeletePersonResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	err = t.DeletePerson(ctx, req.GetPerson())
	if err != nil {
		return nil, err
	}
	return &directoryv1.DeletePersonResponse{}, nil
}

// mostProblems is how many lines of a file are named that could not be taken.
const mostProblems = 1000

// ImportPeople adds and changes people by what a CSV file says.
func (s *Server) ImportPeople(ctx context.Context, req *directoryv1.ImportPeopleRequest) (*directoryv1.ImportPeopleResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	if req.GetList() != "" {
		_, err = t.List(ctx, req.GetList())
		if err != nil {
			return nil, listFault(err, req.GetList())
		}
	}
	rows, bad := people.Read([]byte(req.GetCsv()))
	if bad.Whole {
		return nil, fault.New(fault.Invalid, "PEOPLE_BAD", "the list of people cannot be used: %s", strings.ReplaceAll(bad.Error(), "\n", "; "))
	}
	resp := &directoryv1.ImportPeopleResponse{}
	lines := map[int]bool{}
	problem := func(line int, message string) {
		lines[line] = true
		if len(resp.GetProblems()) < mostProblems {
			resp.Problems = append(resp.Problems, &directoryv1.ImportProblem{Line: int32(line), Message: message})
		}
	}
	for _, p := range bad.Problems {
		problem(p.Line, p.Reason)
	}
	for len(rows) > 0 {
		slice := rows[:min(len(rows), store.MaxPut)]
		rows = rows[len(slice):]
		batch := make([]store.Person, 0, len(slice))
		slice = slices.DeleteFunc(slice, func(row people.Person) bool {
			p, err := newPerson(row.Name, row.Email, row.Fields)
			if err != nil {
				problem(row.Line, fault.From(err).Message)
				return true
			}
			batch = append(batch, p)
			return false
		})
		if len(batch) == 0 {
			continue
		}
		put, err := t.PutPeople(ctx, batch, true)
		if err != nil {
			return nil, answer(err, req.GetProduction())
		}
		var ids []string
		for i, p := range put {
			switch p.Outcome {
			case store.Added:
				resp.Added++
			case store.Changed:
				resp.Changed++
			case store.Unchanged:
				resp.Unchanged++
			case store.Full:
				problem(slice[i].Line, directoryFull(req.GetProduction()))
				continue
			default:
				problem(slice[i].Line, "with the fields that there are already it would have more than 32")
				continue
			}
			ids = append(ids, p.ID)
		}
		if req.GetList() == "" || len(ids) == 0 {
			continue
		}
		n, _, err := t.AddToList(ctx, req.GetList(), ids)
		if err != nil {
			return nil, listFault(err, req.GetList())
		}
		resp.AddedToList += int32(n)
	}
	resp.Refused = int32(len(lines))
	return resp, nil
}

// newPerson is a new person by what was asked for.
func newPerson(name, email string, fields map[string]string) (store.Person, error) {
	name, email = strings.TrimSpace(visible(name)), strings.TrimSpace(email)
	if name == "" {
		return store.Person{}, fault.New(fault.Invalid, "PERSON_NAME_EMPTY", "a person needs a name that can be seen")
	}
	if !people.Address(email) {
		return store.Person{}, fault.New(fault.Invalid, "EMAIL_ADDRESS_INVALID", "%q is not an e-mail address", visible(email))
	}
	for field := range fields {
		if field == "name" || field == "email" {
			return store.Person{}, fault.New(fault.Invalid, "PERSON_FIELD_INVALID", "%s is no further field: it has a place of its own", field)
		}
	}
	return store.Person{ID: "per_" + rand.Text(), Name: name, Email: email, Address: people.Key(norm.NFC.String(email)), Fields: fields, Words: words(name, email)}, nil
}

// mostWords is how many words of a name somebody is found by.
const mostWords = 8

// words are what a person's name is ordered by, and then what they are found by: their name, the name from each later word
// on, and their address.
func words(name, email string) []string {
	whole := folded(name)
	out := []string{whole}
	for rest, n := whole, 0; rest != "" && n < mostWords; n++ {
		out = append(out, rest)
		_, rest, _ = strings.Cut(rest, " ")
	}
	return append(out, folded(email))
}

// folded is text in the form in which it is ordered and looked for: without case, accents, and more than single spaces.
func folded(text string) string {
	const longest = 200
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ReplaceAll(strings.ToLower(visible(text)), "ß", "ss")) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return cut(strings.Join(strings.Fields(b.String()), " "), longest)
}

func personMessage(ctx context.Context, t store.Tenant, id string) (*directoryv1.Person, error) {
	found, err := t.People(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, personUnknown(id)
	}
	m := newMessage(found[0])
	m.Lists, err = t.ListsOf(ctx, id)
	return m, err
}

func newMessage(p store.Person) *directoryv1.Person {
	return &directoryv1.Person{Id: p.ID, Name: p.Name, Email: p.Email, Fields: p.Fields, Revision: int32(p.Revision),
		CreatedAt: timestamppb.New(p.Created), UpdatedAt: timestamppb.New(p.Updated)}
}

func personUnknown(id string) error {
	return fault.New(fault.NotFound, "PERSON_UNKNOWN", "there is no person %q in this production", id)
}

func addressTaken(email string) error {
	return fault.New(fault.Conflict, "PERSON_EXISTS", "another person has the address %s already; change that one", email)
}

func directoryFull(production string) string {
	return "the production " + production + " has as many people as one may have, 50,000"
}
