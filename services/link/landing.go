package link

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/link/internal/store"
	"github.com/filigreehq/filigree/services/link/internal/token"
)

// serveLink serves /l/<token>: what was sent and by whom, and the button that opens it.
func (s *Server) serveLink(a *answer, r *http.Request, text string) {
	callFrom(r).route = linkPrefix + "*"
	if !s.allows(a, r, http.MethodGet, http.MethodHead, http.MethodPost) {
		return
	}
	t, ok := token.Parse(text)
	if !ok {
		s.miss(a, r)
		return
	}
	ask, cancel := look(r)
	defer cancel()
	l, err := s.store.FindOne(ask, t.Hash())
	if errors.Is(err, store.ErrUnknown) || err == nil && l.Mode == store.ModeDrive {
		s.miss(a, r)
		return
	}
	if err == nil {
		err = l.Err()
	}
	if err != nil {
		s.fail(a, r, err)
		return
	}
	content, err := s.store.Content(ask, l.Hash)
	if err != nil {
		s.fail(a, r, err)
		return
	}
	if r.Method == http.MethodPost {
		s.openLink(a, r, l, content)
		return
	}
	// Best effort: a page must not fail because nobody could count who asked for it.
	err = s.store.Opened(ask, l.Hash, verdict(r))
	if err != nil {
		s.log.DebugContext(r.Context(), "open not counted", "err", err)
	}
	s.showLink(a, r, http.StatusOK, l, content, "")
}

// offer is what an app learns before it opens a link.
type offer struct {
	Title     string    `json:"title"`
	Sender    string    `json:"sender"`
	Name      string    `json:"name"`
	Documents int       `json:"documents"`
	Locked    bool      `json:"locked"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (s *Server) showLink(a *answer, r *http.Request, status int, l store.Link, c store.Content, note string) {
	if wantsJSON(r) {
		s.writeJSON(a, r, status, offer{
			Title: c.Title, Sender: c.Sender, Name: c.Name, Documents: len(c.Documents), Locked: c.Locked, ExpiresAt: l.Expires.UTC(),
		})
		return
	}
	s.writePage(a, r, status, s.pages.landing, landingPage{
		Title: c.Title, Sender: c.Sender, Name: c.Name, Documents: len(c.Documents), Locked: c.Locked,
		Until: when(l.Expires), Form: s.formToken("open", l.Hash), Note: note,
	})
}

// opened is what an app gets for opening a link.
type opened struct {
	// Session goes into Authorization: Bearer.
	Session   string         `json:"session"`
	ExpiresAt time.Time      `json:"expires_at"`
	Title     string         `json:"title"`
	Sender    string         `json:"sender"`
	Text      string         `json:"text"`
	Locked    bool           `json:"locked"`
	Missing   []string       `json:"missing"`
	Documents []documentView `json:"documents"`
}

// openLink opens a session: for an app in the answer, for a browser in a cookie and at an address without the token.
func (s *Server) openLink(a *answer, r *http.Request, l store.Link, c store.Content) {
	app := wantsJSON(r)
	if !s.fromHere(r, app) {
		s.fail(a, r, fault.New(fault.Denied, "ORIGIN_FOREIGN", "Links are opened from their own page only. Open the link from your e-mail again."))
		return
	}
	if !app {
		if !s.parseForm(a, r) {
			return
		}
		if !s.validForm("open", l.Hash, r.PostForm.Get("form")) {
			s.showLink(a, r, http.StatusForbidden, l, c, fault.From(errForm()).Message)
			return
		}
	}
	session, err := s.store.Open(r.Context(), l.Hash, s.cfg.Session)
	if err != nil {
		s.fail(a, r, err)
		return
	}
	s.record(l, "link.view", "")
	if app {
		s.writeJSON(a, r, http.StatusOK, opened{
			Session: session.ID + "." + session.Secret, ExpiresAt: session.Expires.UTC(),
			Title: c.Title, Sender: c.Sender, Text: c.Text, Locked: c.Locked, Missing: slices.Clip(append([]string{}, c.Missing...)),
			Documents: documentViews(session.ID, l.Hash, c, s.base.String()),
		})
		return
	}
	http.SetCookie(a, s.cookie(session.ID, session.Secret, s.cfg.Session))
	redirect(a, sessionPrefix+session.ID)
}

// redirect leads on by GET. http.Redirect would write a page of its own.
func redirect(a *answer, path string) {
	a.Header().Set("Location", path)
	a.Header().Set("Content-Length", "0")
	a.WriteHeader(http.StatusSeeOther)
}

// parseForm reads a small form, and answers if it is none.
func (s *Server) parseForm(a *answer, r *http.Request) bool {
	r.Body = http.MaxBytesReader(a, r.Body, maxFormBytes)
	err := r.ParseForm()
	if err == nil {
		return true
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		s.fail(a, r, fault.New(fault.Invalid, codeTooLarge, "The form is larger than any form of ours."))
		return false
	}
	s.fail(a, r, fault.New(fault.Invalid, "FORM_INVALID", "The form could not be read. Open the link from your e-mail again."))
	return false
}

// fromHere reports whether a POST comes from a page of ours, or from no page at all. Our pages send no referrer, and
// browsers then name their origin null; the form's token is what tells them from others. An app has no such token, so
// one in a browser must be able to name its origin.
func (s *Server) fromHere(r *http.Request, app bool) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return false
	}
	switch origin := r.Header.Get("Origin"); origin {
	case "":
		return true
	case "null":
		return !app
	default:
		return origin == s.base.Scheme+"://"+s.base.Host || origin == s.base.Scheme+"://"+r.Host
	}
}

// A form token is its end in seconds and a MAC over that, over what the form does and over what it does it to.
const formTokenSize = 8 + 16

func (s *Server) formToken(action, subject string) string {
	ends := binary.BigEndian.AppendUint64(nil, uint64(s.now().Add(s.cfg.Form).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(ends, s.formMAC(action, subject, ends)...))
}

func (s *Server) validForm(action, subject, text string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != formTokenSize {
		return false
	}
	if !hmac.Equal(raw[8:], s.formMAC(action, subject, raw[:8])) {
		return false
	}
	return s.now().Unix() < int64(binary.BigEndian.Uint64(raw))
}

func (s *Server) formMAC(action, subject string, ends []byte) []byte {
	mac := hmac.New(sha256.New, s.formKey)
	mac.Write([]byte(strconv.Itoa(len(action)) + action))
	mac.Write(ends)
	mac.Write([]byte(subject))
	return mac.Sum(nil)[:16]
}

// automata are words by which programs that look at links before people do name themselves.
var automata = []string{
	"bot", "crawl", "spider", "scan", "preview", "prefetch", "monitor", "check", "fetch", "facebookexternalhit", "whatsapp", "slack", "skype", "teams",
	"barracuda", "proofpoint", "mimecast", "safelinks", "trendmicro", "symantec", "forcepoint", "fortinet", "cisco", "sophos",
	"curl", "wget", "python", "java/", "go-http", "okhttp", "libwww", "headless", "phantom", "axios", "node",
}

// verdict says whether what asked for a page without pressing its button was a machine for sure. A person who looks and
// leaves is unknown, as is a machine that hides.
func verdict(r *http.Request) string {
	agent := strings.ToLower(r.UserAgent())
	named := slices.ContainsFunc(automata, func(word string) bool { return strings.Contains(agent, word) })
	ahead := r.Header.Get("Sec-Purpose") + r.Header.Get("Purpose") + r.Header.Get("X-Moz")
	if named || agent == "" || ahead != "" || r.Method == http.MethodHead || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return store.Machine
	}
	return store.Unknown
}
