package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
)

// client speaks REST as somebody.
type client struct {
	base, token, production string
}

// answerError is an answer that is no success.
type answerError struct {
	status    int
	code      string
	message   string
	retryable bool
}

func (e *answerError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.code, e.message) }

// call sends one request below the production and returns the answer's body. Answers other than 2xx are *answerError.
func (c *client) call(method, path string, body []byte, header map[string]string) ([]byte, error) {
	return c.do(method, "/v1/productions/"+url.PathEscape(c.production)+path, body, header)
}

func (c *client) do(method, path string, body []byte, header map[string]string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return text, nil
	}
	var e struct {
		Error struct {
			Code, Message string
			Retryable     bool
		}
	}
	err = json.Unmarshal(text, &e)
	if err != nil || e.Error.Code == "" || e.Error.Message == "" {
		return nil, fmt.Errorf("%s %s answers %d with %q, want an error with code and message", method, path, resp.StatusCode, text)
	}
	return nil, &answerError{resp.StatusCode, e.Error.Code, e.Error.Message, e.Error.Retryable}
}

func (c *client) get(path string, into proto.Message) error {
	text, err := c.call(http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, into)
}

// upload stores a document.
func (c *client) upload(name string, data []byte) (*filev1.File, error) {
	text, err := c.call(http.MethodPost, "/files?name="+url.QueryEscape(name), data, map[string]string{"Content-Type": "application/pdf"})
	if err != nil {
		return nil, err
	}
	f := &filev1.File{}
	return f, protojson.Unmarshal(text, f)
}

// looked uploads a document and waits until it has been looked into: a machine that is busy answers before.
func (c *client) looked(t *testing.T, name string, data []byte) (*filev1.File, error) {
	t.Helper()
	var f *filev1.File
	var err error
	await(t, 30*time.Second, "a verdict about "+name, func() (bool, error) {
		f, err = c.upload(name, data)
		return err != nil || f.GetVerdict() != "unknown", nil
	})
	return f, err
}

// create starts a distribution under an idempotency key; an empty one is not sent.
func (c *client) create(req *distributionv1.CreateDistributionRequest, key string) (*distributionv1.Distribution, error) {
	body, err := protojson.Marshal(req)
	if err != nil {
		return nil, err
	}
	header := map[string]string{}
	if key != "" {
		header["Idempotency-Key"] = key
	}
	text, err := c.call(http.MethodPost, "/distributions", body, header)
	if err != nil {
		return nil, err
	}
	d := &distributionv1.Distribution{}
	return d, protojson.Unmarshal(text, d)
}

func (c *client) distribution(id string) (*distributionv1.Distribution, error) {
	d := &distributionv1.Distribution{}
	return d, c.get("/distributions/"+id, d)
}

func (c *client) cancel(id string) (*distributionv1.Distribution, error) { return c.tell(id, "cancel") }

// tell has something be done with a distribution: cancel, pause, resume.
func (c *client) tell(id, what string) (*distributionv1.Distribution, error) {
	text, err := c.call(http.MethodPost, "/distributions/"+id+":"+what, []byte("{}"), nil)
	if err != nil {
		return nil, err
	}
	d := &distributionv1.Distribution{}
	return d, protojson.Unmarshal(text, d)
}

// pages asks for page after page of size until there is no next one; turn reads one and returns the next page's token.
func pages(size int, turn func(query string) (next string, err error)) error {
	token := ""
	for range 10_000 {
		next, err := turn("?page_size=" + strconv.Itoa(size) + "&page_token=" + url.QueryEscape(token))
		if err != nil || next == "" {
			return err
		}
		if next == token {
			return fmt.Errorf("page %q names itself as the next", token)
		}
		token = next
	}
	return errors.New("the list has no end")
}

func (c *client) items(id string, size int) (all []*distributionv1.Item, err error) {
	err = pages(size, func(query string) (string, error) {
		page := &distributionv1.ListItemsResponse{}
		err := c.get("/distributions/"+id+"/items"+query, page)
		all = append(all, page.GetItems()...)
		return page.GetNextPageToken(), err
	})
	return all, err
}

func (c *client) recipients(id string, size int) (all []*distributionv1.Recipient, err error) {
	err = pages(size, func(query string) (string, error) {
		page := &distributionv1.ListRecipientsResponse{}
		err := c.get("/distributions/"+id+"/recipients"+query, page)
		all = append(all, page.GetRecipients()...)
		return page.GetNextPageToken(), err
	})
	return all, err
}

func (c *client) events(id string, size int) (all []*distributionv1.Event, err error) {
	err = pages(size, func(query string) (string, error) {
		page := &distributionv1.ListEventsResponse{}
		err := c.get("/distributions/"+id+"/events"+query, page)
		all = append(all, page.GetEvents()...)
		return page.GetNextPageToken(), err
	})
	return all, err
}

func (c *client) distributions(size int) (all []*distributionv1.Distribution, err error) {
	err = pages(size, func(query string) (string, error) {
		page := &distributionv1.ListDistributionsResponse{}
		err := c.get("/distributions"+query, page)
		all = append(all, page.GetDistributions()...)
		return page.GetNextPageToken(), err
	})
	return all, err
}

// ended waits for a distribution's end. Answers that promise that trying again helps, and none at all, are waited out.
func (c *client) ended(t *testing.T, id string, limit time.Duration) *distributionv1.Distribution {
	t.Helper()
	var d *distributionv1.Distribution
	await(t, limit, "the end of distribution "+id, func() (bool, error) {
		now, err := c.distribution(id)
		if err != nil {
			var answer *answerError
			if errors.As(err, &answer) && !answer.retryable {
				t.Fatal(err)
			}
			return false, err
		}
		d = now
		return d.GetEndedAt() != nil, fmt.Errorf("it is %s: %v; %v", d.GetState(), d.GetItems(), d.GetRecipients())
	})
	return d
}

// refusedAs checks that err is a refusal with this status and code, whose sentence has all of words in it, and that
// nobody is told to try again.
func refusedAs(t *testing.T, what string, err error, status int, code string, words ...string) {
	t.Helper()
	var got *answerError
	if !errors.As(err, &got) {
		t.Errorf("%s: got %v, want %d %s", what, err, status, code)
		return
	}
	if got.status != status || got.code != code || got.retryable {
		t.Errorf("%s: got %v (retryable %v), want %d %s", what, got, got.retryable, status, code)
	}
	for _, word := range words {
		if !strings.Contains(got.message, word) {
			t.Errorf("%s: got the sentence %q, want %q named in it", what, got.message, word)
		}
	}
}
