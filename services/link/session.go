package link

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/filigreehq/filigree/services/link/internal/store"
)

const cookieName = "filigree_session"

// cookie is what a browser shows at this session's addresses, and nowhere else.
func (s *Server) cookie(id, secret string, age time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: secret, Path: sessionPrefix + id, MaxAge: max(int(age.Seconds()), 1),
		HttpOnly: true, Secure: s.base.Scheme == "https", SameSite: http.SameSiteStrictMode,
	}
}

func bearer(r *http.Request) string {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(value)
}

// A visit is a request within a session.
type visit struct {
	session string
	ends    time.Time
	link    store.Link
	content store.Content
	app     bool
}

// serveSession serves what is below /d/<session>: the list, each document, its thumbnail, and the way out.
func (s *Server) serveSession(a *answer, r *http.Request, rest string) {
	id, rest, _ := strings.Cut(rest, "/")
	document, part, _ := strings.Cut(rest, "/")
	if !store.ValidSessionID(id) {
		callFrom(r).route = sessionPrefix + "*"
		s.miss(a, r)
		return
	}
	switch {
	case rest == "":
		callFrom(r).route = sessionPrefix + "*"
		s.inSession(a, r, id, s.serveList, http.MethodGet, http.MethodHead)
	case rest == "end":
		callFrom(r).route = sessionPrefix + "*/end"
		s.inSession(a, r, id, s.endSession, http.MethodPost)
	case part == "" && !strings.HasSuffix(rest, "/"):
		callFrom(r).route = sessionPrefix + "*/*"
		s.inSession(a, r, id, func(a *answer, r *http.Request, v visit) {
			s.withDocument(a, r, v, document, s.serveDocument)
		}, http.MethodGet, http.MethodHead)
	case part == "thumbnail":
		callFrom(r).route = sessionPrefix + "*/*/thumbnail"
		s.inSession(a, r, id, func(a *answer, r *http.Request, v visit) {
			s.withDocument(a, r, v, document, s.serveThumbnail)
		}, http.MethodGet, http.MethodHead)
	case part == "read":
		callFrom(r).route = sessionPrefix + "*/*/read"
		s.inSession(a, r, id, func(a *answer, r *http.Request, v visit) {
			s.withDocument(a, r, v, document, s.serveReader)
		}, http.MethodGet, http.MethodHead)
	default:
		s.fail(a, r, errUnknown())
	}
}

// inSession calls serve if r shows the session's secret and its link still holds. Somebody else's session is unknown,
// whether it is there or not.
func (s *Server) inSession(a *answer, r *http.Request, id string, serve func(*answer, *http.Request, visit), methods ...string) {
	if !s.allows(a, r, methods...) {
		return
	}
	secret, app, foreign := credentials(r, id)
	if foreign {
		s.miss(a, r)
		return
	}
	if secret == "" {
		s.fail(a, r, errSession())
		return
	}
	v, err := s.visit(r, id, secret)
	if err != nil {
		s.fail(a, r, err)
		return
	}
	v.app = app
	serve(a, r, v)
}

func (s *Server) visit(r *http.Request, id, secret string) (visit, error) {
	ask, cancel := look(r)
	defer cancel()
	hash, ends, err := s.store.Enter(ask, id, secret)
	if errors.Is(err, store.ErrUnknown) {
		return visit{}, errSession()
	}
	if err != nil {
		return visit{}, err
	}
	l, err := s.store.FindOne(ask, hash)
	if err != nil {
		return visit{}, err
	}
	err = l.Err()
	if err != nil {
		return visit{}, err
	}
	content, err := s.store.Content(ask, hash)
	return visit{session: id, ends: ends, link: l, content: content}, err
}

