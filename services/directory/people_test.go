package directory_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
)

func (r *rig) importPeople(t *testing.T, ctx context.Context, production, csv, list string) *directoryv1.ImportPeopleResponse {
	t.Helper()
	resp, err := r.directory.ImportPeople(ctx, &directoryv1.ImportPeopleRequest{Production: production, Csv: csv, List: list})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// everybody are the names that a search finds, a page at a time.
func (r *rig) everybody(t *testing.T, ctx context.Context, production, q string) (names []string) {
	t.Helper()
	req := &directoryv1.ListPeopleRequest{Production: production, Q: q, PageSize: 2}
	for {
		resp, err := r.directory.ListPeople(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range resp.GetPeople() {
			names = append(names, p.GetName())
		}
		req.PageToken = resp.GetNextPageToken()
		if req.PageToken == "" {
			return names
		}
	}
}

func importPeople(t *testing.T, r *rig) {
	ctx := r.production(t, "import")
	const csv = "name,email,Role\nÅsa  Größe,asa@Example.com,gaffer\nBo Åsander,bo@example.com,\nBad,nowhere,x\nCy,cy@example.com,grip\n,dee@example.com,\nTwice,bo@example.com,\n\u200b,eve@example.com,\n"
	got := r.importPeople(t, ctx, "import", csv, "")
	if got.GetAdded() != 3 || got.GetRefused() != 4 || got.GetChanged()+got.GetUnchanged() != 0 {
		t.Errorf("got %v", got)
	}
	var lines []int32
	for _, p := range got.GetProblems() {
		lines = append(lines, p.GetLine())
	}
	if !slices.Equal(lines, []int32{4, 6, 7, 8}) || !strings.Contains(got.GetProblems()[0].GetMessage(), `"nowhere"`) {
		t.Errorf("got %v", got.GetProblems())
	}
	again := r.importPeople(t, ctx, "import", csv, "")
	if again.GetUnchanged() != 3 || again.GetAdded()+again.GetChanged() != 0 {
		t.Errorf("the same again: %v", again)
	}
	changed := r.importPeople(t, ctx, "import", "email;name;company\nasa@EXAMPLE.com;Åsa  Größe;Light\n", "")
	if changed.GetChanged() != 1 {
		t.Errorf("got %v", changed)
	}
	for q, want := range map[string]string{
		"": "[Åsa  Größe Bo Åsander Cy]", "asa": "[Åsa  Größe Bo Åsander]", "GROSSE": "[Åsa  Größe]", "cy@ex": "[Cy]", "example": "[]", "\u202e": "[Åsa  Größe Bo Åsander Cy]",
	} {
		if got := fmt.Sprint(r.everybody(t, ctx, "import", q)); got != want {
			t.Errorf("%q finds %s, want %s", q, got, want)
		}
	}
	resp, err := r.directory.ListPeople(ctx, &directoryv1.ListPeopleRequest{Production: "import", Q: "asa@"})
	if err != nil || len(resp.GetPeople()) != 1 || resp.GetPeople()[0].GetFields()["role"] != "gaffer" || resp.GetPeople()[0].GetFields()["company"] != "Light" {
		t.Errorf("got %v, %v, want what the second file had not left alone", resp, err)
	}
	for text, reason := range map[string]string{
		"": "INVALID", "name\nBo\n": "PEOPLE_BAD", "name,email\n": "PEOPLE_BAD",
		"name,email\n" + strings.Repeat("A,a@example.com\n", 10_001): "PEOPLE_BAD",
	} {
		_, err := r.directory.ImportPeople(ctx, &directoryv1.ImportPeopleRequest{Production: "import", Csv: text})
		wantFault(t, err, fault.Invalid, reason)
	}
	_, err = r.directory.ImportPeople(ctx, &directoryv1.ImportPeopleRequest{Production: "import", Csv: csv, List: "none"})
	wantFault(t, err, fault.NotFound, "LIST_UNKNOWN")
	if strings.Contains(r.logged.String(), "asa@") {
		t.Error("an address is in the log")
	}
}

// As many as one file may have, with pages of more bytes than a message could hold.
func importMany(t *testing.T, r *rig) {
	ctx := r.production(t, "many")
	_, err := r.directory.CreateList(ctx, &directoryv1.CreateListRequest{Production: "many", Name: "All"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("name,email,note\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "Person %05d,p%05d@example.com,%s\n", i, i, strings.Repeat("x", 250))
	}
	got := r.importPeople(t, ctx, "many", b.String(), "all")
	if got.GetAdded() != 10_000 || got.GetAddedToList() != 10_000 {
		t.Fatalf("got %v", got)
	}
	req := &directoryv1.ListListPeopleRequest{Production: "many", List: "all", PageSize: 1000}
	n := 0
	for {
		resp, err := r.directory.ListListPeople(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range resp.GetPeople() {
			if p.GetEmail() != fmt.Sprintf("p%05d@example.com", n) {
				t.Fatalf("number %d is %v", n, p)
			}
			n++
		}
		req.PageToken = resp.GetNextPageToken()
		if req.PageToken == "" {
			break
		}
	}
	if n != 10_000 {
		t.Errorf("%d are in the list", n)
	}
}

func editPeople(t *testing.T, r *rig) {
	ctx := r.production(t, "edit")
	create := &directoryv1.CreatePersonRequest{Production: "edit", Name: " Anna ", Email: "anna@example.com", Fields: map[string]string{"role": "gaffer"}}
	var id string
	for range 2 {
		made, err := r.directory.CreatePerson(ctx, create)
		if err != nil || made.GetPerson().GetName() != "Anna" || made.GetPerson().GetRevision() != 1 || id != "" && id != made.GetPerson().GetId() {
			t.Fatalf("got %v, %v", made, err)
		}
		id = made.GetPerson().GetId()
	}
	create.Fields = nil
	_, err := r.directory.CreatePerson(ctx, create)
	wantFault(t, err, fault.Conflict, "PERSON_EXISTS", "anna@example.com")
	for name, bad := range map[string]*directoryv1.CreatePersonRequest{
		"PERSON_NAME_EMPTY":     {Production: "edit", Name: "\u202e", Email: "x@example.com"},
		"EMAIL_ADDRESS_INVALID": {Production: "edit", Name: "X", Email: "X <x@example.com>"},
		"PERSON_FIELD_INVALID":  {Production: "edit", Name: "X", Email: "x@example.com", Fields: map[string]string{"name": "Y"}},
		"INVALID":               {Production: "edit", Name: "X", Email: "x@example.com", Fields: map[string]string{"Role": "Y"}},
	} {
		_, err = r.directory.CreatePerson(ctx, bad)
		wantFault(t, err, fault.Invalid, name)
	}
	update := &directoryv1.UpdatePersonRequest{Production: "edit", Person: id, Name: "Anna B", Email: "anna@example.com", Revision: 1}
	for range 2 { // the second time nothing is left to change
		done, err := r.directory.UpdatePerson(ctx, update)
		if err != nil || done.GetPerson().GetRevision() != 2 || len(done.GetPerson().GetFields()) != 0 {
			t.Fatalf("got %v, %v", done, err)
		}
	}
	update.Name = "Anna C"
	_, err = r.directory.UpdatePerson(ctx, update)
	wantFault(t, err, fault.Conflict, "PERSON_CHANGED")
	update.Person = "per_none"
	_, err = r.directory.UpdatePerson(ctx, update)
	wantFault(t, err, fault.NotFound, "PERSON_UNKNOWN")

	crew, err := r.directory.CreateList(ctx, &directoryv1.CreateListRequest{Production: "edit", Name: "Die Crew", Policy: &directoryv1.ListPolicy{Mode: "link"}})
	if err != nil || crew.GetList().GetId() != "die-crew" || crew.GetList().GetPolicy().GetMode() != "link" {
		t.Fatalf("got %v, %v", crew, err)
	}
	added, err := r.directory.AddListPeople(ctx, &directoryv1.AddListPeopleRequest{Production: "edit", List: "die-crew", People: []string{id}})
	if err != nil || added.GetAdded() != 1 || added.GetPeople() != 1 {
		t.Fatalf("got %v, %v", added, err)
	}
	got, err := r.directory.GetPerson(ctx, &directoryv1.GetPersonRequest{Production: "edit", Person: id})
	if err != nil || !slices.Equal(got.GetPerson().GetLists(), []string{"die-crew"}) {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = r.directory.AddListPeople(ctx, &directoryv1.AddListPeopleRequest{Production: "edit", List: "die-crew", People: []string{id, "per_none"}})
	wantFault(t, err, fault.NotFound, "PERSON_UNKNOWN", "per_none")
	_, err = r.directory.UpdateList(ctx, &directoryv1.UpdateListRequest{Production: "edit", List: "die-crew", Name: "Crew", Revision: 9})
	wantFault(t, err, fault.Conflict, "LIST_CHANGED")
	set, err := r.directory.UpdateList(ctx, &directoryv1.UpdateListRequest{Production: "edit", List: "die-crew", Name: "Crew", Revision: 1})
	if err != nil || set.GetList().GetPolicy() != nil || set.GetList().GetName() != "Crew" || set.GetList().GetPeople() != 1 {
		t.Errorf("got %v, %v", set, err)
	}
	_, err = r.directory.CreateList(ctx, &directoryv1.CreateListRequest{Production: "edit", Name: "東京"})
	wantFault(t, err, fault.Invalid, "LIST_ID_MISSING")
	_, err = r.directory.DeletePerson(ctx, &directoryv1.DeletePersonRequest{Production: "edit", Person: id})
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.directory.ListLists(ctx, &directoryv1.ListListsRequest{Production: "edit"})
	if err != nil || len(all.GetLists()) != 1 || all.GetLists()[0].GetPeople() != 0 {
		t.Errorf("got %v, %v", all, err)
	}
	for _, token := range []string{"?", "AAAA", "bDA"} {
		_, err = r.directory.ListListPeople(ctx, &directoryv1.ListListPeopleRequest{Production: "edit", List: "die-crew", PageToken: token})
		wantFault(t, err, fault.Invalid, "PAGE_TOKEN_INVALID")
		_, err = r.directory.ListPeople(ctx, &directoryv1.ListPeopleRequest{Production: "edit", PageToken: token})
		wantFault(t, err, fault.Invalid, "PAGE_TOKEN_INVALID")
	}
}
