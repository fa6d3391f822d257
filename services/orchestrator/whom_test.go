package orchestrator_test

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// crew and cast are lists that the directory has; the one is longer than a page of theirs.
var (
	crew = []*directoryv1.Person{
		{Id: "per_a", Name: "Anna of the list", Email: "anna@EXAMPLE.com", Fields: map[string]string{"role": "gaffer"}},
		{Id: "per_b", Name: "Bo", Email: "bo@example.com"}, {Id: "per_c", Name: "Cy", Email: "cy@example.com"}, {Id: "per_B", Name: "Another Bo", Email: "Bo@example.com"},
	}
	cast     = []*directoryv1.Person{{Id: "per_b2", Name: "Bo again", Email: "bo@Example.com"}, {Id: "per_d", Name: "Dee", Email: "dee@example.com"}}
	policies = map[string]*directoryv1.ListPolicy{"crew": {Mode: "link", Mark: "{name} of the crew"}, "cast": {Mode: "link"}, "odd": {Mode: "attachment"}}
)

func (directory) ListListPeople(_ context.Context, r *directoryv1.ListListPeopleRequest) (*directoryv1.ListListPeopleResponse, error) {
	all, there := map[string][]*directoryv1.Person{"crew": crew, "cast": cast, "odd": cast, "nobody": nil}[r.GetList()]
	if !there {
		return nil, fault.New(fault.NotFound, "LIST_UNKNOWN", "there is no list %q in this production", r.GetList())
	}
	at, _ := strconv.Atoi(r.GetPageToken())
	resp := &directoryv1.ListListPeopleResponse{People: all[at:min(at+2, len(all))]}
	if at+2 < len(all) {
		resp.NextPageToken = strconv.Itoa(at + 2)
	}
	return resp, nil
}

func (directory) GetList(_ context.Context, r *directoryv1.GetListRequest) (*directoryv1.GetListResponse, error) {
	return &directoryv1.GetListResponse{List: &directoryv1.List{Id: r.GetList(), Policy: policies[r.GetList()]}}, nil
}

func (directory) GetPeople(_ context.Context, r *directoryv1.GetPeopleRequest) (*directoryv1.GetPeopleResponse, error) {
	resp := &directoryv1.GetPeopleResponse{}
	for _, id := range r.GetPeople() {
		i := slices.IndexFunc(crew, func(p *directoryv1.Person) bool { return p.GetId() == id })
		if i < 0 {
			return nil, fault.New(fault.NotFound, "PERSON_UNKNOWN", "there is no person %q in this production", id)
		}
		resp.People = append(resp.People, crew[i])
	}
	return resp, nil
}

func TestListsAndPeopleAreRecipients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	to := func(change func(*distributionv1.CreateDistributionRequest)) (*distributionv1.Distribution, []string, error) {
		t.Helper()
		req := request(1, 0)
		req.Recipients = nil
		change(req)
		resp, err := b.distributions.CreateDistribution(t.Context(), req)
		if err != nil {
			return nil, nil, err
		}
		var got []string
		for _, r := range b.recipients(resp.GetDistribution().GetId()) {
			got = append(got, r.GetName()+" "+r.GetEmail())
		}
		return resp.GetDistribution(), got, nil
	}
	d, got, err := to(func(r *distributionv1.CreateDistributionRequest) {
		r.Lists, r.People, r.Mark = []string{"crew", "cast"}, []string{"per_c"}, ""
		r.Recipients = []*distributionv1.RecipientInput{{Name: "Anna", Email: "anna@example.com"}}
	})
	want := []string{"Anna anna@example.com", "Cy cy@example.com", "Bo bo@example.com", "Another Bo Bo@example.com", "Dee dee@example.com"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if d.GetMode() != "link" || d.GetMark() != "{name} of the crew" {
		t.Errorf("got mode %s and mark %q, want what the lists say", d.GetMode(), d.GetMark())
	}
	d, _, err = to(func(r *distributionv1.CreateDistributionRequest) {
		r.Lists, r.Mode, r.Mark = []string{"crew", "odd"}, "attachment", "{name}"
	})
	if err != nil || d.GetMode() != "attachment" || d.GetMark() != "{name}" {
		t.Errorf("got %v, %v, want what the request says", d, err)
	}
	for reason, change := range map[string]func(*distributionv1.CreateDistributionRequest){
		"LIST_POLICIES_DIFFER": func(r *distributionv1.CreateDistributionRequest) { r.Lists = []string{"crew", "odd"} },
		"LIST_UNKNOWN":         func(r *distributionv1.CreateDistributionRequest) { r.Lists = []string{"none"} },
		"PERSON_UNKNOWN":       func(r *distributionv1.CreateDistributionRequest) { r.People = []string{"per_none"} },
		"INVALID":              func(*distributionv1.CreateDistributionRequest) {},
		"MARK_FIELD_UNKNOWN": func(r *distributionv1.CreateDistributionRequest) {
			r.Lists, r.Mark = []string{"cast"}, "{name} {nonsense}"
		},
		"RECIPIENT_INVALID": func(r *distributionv1.CreateDistributionRequest) {
			r.Lists = []string{"crew"}
			r.Recipients = []*distributionv1.RecipientInput{{Name: "Bo", Email: "bo@example.com"}, {Name: "Bo", Email: "BO@example.com"}}
		},
	} {
		_, _, err = to(change)
		if f := fault.From(err); f == nil || f.Reason != reason {
			t.Errorf("got %v, want %s", err, reason)
		}
	}
	_, _, err = to(func(r *distributionv1.CreateDistributionRequest) { r.Lists = []string{"nobody"} })
	if f := fault.From(err); f == nil || f.Reason != "RECIPIENTS_MISSING" {
		t.Errorf("got %v, want that nobody is in it", err)
	}
	_, _, err = to(func(r *distributionv1.CreateDistributionRequest) { r.Lists = []string{"crew", "crew"} })
	if f := fault.From(err); f == nil || f.Reason != "INVALID" {
		t.Errorf("got %v, want that no list is named twice", err)
	}
}
