package cli_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// directory is the fake's people and lists.
type directory struct {
	known   []*directoryv1.Person
	lists   []*directoryv1.List
	members map[string][]string // of a list
}

// handleDirectory has an import that takes one person a line, and refuses those without @.
func (f *fake) handleDirectory(mux *http.ServeMux) {
	f.members = map[string][]string{}
	const lists = "/v1/productions/{production}/lists"
	f.handle(mux, "people", "GET /v1/productions/{production}/people", "", func(r *http.Request, _ []byte) (any, *problem) {
		var all []*directoryv1.Person
		for _, p := range f.known {
			if strings.HasPrefix(p.GetEmail(), strings.ToLower(r.FormValue("q"))) {
				all = append(all, p)
			}
		}
		part, next := page(r, all)
		return &directoryv1.ListPeopleResponse{People: part, NextPageToken: next}, nil
	})
	f.handle(mux, "check", "POST /v1/productions/{production}/distributions:check", "coordinator", func(_ *http.Request, body []byte) (any, *problem) {
		req := &distributionv1.CreateDistributionRequest{}
		if bad := read(body, req); bad != nil {
			return nil, bad
		}
		n := int32(len(req.GetRecipients()))
		resp := &distributionv1.CheckDistributionResponse{Files: 1, Recipients: n, Items: n, BytesEach: 10, BytesTotal: 10 * int64(n)}
		if req.GetMark() == "{x}" {
			resp.Refused = true
			resp.Findings = []*distributionv1.Finding{{Code: "MARK_FIELD_UNKNOWN", Severity: "refuses", Name: "Ada", Message: "there is no {x} of Ada"}}
		}
		return resp, nil
	})
	f.handle(mux, "import", "POST /v1/productions/{production}/people:import", "coordinator", f.importPeople)
	f.handle(mux, "delete-person", "DELETE /v1/productions/{production}/people/{id}", "coordinator", func(r *http.Request, _ []byte) (any, *problem) {
		f.known = slices.DeleteFunc(f.known, func(p *directoryv1.Person) bool { return p.GetId() == r.PathValue("id") })
		return &directoryv1.DeletePersonResponse{}, nil
	})
	f.handle(mux, "lists", "GET "+lists, "", func(*http.Request, []byte) (any, *problem) {
		for _, l := range f.lists {
			l.People = int32(len(f.members[l.GetId()]))
		}
		return &directoryv1.ListListsResponse{Lists: f.lists}, nil
	})
	f.handle(mux, "create-list", "POST "+lists, "coordinator", func(_ *http.Request, body []byte) (any, *problem) {
		req := &directoryv1.CreateListRequest{}
		if bad := read(body, req); bad != nil {
			return nil, bad
		}
		l := &directoryv1.List{Id: strings.ToLower(req.GetName()), Name: req.GetName(), Policy: req.GetPolicy(), Revision: 1}
		f.lists = append(f.lists, l)
		return l, nil
	})
	f.handle(mux, "update-list", "PUT "+lists+"/{id}", "coordinator", func(r *http.Request, body []byte) (any, *problem) {
		req := &directoryv1.UpdateListRequest{}
		if bad := read(body, req); bad != nil {
			return nil, bad
		}
		for _, l := range f.lists {
			if l.GetId() == r.PathValue("id") && l.GetRevision() == req.GetRevision() {
				l.Name, l.Policy, l.Revision = req.GetName(), req.GetPolicy(), l.GetRevision()+1
				return l, nil
			}
		}
		return nil, &problem{409, "LIST_CHANGED", "somebody else changed it meanwhile"}
	})
	f.handle(mux, "delete-list", "DELETE "+lists+"/{id}", "coordinator", func(r *http.Request, _ []byte) (any, *problem) {
		f.lists = slices.DeleteFunc(f.lists, func(l *directoryv1.List) bool { return l.GetId() == r.PathValue("id") })
		return &directoryv1.DeleteListResponse{}, nil
	})
	f.handle(mux, "list-people", "GET "+lists+"/{id}/people", "", func(r *http.Request, _ []byte) (any, *problem) {
		var all []*directoryv1.Person
		for _, p := range f.known {
			if slices.Contains(f.members[r.PathValue("id")], p.GetId()) {
				all = append(all, p)
			}
		}
		part, next := page(r, all)
		return &directoryv1.ListListPeopleResponse{People: part, NextPageToken: next}, nil
	})
	f.handle(mux, "add", "POST "+lists+"/{id}/people:add", "coordinator", func(r *http.Request, body []byte) (any, *problem) {
		req := &directoryv1.AddListPeopleRequest{}
		if bad := read(body, req); bad != nil {
			return nil, bad
		}
		before := len(f.members[r.PathValue("id")])
		for _, id := range req.GetPeople() {
			if !slices.Contains(f.members[r.PathValue("id")], id) {
				f.members[r.PathValue("id")] = append(f.members[r.PathValue("id")], id)
			}
		}
		now := len(f.members[r.PathValue("id")])
		return &directoryv1.AddListPeopleResponse{Added: int32(now - before), People: int32(now)}, nil
	})
	f.handle(mux, "remove", "POST "+lists+"/{id}/people:remove", "coordinator", func(r *http.Request, body []byte) (any, *problem) {
		req := &directoryv1.RemoveListPeopleRequest{}
		if bad := read(body, req); bad != nil {
			return nil, bad
		}
		before := len(f.members[r.PathValue("id")])
		f.members[r.PathValue("id")] = slices.DeleteFunc(f.members[r.PathValue("id")], func(id string) bool { return slices.Contains(req.GetPeople(), id) })
		now := len(f.members[r.PathValue("id")])
		return &directoryv1.RemoveListPeopleResponse{Removed: int32(before - now), People: int32(now)}, nil
	})
}

func read(body []byte, req proto.Message) *problem {
	err := protojson.Unmarshal(body, req)
	if err != nil {
		return &problem{400, "INVALID", err.Error()}
	}
	return nil
}

func (f *fake) importPeople(_ *http.Request, body []byte) (any, *problem) {
	req := &directoryv1.ImportPeopleRequest{}
	if bad := read(body, req); bad != nil {
		return nil, bad
	}
	resp := &directoryv1.ImportPeopleResponse{}
	for i, line := range strings.Split(strings.TrimSpace(req.GetCsv()), "\n")[1:] {
		cells := strings.Split(line, ",")
		switch known := slices.ContainsFunc(f.known, func(p *directoryv1.Person) bool { return p.GetEmail() == cells[1] }); {
		case !strings.Contains(cells[1], "@"):
			resp.Refused++
			resp.Problems = append(resp.Problems, &directoryv1.ImportProblem{Line: int32(i + 2), Message: fmt.Sprintf("%q is not a mail address", cells[1])})
			continue
		case known:
			resp.Unchanged++
		default:
			resp.Added++
			f.known = append(f.known, &directoryv1.Person{Id: fmt.Sprint("per_", len(f.known)+1), Name: cells[0], Email: cells[1], Fields: map[string]string{"role": cells[2]}})
		}
		if req.GetList() != "" {
			f.members[req.GetList()] = append(f.members[req.GetList()], fmt.Sprint("per_", len(f.known)))
		}
	}
	return resp, nil
}
