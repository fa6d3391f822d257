package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/audit"
	"github.com/filigreehq/filigree/pkg/fault"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

const (
	// sharedPath and sharePagePath start the addresses by which anybody who has one looks at a distribution: as JSON, and as a
	// page. The address is the token, so it is no call of the REST layer, which authenticates first.
	sharedPath    = "/v1/shared/"
	sharedRoute   = sharedPath + "{token}"
	sharePagePath = "/s/"
	// maxShare is the longest token that GetShared takes, minShare the shortest.
	maxShare, minShare = 400, 20
)

//go:embed shared.css
var sharedStyle string

//go:embed shared.html
var sharedText string

var (
	sharedPage = template.Must(template.New("shared").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(sharedStyle) }, //nolint:gosec // it is ours
		"when": func(t *timestamppb.Timestamp) string {
			if t == nil {
				return ""
			}
			return t.AsTime().UTC().Format("2 January 2006, 15:04 UTC")
		},
		"words": func(state string) string { return strings.ReplaceAll(state, "_", " ") },
	}).Parse(sharedText))
	sharedPolicy = func() string {
		sum := sha256.Sum256([]byte(sharedStyle))
		return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}()
)

// lookAt asks for what a shared address shows, and tells the audit who looked.
func (s *Server) lookAt(r *http.Request, token, page string) (*observerv1.GetSharedResponse, error) {
	c := callFrom(r.Context())
	c.route = sharedRoute
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, methodUnknown(r.Method)
	}
	from := s.proxies.Client(r)
	if wait := s.strays.Wait(from); wait > 0 {
		f := fault.New(fault.Exhausted, "SHARE_MISSES", "too many addresses that there are not were asked for from this network address within a minute; look again later")
		f.RetryAfter = wait
		return nil, f
	}
	if len(token) < minShare || len(token) > maxShare || !utf8.ValidString(token) || strings.Contains(token, "/") {
		s.strays.Miss(from)
		return nil, fault.New(fault.NotFound, codeShareUnknown, "there is nothing under this address; check that it is whole")
	}
	// It is the gateway's own call: there is no caller to make it on behalf of.
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(r.Context(), metadata.Pairs(keyRequest, c.id)), s.cfg.CallTimeout)
	defer cancel()
	resp, err := observerv1.NewObserverServiceClient(s.deps.Observer).GetShared(ctx, &observerv1.GetSharedRequest{Token: token, PageToken: page})
	if err != nil {
		if fault.From(err).Reason == codeShareUnknown {
			s.strays.Miss(from)
		}
		return nil, err
	}
	d := resp.GetDistribution()
	s.audit.Record(audit.Line{Production: d.GetProduction(), Subject: "share:" + d.GetId(), Action: "share.view", Object: d.GetId()})
	return resp, nil
}

// noIndex keeps what has a token in its address from machines that collect addresses.
func noIndex(h http.Header) { h.Set("X-Robots-Tag", "noindex, nofollow, noarchive") }

// shared shows a distribution as JSON.
func (s *Server) shared(w http.ResponseWriter, r *http.Request) {
	noIndex(w.Header())
	query, err := url.ParseQuery(r.URL.RawQuery)
	for name := range query {
		if name != "page_token" || len(query[name]) > 1 || !utf8.ValidString(query[name][0]) {
			err = fmt.Errorf("query parameter %q", clip(name))
		}
	}
	if err != nil {
		s.fail(w, r, fault.New(fault.Invalid, codeInvalid, "the only query parameter here is page_token, once").Because(err))
		return
	}
	resp, err := s.lookAt(r, strings.TrimPrefix(r.URL.Path, sharedPath), query.Get("page_token"))
	if err != nil {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
		}
		s.fail(w, r, err)
		return
	}
	answer, err := newCodec().Marshal(resp)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeBody(w, http.StatusOK, answer)
}

// sharePage shows it as a page that needs nothing but a browser.
func (s *Server) sharePage(w http.ResponseWriter, r *http.Request) {
	noIndex(w.Header())
	token := strings.TrimPrefix(r.URL.Path, sharePagePath)
	// What is no UTF-8 cannot be asked for; the observer says then that it knows no such page.
	resp, err := s.lookAt(r, token, strings.ToValidUTF8(r.URL.Query().Get("page"), "\ufffd"))
	data := struct {
		*observerv1.GetSharedResponse
		Problem, Next string
	}{GetSharedResponse: resp}
	status := http.StatusOK
	if err != nil {
		f := fault.From(err)
		callFrom(r.Context()).code = f.Reason
		status, data.Problem = statusOf(f), f.Message
		switch {
		case status == http.StatusMethodNotAllowed:
			w.Header().Set("Allow", "GET, HEAD")
		case f.RetryAfter > 0:
			w.Header().Set("Retry-After", seconds(f.RetryAfter))
		case status >= http.StatusInternalServerError:
			data.Problem = "it cannot be shown right now; try again in a while"
		}
	} else if resp.GetNextPageToken() != "" {
		data.Next = "?page=" + url.QueryEscape(resp.GetNextPageToken())
	}
	var page bytes.Buffer
	err = sharedPage.Execute(&page, data)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", sharedPolicy)
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // a client that has gone
}
