package directory

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

// CreateList makes a list; making it again under the same name answers with the one there is.
func (s *Server) CreateList(ctx context.Context, req *directoryv1.CreateListRequest) (*directoryv1.CreateListResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	l, err := newList(req.GetId(), req.GetName(), req.GetPolicy())
	if err != nil {
		return nil, err
	}
	if l.ID == "" {
		return nil, fault.New(fault.Invalid, "LIST_ID_MISSING", "no id can be made from the name %q: give one, of lower-case letters, digits and dashes", l.Name)
	}
	err = t.CreateList(ctx, l)
	if err != nil {
		return nil, answer(listFault(err, l.ID), req.GetProduction())
	}
	m, err := listMessage(ctx, t, l.ID)
	return &directoryv1.CreateListResponse{List: m}, err
}

// GetList answers with one list.
func (s *Server) GetList(ctx context.Context, req *directoryv1.GetListRequest) (*directoryv1.GetListResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	m, err := listMessage(ctx, t, req.GetList())
	return &directoryv1.GetListResponse{List: m}, err
}

// ListLists lists all lists in the order of their names.
func (s *Server) ListLists(ctx context.Context, req *directoryv1.ListListsRequest) (*directoryv1.ListListsResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	lists, err := t.Lists(ctx)
	if err != nil {
		return nil, err
	}
	resp := &directoryv1.ListListsResponse{}
	for _, l := range lists {
		resp.Lists = append(resp.Lists, messageOf(l))
	}
	return resp, nil
}

// UpdateList sets a list's name and policy.
func (s *Server) UpdateList(ctx context.Context, req *directoryv1.UpdateListRequest) (*directoryv1.UpdateListResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	l, err := newList(req.GetList(), req.GetName(), req.GetPolicy())
	if err != nil {
		return nil, err
	}
	l.Revision = int(req.GetRevision())
	err = t.UpdateList(ctx, l)
	if err != nil {
		return nil, answer(listFault(err, l.ID), req.GetProduction())
	}
	m, err := listMessage(ctx, t, l.ID)
	return &directoryv1.UpdateListResponse{List: m}, err
}

// DeleteList removes a list; removing what is not there is no error.
func (s *Server) DeleteList(ctx context.Context, req *directoryv1.DeleteListRequest) (*directoryv1.DeleteListResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	err = t.DeleteList(ctx, req.GetList())
	if err != nil {
		return nil, err
	}
	return &directoryv1.DeleteListResponse{}, nil
}

// ListListPeople lists who is in a list.
func (s *Server) ListListPeople(ctx context.Context, req *directoryv1.ListListPeopleRequest) (*directoryv1.ListListPeopleResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	after, err := listCursor(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	_, err = t.List(ctx, req.GetList())
	if err != nil {
		return nil, listFault(err, req.GetList())
	}
	page, next, err := t.ListPeople(ctx, req.GetList(), after, pageSize(req.GetPageSize()))
	if err != nil {
		return nil, err
	}
	resp := &directoryv1.ListListPeopleResponse{}
	if next != 0 {
		resp.NextPageToken = base64.RawURLEncoding.EncodeToString(strconv.AppendInt([]byte("l"), next, 10))
	}
	for _, p := range page {
		resp.People = append(resp.People, newMessage(p))
	}
	return resp, nil
}

func listCursor(token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	number, ours := strings.CutPrefix(string(raw), "l")
	after, bad := strconv.ParseInt(number, 10, 64)
	if err != nil || !ours || bad != nil || after < 1 {
		return 0, errPageToken()
	}
	return after, nil
}

// AddListPeople puts people into a list, all or nobody.
func (s *Server) AddListPeople(ctx context.Context, req *directoryv1.AddListPeopleRequest) (*directoryv1.AddListPeopleResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	added, now, err := t.AddToList(ctx, req.GetList(), req.GetPeople())
	if err != nil {
		return nil, listFault(err, req.GetList())
	}
	return &directoryv1.AddListPeopleResponse{Added: int32(added), People: int32(now)}, nil
}

// RemoveListPeople takes people out of a list.
func (s *Server) RemoveListPeople(ctx context.Context, req *directoryv1.RemoveListPeopleRequest) (*directoryv1.RemoveListPeopleResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	removed, now, err := t.RemoveFromList(ctx, req.GetList(), req.GetPeople())
	if err != nil {
		return nil, listFault(err, req.GetList())
	}
	return &directoryv1.RemoveListPeopleResponse{Removed: int32(removed), People: int32(now)}, nil
}

func newList(id, name string, policy *directoryv1.ListPolicy) (store.List, error) {
	name = strings.TrimSpace(visible(name))
	if name == "" {
		return store.List{}, fault.New(fault.Invalid, "LIST_NAME_EMPTY", "a list needs a name that can be seen")
	}
	if id == "" {
		id = slug(name)
	}
	return store.List{ID: id, Name: name, Word: folded(name),
		Policy: store.Policy{Mode: policy.GetMode(), Mark: policy.GetMark(), Password: policy.GetPassword()}}, nil
}

// listFault makes the store's errors about the list id what callers are told.
func listFault(err error, id string) error {
	var nobody *store.NoPersonError
	switch {
	case errors.Is(err, store.ErrNoList):
		return fault.New(fault.NotFound, "LIST_UNKNOWN", "there is no list %q in this production", id)
	case errors.Is(err, store.ErrListExists):
		return fault.New(fault.Conflict, "LIST_EXISTS", "there is a list %q already, of another name or policy; change that one, or choose another id", id)
	case errors.Is(err, store.ErrTaken):
		return fault.New(fault.Conflict, "LIST_NAME_TAKEN", "another list has that name already; choose another")
	case errors.Is(err, store.ErrChanged):
		return fault.New(fault.Conflict, "LIST_CHANGED", "somebody else changed the list %q meanwhile; look at what there is now, and change that", id)
	case errors.Is(err, store.ErrFull):
		return fault.New(fault.Conflict, "LIST_FULL", "there is no more room: a production has at most %d lists, and a list at most %d people", store.MaxLists, store.MaxListPeople)
	case errors.As(err, &nobody):
		return personUnknown(nobody.ID)
	}
	return err
}

func listMessage(ctx context.Context, t store.Tenant, id string) (*directoryv1.List, error) {
	l, err := t.List(ctx, id)
	if err != nil {
		return nil, listFault(err, id)
	}
	return messageOf(l), nil
}

func messageOf(l store.List) *directoryv1.List {
	m := &directoryv1.List{Id: l.ID, Name: l.Name, People: int32(l.People), Revision: int32(l.Revision),
		CreatedAt: timestamppb.New(l.Created), UpdatedAt: timestamppb.New(l.Updated)}
	if l.Policy != (store.Policy{}) {
		m.Policy = &directoryv1.ListPolicy{Mode: l.Policy.Mode, Mark: l.Policy.Mark, Password: l.Policy.Password}
	}
	return m
}
