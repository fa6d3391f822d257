package gateway

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/filigreehq/filigree/pkg/audit"
)

// looks are the reads that the audit has, too: somebody saw a document, or took with them who got it.
var looks = map[string]string{
	copyPath:      "copy.download",
	thumbnailPath: "thumbnail.view",
	reportPath:    "report.download",
	previewPath:   "file.preview",
}

// record tells the audit of a request: every one that changes something, whether it was let or not, and those in which somebody
// saw a document.
func (s *Server) record(method string, c *call, status int) {
	if s.audit == nil {
		return
	}
	l := audit.Line{Production: c.params["production"], Detail: strconv.Itoa(status)}
	for _, word := range []string{c.code, c.asked} {
		if word != "" {
			l.Detail += " " + word
		}
	}
	read := method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
	switch {
	case c.principal != nil && !read && c.action != "":
		l.Subject, l.Action = c.principal.GetSubject(), c.action
	case c.principal != nil && c.route == callbackPath: // a GET that signs somebody in
		l.Subject, l.Action = c.principal.GetSubject(), c.action
	case c.principal != nil && read && looks[c.route] != "":
		l.Subject, l.Action = c.principal.GetSubject(), looks[c.route]
	case c.route == hookRoute && c.code != codeHookUnknown && c.params != nil:
		l.Subject, l.Action = "webhook:"+c.params["hook"], "hook.fire"
	default:
		return
	}
	l.Object = c.object()
	s.audit.Record(l)
}

// object is what a request was about: what it made, or the innermost thing that its path names.
func (c *call) object() string {
	if c.made != "" {
		return c.made
	}
	d := c.params["distribution"]
	for _, name := range []string{"item", "recipient", "unit"} {
		if v := c.params[name]; v != "" {
			if d == "" || strings.HasPrefix(v, d+".") {
				return v
			}
			return d + "." + v
		}
	}
	if d != "" {
		return d
	}
	last, at := "", -1
	for name, v := range c.params {
		if i := strings.Index(c.route, "{"+name+"}"); i > at {
			last, at = v, i
		}
	}
	return last
}

// action makes "distribution.create" of CreateDistribution.
func action(method string) string {
	var words []string
	for _, r := range method {
		if unicode.IsUpper(r) || len(words) == 0 {
			words = append(words, "")
		}
		words[len(words)-1] += string(unicode.ToLower(r))
	}
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[1:], "_") + "." + words[0]
}

// word is what an action may be called.
var word = regexp.MustCompile(`^[a-z_]{1,32}$`)

// asked is which of several actions a request's body asks for; empty where there is only one.
func asked(m protoreflect.MessageDescriptor, body []byte) string {
	if m.Fields().ByName("action") == nil {
		return ""
	}
	var of struct {
		Action string `json:"action"`
	}
	err := json.Unmarshal(body, &of)
	if err != nil || !word.MatchString(of.Action) {
		return "" // whoever serves the call says what is wrong with it
	}
	return of.Action
}

// made is the id of what an answer shows: its own, or that of the one thing in it; empty when it has none.
func made(m proto.Message) string {
	id := func(m protoreflect.Message) string {
		for _, name := range []protoreflect.Name{"id", "sha256", "name"} {
			f := m.Descriptor().Fields().ByName(name)
			if f != nil && f.Kind() == protoreflect.StringKind && !f.IsList() {
				return m.Get(f).String()
			}
		}
		return ""
	}
	r := m.ProtoReflect()
	found := id(r)
	if found != "" {
		return found
	}
	r.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Kind() == protoreflect.MessageKind && !f.IsList() && !f.IsMap() {
			found = id(v.Message())
		}
		return found == ""
	})
	return found
}
