package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
)

func newPerson() *directoryv1.Person { return &directoryv1.Person{} }

// People lists people in the order of their names; q is what they are found by, or empty.
func (c *Client) People(ctx context.Context, production, q string) ([]*directoryv1.Person, []json.RawMessage, error) {
	query := url.Values{}
	if q != "" {
		query.Set("q", q)
	}
	return pages(ctx, c, join("productions", production, "people"), "people", query, newPerson)
}

// ImportPeople adds and changes people by a CSV file. Importing the same again changes nothing, so it is repeated.
func (c *Client) ImportPeople(ctx context.Context, req *directoryv1.ImportPeopleRequest) (*directoryv1.ImportPeopleResponse, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPost, join("productions", req.GetProduction(), "people")+":import", req, &directoryv1.ImportPeopleResponse{})
}

// DeletePerson removes a person.
func (c *Client) DeletePerson(ctx context.Context, production, person string) error {
	return c.remove(ctx, join("productions", production, "people", person))
}

// Lists lists lists of people.
func (c *Client) Lists(ctx context.Context, production string) ([]*directoryv1.List, []json.RawMessage, error) {
	return whole(ctx, c, join("productions", production, "lists"), "lists", func() *directoryv1.List { return &directoryv1.List{} })
}

// CreateList makes a list. Making the same again gives the same, so it is repeated.
func (c *Client) CreateList(ctx context.Context, req *directoryv1.CreateListRequest) (*directoryv1.List, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPost, join("productions", req.GetProduction(), "lists"), req, &directoryv1.List{})
}

// UpdateList sets name and policy of a list.
func (c *Client) UpdateList(ctx context.Context, req *directoryv1.UpdateListRequest) (*directoryv1.List, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPut, join("productions", req.GetProduction(), "lists", req.GetList()), req, &directoryv1.List{})
}

// DeleteList removes a list; its people stay.
func (c *Client) DeleteList(ctx context.Context, production, list string) error {
	return c.remove(ctx, join("productions", production, "lists", list))
}

// ListPeople lists who is in a list.
func (c *Client) ListPeople(ctx context.Context, production, list string) ([]*directoryv1.Person, []json.RawMessage, error) {
	return pages(ctx, c, join("productions", production, "lists", list, "people"), "people", nil, newPerson)
}

// AddListPeople puts up to 100 people into a list.
func (c *Client) AddListPeople(ctx context.Context, req *directoryv1.AddListPeopleRequest) (*directoryv1.AddListPeopleResponse, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPost, join("productions", req.GetProduction(), "lists", req.GetList(), "people")+":add", req, &directoryv1.AddListPeopleResponse{})
}

// RemoveListPeople takes up to 100 people out of a list.
func (c *Client) RemoveListPeople(ctx context.Context, req *directoryv1.RemoveListPeopleRequest) (*directoryv1.RemoveListPeopleResponse, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPost, join("productions", req.GetProduction(), "lists", req.GetList(), "people")+":remove", req, &directoryv1.RemoveListPeopleResponse{})
}