// credentials returns the secret that r shows for the session id. foreign says that it shows another session's.
func credentials(r *http.Request, id string) (secret string, app, foreign bool) {
	token := bearer(r)
	if token != "" {
		shown, secret, _ := strings.Cut(token, ".")
		return secret, true, shown != id
	}
	c, err := r.Cookie(cookieName)
	if err != nil {
		return "", false, false
	}
	return c.Value, false, false
}

// documentView is a document as an app sees it.
type documentView struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Size         int64  `json:"size"`
	Pages        int    `json:"pages"`
	SHA256       string `json:"sha256"`
	MediaType    string `json:"media_type"`
	URL          string `json:"url"`
	ThumbnailURL string `json:"thumbnail_url,omitempty"`
}

// documentID names a document of a link in addresses; it says nothing, and is nobody else's.
func documentID(hash string, i int) string {
	sum := sha256.Sum256([]byte("document\n" + hash + "\n" + strconv.Itoa(i)))
	return hex.EncodeToString(sum[:8])
}

func documentViews(session, hash string, c store.Content, base string) []documentView {
	views := make([]documentView, 0, len(c.Documents))
	for i, d := range c.Documents {
		v := documentView{
			ID: documentID(hash, i), Name: d.Name, Size: d.Size, Pages: d.Pages, SHA256: d.SHA256, MediaType: d.MediaType,
		}
		v.URL = base + sessionPrefix + session + "/" + v.ID
		if d.Thumbnail != "" {
			v.ThumbnailURL = v.URL + "/thumbnail"
		}
		views = append(views, v)
	}
	return views
}

// list is a session's documents as an app sees them.
type list struct {
	ExpiresAt time.Time      `json:"expires_at"`
	Title     string         `json:"title"`
	Sender    string         `json:"sender"`
	Text      string         `json:"text"`
	Locked    bool           `json:"locked"`
	Missing   []string       `json:"missing"`
	Documents []documentView `json:"documents"`
}

func (s *Server) serveList(a *answer, r *http.Request, v visit) {
	c := v.content
	if wantsJSON(r) {
		s.writeJSON(a, r, http.StatusOK, list{
			ExpiresAt: v.ends.UTC(), Title: c.Title, Sender: c.Sender, Text: c.Text, Locked: c.Locked, Missing: append([]string{}, c.Missing...),
			Documents: documentViews(v.session, v.link.Hash, c, s.base.String()),
		})
		return
	}
	s.writePage(a, r, http.StatusOK, s.pages.list, listPage{
		Title: c.Title, Sender: c.Sender, Name: c.Name, Text: paragraphs(c.Text), Locked: c.Locked, Missing: c.Missing,
		Documents: rows(documentViews(v.session, v.link.Hash, c, "")), Until: when(v.link.Expires), Minutes: minutes(s.cfg.Session),
		End: sessionPrefix + v.session + "/end", Form: s.formToken("end", v.session),
	})
}

// endSession is the way out.
func (s *Server) endSession(a *answer, r *http.Request, v visit) {
	if !v.app {
		if !s.fromHere(r, false) || !s.parseForm(a, r) {
			if a.status == 0 {
				s.fail(a, r, errForm())
			}
			return
		}
		if !s.validForm("end", v.session, r.PostForm.Get("form")) {
			s.fail(a, r, errForm())
			return
		}
	}
	err := s.store.Leave(r.Context(), v.session)
	if err != nil {
		s.fail(a, r, err)
		return
	}
	if v.app {
		a.WriteHeader(http.StatusNoContent)
		return
	}
	gone := s.cookie(v.session, "", 0)
	gone.MaxAge = -1
	http.SetCookie(a, gone)
	redirect(a, closedPath)
}

// withDocument calls serve with the link's document of that id.
func (s *Server) withDocument(a *answer, r *http.Request, v visit, id string, serve func(*answer, *http.Request, visit, store.Document)) {
	for i, d := range v.content.Documents {
		if documentID(v.link.Hash, i) == id {
			serve(a, r, v, d)
			return
		}
	}
	s.miss(a, r)
}
