package link

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	tokens "github.com/filigreehq/filigree/pkg/look"
)

//go:embed page/*.html.tmpl
var pageFiles embed.FS

//go:embed page/style.css
var style string

// styleSheet is in the visual language of all of Filigree's pages.
var styleSheet = tokens.Tokens + style

//go:embed page/icon.svg
var icon []byte

// pages are the templates, and the policy that lets them have their one style and nothing that runs.
type pages struct {
	landing, list, notice *template.Template
	reader                *template.Template // in a layout of its own: it fills the window
	csp                   string
}

// newPages reads what was compiled in; that it can be read is known from the tests.
func newPages() pages {
	layout := template.New("layout.html.tmpl").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(styleSheet) }, // ours, and the policy's digest is of it
		"count": count,
	})
	layout = template.Must(layout.ParseFS(pageFiles, "page/layout.html.tmpl"))
	page := func(name string) *template.Template {
		return template.Must(template.Must(layout.Clone()).ParseFS(pageFiles, "page/"+name+".html.tmpl"))
	}
	sum := sha256.Sum256([]byte(styleSheet))
	return pages{
		landing: page("landing"), list: page("list"), notice: page("notice"),
		reader: template.Must(template.ParseFS(pageFiles, "page/reader.html.tmpl")),
		csp: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	}
}

type landingPage struct {
	Title, Sender, Name string
	Documents           int
	Locked              bool
	Until, Form, Note   string
}

type listPage struct {
	Title, Sender, Name string
	Text                [][]string // paragraphs of lines
	Locked              bool
	Missing             []string
	Documents           []row
	Until, Minutes      string
	End, Form           string
}

// A row is a document in the list.
type row struct {
	documentView
	Kind, About string
	Open        string // where it is shown: in our reader, or by the browser
}

type noticePage struct{ Heading, Message, More string }

var notices = map[string]noticePage{
	codeUnknown: {Heading: "Nothing here"},
	codeRevoked: {Heading: "This link was taken back", More: "If you still need the documents, ask the person who sent them to you."},
	codeExpired: {Heading: "This link has expired"},
	codeSession: {Heading: "Your documents are closed"},
	codeForm:    {Heading: "One more time, please"},
	codeMisses:  {Heading: "Too many tries"},
	codeFile:    {Heading: "Not available right now"},
}

func noticeOf(f *fault.Error) noticePage {
	n, ok := notices[f.Reason]
	if !ok {
		n.Heading = "That did not work"
	}
	n.Message = f.Message
	return n
}

func (s *Server) writePage(a *answer, r *http.Request, status int, page *template.Template, data any) {
	var b bytes.Buffer
	err := page.Execute(&b, data)
	if err != nil {
		panic(fmt.Sprintf("link: a page: %v", err)) // observe answers
	}
	a.csp = s.pages.csp
	if page == s.pages.reader {
		a.csp = readerCSP
	}
	write(a, r, status, "text/html; charset=utf-8", b.Bytes())
}

// serveClosed says goodbye.
func (s *Server) serveClosed(a *answer, r *http.Request) {
	s.writePage(a, r, http.StatusOK, s.pages.notice, noticePage{
		Heading: "Your documents are closed",
		Message: "Nobody can open them from this page any more. To read them again, open the link from your e-mail.",
	})
}

func serveIcon(a *answer, r *http.Request) { write(a, r, http.StatusOK, "image/svg+xml", icon) }

func serveRobots(a *answer, r *http.Request) {
	write(a, r, http.StatusOK, "text/plain; charset=utf-8", []byte("User-agent: *\nDisallow: /\n"))
}

func rows(views []documentView) []row {
	list := make([]row, 0, len(views))
	for _, v := range views {
		about := size(v.Size)
		if v.Pages > 0 {
			about = count(v.Pages, "page") + " · " + about
		}
		_, kind, _ := strings.Cut(v.MediaType, "/")
		open := v.URL
		if readable(v.MediaType) {
			open += "/read"
		}
		list = append(list, row{documentView: v, Kind: strings.ToUpper(kind), About: about, Open: open})
	}
	return list
}

// paragraphs splits what the sender wrote at empty lines.
func paragraphs(text string) [][]string {
	var all [][]string
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\r\n", "\n") + "\n\n") {
		line = clean(line)
		switch {
		case line != "":
			lines = append(lines, line)
		case len(lines) > 0:
			all, lines = append(all, lines), nil
		}
	}
	return all
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func minutes(d time.Duration) string {
	if d < time.Minute {
		return count(int(d.Seconds()), "second")
	}
	return count(int(d.Minutes()), "minute")
}

// size is a number of bytes as people read it.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1_000_000:
		return fmt.Sprintf("%d KB", (n+500)/1000)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d MB", (n+500_000)/1_000_000)
}
