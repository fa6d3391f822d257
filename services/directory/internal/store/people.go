package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrNoPerson: the production has no such person.
	ErrNoPerson = errors.New("person unknown")
	// ErrTaken: somebody else has the address, or another list the name.
	ErrTaken = errors.New("taken")
	// ErrChanged: the record is not of the revision that was named.
	ErrChanged = errors.New("changed meanwhile")
)

const (
	// MaxPeople is how many people a production has at most.
	MaxPeople = 50_000
	// MaxPut is how many people one call of PutPeople takes.
	MaxPut = 100
	// pageBytes is what a page of people is about at most, whatever their number: an answer must fit into a message.
	pageBytes = 1 << 20
)

// Person is a person's record.
type Person struct {
	ID      string
	Name    string
	Email   string
	Address string // Email in the form in which addresses are compared
	Fields  map[string]string
	// Words are what indexes have of them: the name as it is ordered, then what they are found by.
	Words            []string
	Created, Updated time.Time
	Revision         int
}

// Outcomes of PutPeople.
const (
	Added     = "added"
	Changed   = "changed"
	Unchanged = "unchanged"
	// Taken: somebody has the address, and says something else of themselves; not of a merge.
	Taken = "taken"
	// Full: there are MaxPeople already.
	Full = "full"
	// TooManyFields: with the fields that there were it would be more than 32.
	TooManyFields = "fields"
)

// Put is what became of one person, and under which id.
type Put struct{ Outcome, ID string }

var personID = regexp.MustCompile(`^per_[A-Z2-7]{26}$`)

// PutPeople adds up to MaxPut people, whose ids are those of new people, in one step. merge changes those whose address is
// there; otherwise nobody is changed.
func (t Tenant) PutPeople(ctx context.Context, people []Person, merge bool) ([]Put, error) {
	mode := "create"
	if merge {
		mode = "merge"
	}
	args := []any{mode, personKey(t.production, ""), MaxPeople}
	for _, p := range people {
		fields, words, err := encode(p)
		if err != nil {
			return nil, err
		}
		args = append(args, p.ID, person(p.Address), p.Name, p.Email, fields, words)
	}
	keys := []string{productionKey(t.production), peopleKey(t.production), termsKey(t.production), addressesKey(t.production)}
	r, err := t.s.run(ctx, t.s.scripts.peoplePut, 2*len(people), keys, args...)
	if err != nil {
		return nil, fmt.Errorf("record people: %w", err)
	}
	switch r.code {
	case "put":
		out := make([]Put, len(people))
		for i := range out {
			out[i] = Put{r.more[2*i], r.more[2*i+1]}
		}
		return out, nil
	case "no_production":
		return nil, ErrNoProduction
	}
	return nil, r.unexpected()
}

func encode(p Person) (fields, words string, err error) {
	f, err := json.Marshal(p.Fields)
	if p.Fields == nil {
		f = []byte("{}")
	}
	w, werr := json.Marshal(p.Words)
	return string(f), string(w), errors.Join(err, werr)
}

// UpdatePerson sets all of a person, if they are of p.Revision or that is 0.
func (t Tenant) UpdatePerson(ctx context.Context, p Person) error {
	if !personID.MatchString(p.ID) {
		return ErrNoPerson
	}
	fields, words, err := encode(p)
	if err != nil {
		return err
	}
	keys := []string{personKey(t.production, p.ID), peopleKey(t.production), termsKey(t.production), addressesKey(t.production)}
	r, err := t.s.run(ctx, t.s.scripts.personUpdate, 0, keys, p.ID, p.Revision, person(p.Address), p.Name, p.Email, fields, words)
	if err != nil {
		return fmt.Errorf("update person %s: %w", p.ID, err)
	}
	switch r.code {
	case "updated", "already":
		return nil
	case "changed":
		return ErrChanged
	case "taken":
		return ErrTaken
	case "absent":
		return ErrNoPerson
	}
	return r.unexpected()
}

