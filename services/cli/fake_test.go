package cli_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// fake is a REST server that keeps Filigree's word about idempotency and errors, and breaks its connections on order.
type fake struct {
	*httptest.Server

	mu      sync.Mutex
	changed *sync.Cond
	calls   map[string]int                            // by operation
	faults  map[string][]string                       // by operation, in order: drop-before, drop-after, 503, 500, 502; of watch also those in there
	outcome string                                    // the state a distribution ends in with its second look; "" never ends
	looks   map[string]int                            // by distribution: how often somebody saw it
	resumed []string                                  // each Last-Event-ID that came
	revoked map[string]bool                           // by distribution: its links are ended
	named   []string                                  // the recipients that the last retry named
	marks   map[string]string                         // by recipient: a mark of their own
	retried *distributionv1.RetryDistributionRequest  // the last one
	asked   *distributionv1.CreateDistributionRequest // the last one
	later   []*http.Server                            // those that restarts started
	keys    map[string]created                        // by idempotency key
	dists   []*distributionv1.Distribution
	people  map[string][]*distributionv1.RecipientInput
	again   map[string]*distributionv1.Delivery // by recipient: whose delivery is not what the outcome says
	files   map[string]*filev1.File
	prods   []*directoryv1.Production
	tokens  map[string]string // secret → role

	steered
	directory
}

type created struct {
	body string
	id   string
}

// epoch is the time at which everything happens.
var epoch = time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)

func newFake() *fake {
	f := &fake{
		calls: map[string]int{}, faults: map[string][]string{}, outcome: "completed", keys: map[string]created{},
		looks: map[string]int{}, people: map[string][]*distributionv1.RecipientInput{}, files: map[string]*filev1.File{},
		revoked: map[string]bool{}, marks: map[string]string{}, again: map[string]*distributionv1.Delivery{},
		prods:  []*directoryv1.Production{{Id: "default", Name: "Default", CreatedAt: timestamppb.New(epoch)}},
		tokens: map[string]string{"coordinator-secret": "coordinator", "admin-secret": "admin", "oncall-secret": "oncall"},
	}
	f.changed = sync.NewCond(&f.mu)
	mux := http.NewServeMux()
	f.handle(mux, "production", "GET /v1/productions/{production}", "", f.production)
	f.handle(mux, "productions", "GET /v1/productions", "", f.productions)
	f.handle(mux, "create-production", "POST /v1/productions", "admin", f.createProduction)
	f.handle(mux, "update-production", "PATCH /v1/productions/{production}", "admin", f.updateProduction)
	f.handle(mux, "create-token", "POST /v1/tokens", "admin", f.createToken)
	f.handle(mux, "revoke-token", "DELETE /v1/tokens/{token}", "admin", f.revokeToken)
	f.handle(mux, "sign-in", "POST /v1/sign-ins", "admin", f.createSignIn)
	f.handle(mux, "upload", "POST /v1/productions/{production}/files", "coordinator", f.upload)
	f.handle(mux, "create", "POST /v1/productions/{production}/distributions", "coordinator", f.create)
	f.handle(mux, "list", "GET /v1/productions/{production}/distributions", "", f.list)
	f.handle(mux, "status", "GET /v1/productions/{production}/distributions/{id}", "", f.status)
	f.handle(mux, "act", "POST /v1/productions/{production}/distributions/{id}", "", f.act)
	f.handle(mux, "items", "GET /v1/productions/{production}/distributions/{id}/items", "", f.items)
	f.handle(mux, "recipients", "GET /v1/productions/{production}/distributions/{id}/recipients", "", f.recipients)
	f.handle(mux, "resend", "POST /v1/productions/{production}/distributions/{id}/recipients/{recipient}", "", f.resend)
	f.handle(mux, "copy", "GET /v1/productions/{production}/distributions/{id}/items/{item}/copy", "coordinator", f.copy)
	f.handle(mux, "report", "GET /v1/productions/{production}/distributions/{id}/report.csv", "", f.report)
	f.handle(mux, "events", "GET /v1/productions/{production}/distributions/{id}/events", "", f.events)
	f.handle(mux, "reveal", "POST /v1/productions/{production}/recipients/{id}", "coordinator", f.reveal)
	mux.HandleFunc("GET /v1/productions/{production}/distributions/{id}/watch", f.watch)
	f.handleSteering(mux)
	f.handleLooking(mux)
	f.handleDirectory(mux)
	f.Server = httptest.NewServer(mux)
	return f
}

