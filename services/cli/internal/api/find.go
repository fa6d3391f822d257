package api

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

// Search finds what query means, at most so many, the best first; production and kind may be empty. more: there are others.
func (c *Client) Search(ctx context.Context, query, production, kind string, most int) (hits []*observerv1.Hit, raws []json.RawMessage, more bool, err error) {
	q := given("query", query, "production", production, "kind", kind)
	raws = []json.RawMessage{}
	for {
		q.Set("page_size", strconv.Itoa(min(most-len(hits), 100)))
		part, partRaws, next, err := onePage(ctx, c, join("search"), "hits", q, func() *observerv1.Hit { return &observerv1.Hit{} })
		if err != nil {
			return nil, nil, false, err
		}
		hits, raws = append(hits, part...), append(raws, partRaws...)
		if next == "" || len(hits) >= most || next == q.Get("page_token") {
			return hits, raws, next != "", nil
		}
		q.Set("page_token", next)
	}
}

// Found is what FindDistributions found, each newest first.
type Found struct {
	Distributions []*distributionv1.Distribution
	Runs          []*observerv1.Run
	// More: there are others.
	More bool
}

// FindDistributions lists distributions and runs that a filter chooses, as the fields of the request are called; at most so
// many. The raw answers are those of both lists.
func (c *Client) FindDistributions(ctx context.Context, filter url.Values, most int) (found Found, distributions, runs []json.RawMessage, err error) {
	distributions, runs = []json.RawMessage{}, []json.RawMessage{}
	q := url.Values{}
	for k, v := range filter {
		q[k] = v
	}
	for {
		n := len(found.Distributions) + len(found.Runs)
		q.Set("page_size", strconv.Itoa(min(most-n, 1000)))
		data, err := c.do(ctx, call{method: "GET", path: join("distributions"), query: q, tries: readTries})
		page := &observerv1.FindDistributionsResponse{}
		err = decode(data, err, page)
		if err != nil {
			return found, nil, nil, err
		}
		var raw struct {
			Distributions []json.RawMessage `json:"distributions"`
			Runs          []json.RawMessage `json:"runs"`
		}
		err = json.Unmarshal(data, &raw)
		if err != nil {
			return found, nil, nil, unreadable(err)
		}
		found.Distributions, found.Runs = append(found.Distributions, page.GetDistributions()...), append(found.Runs, page.GetRuns()...)
		distributions, runs = append(distributions, raw.Distributions...), append(runs, raw.Runs...)
		next := page.GetNextPageToken()
		if next == "" || len(found.Distributions)+len(found.Runs) >= most || next == q.Get("page_token") {
			found.More = next != ""
			return found, distributions, runs, nil
		}
		q.Set("page_token", next)
	}
}