// DeletePerson removes a person, from all lists, too; removing who is not there is no error.
func (t Tenant) DeletePerson(ctx context.Context, id string) error {
	if !personID.MatchString(id) {
		return nil // there is none
	}
	keys := []string{personKey(t.production, id), peopleKey(t.production), termsKey(t.production), addressesKey(t.production), listsKey(t.production)}
	r, err := t.s.run(ctx, t.s.scripts.personDelete, 0, keys, id, listPeopleKey(t.production, ""))
	if err != nil {
		return fmt.Errorf("delete person %s: %w", id, err)
	}
	switch r.code {
	case "deleted", "absent":
		return nil
	}
	return r.unexpected()
}

// People returns the records of ids, in their order, without those that are not there.
func (t Tenant) People(ctx context.Context, ids []string) ([]Person, error) {
	read := make([]*redis.MapStringStringCmd, len(ids))
	_, err := t.s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			read[i] = p.HGetAll(ctx, personKey(t.production, id))
		}
		return nil
	})
	if err != nil && len(ids) > 0 {
		return nil, fmt.Errorf("read people: %w", err)
	}
	var found []Person
	for i, id := range ids {
		record := read[i].Val()
		if len(record) == 0 {
			continue
		}
		p, err := personOf(id, record)
		if err != nil {
			return nil, fmt.Errorf("person %s: %w", id, err)
		}
		found = append(found, p)
	}
	return found, nil
}

func personOf(id string, record map[string]string) (Person, error) {
	p := Person{ID: id, Name: record["name"], Email: record["email"]}
	created, errCreated := millis(record["created"])
	updated, errUpdated := millis(record["updated"])
	revision, errRevision := strconv.Atoi(record["revision"])
	p.Created, p.Updated, p.Revision = created, updated, revision
	return p, errors.Join(errCreated, errUpdated, errRevision,
		json.Unmarshal([]byte(record["fields"]), &p.Fields), json.Unmarshal([]byte(record["words"]), &p.Words))
}

func (p Person) size() int {
	n := len(p.Name) + len(p.Email) + 100
	for field, value := range p.Fields {
		n += len(field) + len(value) + 10
	}
	return n
}

// FindPeople returns up to limit people in the order of their names; or, if prefix is not empty, those of whom a word
// begins with it, each once. after is the next of the page before. A page may be short and have a next all the same.
func (t Tenant) FindPeople(ctx context.Context, prefix, after string, limit int) (page []Person, next string, err error) {
	limit = min(limit, maxPage)
	key, from, to := peopleKey(t.production), "-", "+"
	if prefix != "" {
		key, from, to = termsKey(t.production), "["+prefix, "("+prefix+"\xff"
	}
	if after != "" {
		from = "(" + after
	}
	members, err := t.s.redis.ZRangeArgs(ctx, redis.ZRangeArgs{Key: key, Start: from, Stop: to, ByLex: true, Count: int64(limit + 1)}).Result()
	if err != nil {
		return nil, "", fmt.Errorf("find people: %w", err)
	}
	more := len(members) > limit
	members = members[:min(len(members), limit)]
	ids := make([]string, len(members))
	for i, m := range members {
		_, ids[i], _ = strings.Cut(m, "\x00")
	}
	found, err := t.People(ctx, ids)
	if err != nil {
		return nil, "", err
	}
	byID := map[string]Person{}
	for _, p := range found {
		byID[p.ID] = p
	}
	bytes := 0
	for i, m := range members {
		word, _, _ := strings.Cut(m, "\x00")
		p, there := byID[ids[i]]
		if there && (prefix == "" || word == p.first(prefix)) {
			page = append(page, p)
			bytes += p.size()
		}
		if bytes > pageBytes && (more || i+1 < len(members)) {
			return page, m, nil
		}
	}
	if more {
		next = members[len(members)-1]
	}
	return page, next, nil
}

// first is the first of p's words, in the order of the index, that begins with prefix: under it they are found, and not
// again under others. It is empty if there is none.
func (p Person) first(prefix string) string {
	least := ""
	for i, w := range p.Words {
		if i > 0 && strings.HasPrefix(w, prefix) && (least == "" || w < least) {
			least = w
		}
	}
	return least
}