// Close ends all of it.
func (f *fake) Close() {
	f.mu.Lock()
	later := f.later
	f.mu.Unlock()
	for _, s := range later {
		_ = s.Close()
	}
	f.CloseClientConnections()
	f.Server.Close()
}

// problem is an answer that is no success.
type problem struct {
	status        int
	code, message string
}

func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if p.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "0")
	}
	w.WriteHeader(p.status)
	retryable := p.status >= 500
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": p.code, "message": p.message, "retryable": retryable}})
}

// handler answers with a message, or JSON as it is, or a problem.
type handler func(r *http.Request, body []byte) (any, *problem)

func (f *fake) handle(mux *http.ServeMux, op, pattern, role string, h handler) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls[op]++
		defer f.changed.Broadcast()
		fault := ""
		if plan := f.faults[op]; len(plan) > 0 {
			fault, f.faults[op] = plan[0], plan[1:]
		}
		switch fault {
		case "drop-before":
			panic(http.ErrAbortHandler)
		case "503":
			(&problem{503, "UNAVAILABLE", "a part of Filigree did not answer; try again"}).write(w)
			return
		case "502":
			http.Error(w, "<html>Bad Gateway</html>", http.StatusBadGateway)
			return
		}
		have := f.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
		if have == "" {
			(&problem{401, "TOKEN_UNKNOWN", "nobody has this token"}).write(w)
			return
		}
		if role != "" && have != role {
			(&problem{403, "ROLE_MISSING", "a token with the role " + have + " may not do this; it takes " + role}).write(w)
			return
		}
		if p := production(r); p != "" && !f.knows(p) {
			(&problem{404, "PRODUCTION_UNKNOWN", fmt.Sprintf("there is no production %q that this token may act in", p)}).write(w)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		answer, bad := h(r, body)
		if fault == "drop-after" {
			panic(http.ErrAbortHandler)
		}
		if bad != nil {
			bad.write(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if op == "upload" {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = w.Write(encode(answer))
	})
}

func encode(answer any) []byte {
	if m, ok := answer.(proto.Message); ok {
		data, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
		if err != nil {
			panic(err)
		}
		return data
	}
	return answer.([]byte)
}

func (f *fake) knows(production string) bool {
	for _, p := range f.prods {
		if p.Id == production {
			return true
		}
	}
	return false
}

// page cuts a list by page_size and page_token, at most two elements a page so that clients have to turn pages.
func page[T any](r *http.Request, all []T) (part []T, next string) {
	at, _ := strconv.Atoi(r.FormValue("page_token"))
	end := min(at+2, len(all))
	if end < len(all) {
		next = strconv.Itoa(end)
	}
	return all[at:end], next
}

func (f *fake) production(r *http.Request, _ []byte) (any, *problem) {
	return &directoryv1.Production{Id: r.PathValue("production")}, nil
}

func (f *fake) productions(r *http.Request, _ []byte) (any, *problem) {
	part, next := page(r, f.prods)
	return &directoryv1.ListProductionsResponse{Productions: part, NextPageToken: next}, nil
}

func (f *fake) createProduction(_ *http.Request, body []byte) (any, *problem) {
	req := &directoryv1.CreateProductionRequest{}
	err := protojson.Unmarshal(body, req)
	if err != nil {
		return nil, &problem{400, "INVALID", err.Error()}
	}
	p := &directoryv1.Production{Id: req.GetId(), Name: req.GetName(), CreatedAt: timestamppb.New(epoch), OpenRestricted: req.GetOpenRestricted()}
	if p.Id == "" {
		p.Id = strings.ReplaceAll(strings.ToLower(p.Name), " ", "-")
	}
	if f.knows(p.Id) {
		return nil, &problem{409, "PRODUCTION_EXISTS", "there is a production " + p.Id + " already"}
	}
	f.prods = append(f.prods, p)
	return p, nil
}

func (f *fake) updateProduction(r *http.Request, body []byte) (any, *problem) {
	req := &directoryv1.UpdateProductionRequest{}
	err := protojson.Unmarshal(body, req)
	if err != nil {
		return nil, &problem{400, "INVALID", err.Error()}
	}
	for _, p := range f.prods {
		if p.Id == r.PathValue("production") {
			if req.OpenRestricted != nil {
				p.OpenRestricted = req.GetOpenRestricted()
			}
			return p, nil
		}
	}
	panic("it is known, or the call does not come here")
}

func (f *fake) createToken(_ *http.Request, body []byte) (any, *problem) {
	req := &directoryv1.CreateTokenRequest{}
	err := protojson.Unmarshal(body, req)
	if err != nil {
		return nil, &problem{400, "INVALID", err.Error()}
	}
	f.tokens["made-secret"] = req.GetRole()
	return &directoryv1.CreateTokenResponse{Id: "tok1", Token: "made-secret", Role: req.GetRole(), Productions: req.GetProductions()}, nil
}

func (f *fake) createSignIn(_ *http.Request, body []byte) (any, *problem) {
	req := &sessionv1.CreateSignInRequest{}
	err := protojson.Unmarshal(body, req)
	if err != nil {
		return nil, &problem{400, "INVALID", err.Error()}
	}
	return &sessionv1.CreateSignInResponse{Id: "sgn_1", Code: "fgc_" + strings.Join(req.GetProductions(), "+"), Role: req.GetRole(),
		Productions: req.GetProductions(), ExpiresAt: timestamppb.New(epoch.Add(15 * time.Minute))}, nil
}

func (f *fake) revokeToken(r *http.Request, _ []byte) (any, *problem) {
	if r.PathValue("token") != "tok1" {
		return nil, &problem{404, "TOKEN_UNKNOWN", "there is no token " + r.PathValue("token")}
	}
	delete(f.tokens, "made-secret")
	return &directoryv1.RevokeTokenResponse{}, nil
}

func (f *fake) upload(r *http.Request, body []byte) (any, *problem) {
	sum := sha256.Sum256(body)
	file := &filev1.File{Sha256: hex.EncodeToString(sum[:]), Name: r.FormValue("name"), Size: int64(len(body)), Verdict: "unknown"}
	switch {
	case strings.Contains(string(body), "encrypted"):
		file.Verdict, file.ErrorCode, file.ErrorMessage = "refused", "PDF_ENCRYPTED", "it is locked with a password; save it without one"
	case strings.Contains(string(body), "black"):
		file.Verdict, file.ErrorCode, file.ErrorMessage = "refused", "PDF_MARK_HIDDEN", "the mark cannot be seen on page 1"
	case strings.Contains(string(body), "enormous"):
		return nil, &problem{413, "FILE_TOO_LARGE", "it has more than 200 MB"}
	case strings.Contains(string(body), "signed"):
		file.Notes = []string{"1 signature loses its value"}
	}
	f.files[file.Sha256] = file
	return file, nil
}

func (f *fake) reveal(r *http.Request, _ []byte) (any, *problem) {
	id, verb, _ := strings.Cut(r.PathValue("id"), ":")
	if verb != "revealPassword" {
		return nil, &problem{404, "NOT_FOUND", "there is no such thing here"}
	}
	return &directoryv1.RevealPasswordResponse{Password: "secret-of-" + id}, nil
}
