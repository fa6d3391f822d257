package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/filigreehq/filigree/pkg/fault"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// uploadPath takes documents; its bytes go through FileService.Upload, a stream, for which protos have no HTTP rule.
const uploadPath = "/v1/productions/{production}/files"

// route is one address of the API.
type route struct {
	method string
	path   string // as declared: "/v1/productions/{production}/files"
	// input is what the request is made of; nil for what protos have no HTTP rule for.
	input protoreflect.MessageDescriptor
	// body says that the request, or the one field of it that is not in the path, comes as JSON body; otherwise it is in path
	// and query.
	body bool
	// action is what the audit calls a call that changes something.
	action string
	match  *regexp.Regexp
}

// routes are all addresses of the API by method and path.
type routes map[string]route

var pathVariable = regexp.MustCompile(`\{([a-z0-9_]+)(=\*\*?)?\}`)

// declaredRoutes reads them from the HTTP rules of the protos.
func declaredRoutes() (routes, error) {
	all := routes{}
	for _, file := range []protoreflect.FileDescriptor{
		directoryv1.File_filigree_directory_v1_directory_proto,
		filev1.File_filigree_file_v1_file_proto,
		credentialv1.File_filigree_credential_v1_credential_proto,
		distributionv1.File_filigree_distribution_v1_distribution_proto,
		definitionv1.File_filigree_definition_v1_definition_proto,
		controlv1.File_filigree_control_v1_control_proto,
		schedulev1.File_filigree_schedule_v1_schedule_proto,
		sessionv1.File_filigree_session_v1_session_proto,
		observerv1.File_filigree_observer_v1_observer_proto,
		observerv1.File_filigree_observer_v1_alert_proto,
	} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				err := all.declare(methods.Get(j))
				if err != nil {
					return nil, err
				}
			}
		}
	}
	all.add(route{method: http.MethodPost, path: uploadPath, action: "file.upload"})
	for _, path := range []string{watchPath, reportPath, copyPath, thumbnailPath, previewPath} {
		all.add(route{method: http.MethodGet, path: path})
	}
	return all, nil
}

func (all routes) declare(m protoreflect.MethodDescriptor) error {
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return nil
	}
	r := route{input: m.Input(), body: rule.GetBody() != ""}
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		r.method, r.path = http.MethodGet, p.Get
	case *annotations.HttpRule_Post:
		r.method, r.path = http.MethodPost, p.Post
	case *annotations.HttpRule_Put:
		r.method, r.path = http.MethodPut, p.Put
	case *annotations.HttpRule_Patch:
		r.method, r.path = http.MethodPatch, p.Patch
	case *annotations.HttpRule_Delete:
		r.method, r.path = http.MethodDelete, p.Delete
	}
	if r.method == "" || len(rule.GetAdditionalBindings()) > 0 {
		return fmt.Errorf("the HTTP rule of %s is of a kind that is not served", m.FullName())
	}
	if r.method != http.MethodGet {
		r.action = action(string(m.Name()))
	}
	all.add(r)
	return nil
}

func (all routes) add(r route) {
	var expr strings.Builder
	rest := r.path
	for _, v := range pathVariable.FindAllString(r.path, -1) {
		literal, after, _ := strings.Cut(rest, v)
		expr.WriteString(regexp.QuoteMeta(literal) + "[^/]+")
		rest = after
	}
	r.match = regexp.MustCompile("^" + expr.String() + regexp.QuoteMeta(rest) + "$")
	all[r.method+" "+r.path] = r
}

// of finds the route that the REST layer calls pattern.
func (all routes) of(method, pattern string) (route, bool) {
	r, ok := all[method+" "+strings.ReplaceAll(pattern, "=*}", "}")]
	return r, ok
}

// allowed lists the methods that path has.
func (all routes) allowed(path string) string {
	var methods []string
	for _, r := range all {
		if r.match.MatchString(path) && !slices.Contains(methods, r.method) {
			methods = append(methods, r.method)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// checkQuery refuses what the request would otherwise silently do without: a parameter it does not know, or one that
// belongs elsewhere. The generated code ignores both.
func (r route) checkQuery(u *url.URL, inPath map[string]string) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fault.New(fault.Invalid, codeInvalid, "the query after the ? cannot be read").Because(err)
	}
	for name, values := range query {
		fields := r.input.Fields()
		field := fields.ByName(protoreflect.Name(name))
		switch _, taken := inPath[name]; {
		case r.body:
			return fault.New(fault.Invalid, codeInvalid, "this call takes its fields from the JSON body: put %q there", clip(name))
		case field == nil:
			return fault.New(fault.Invalid, codeInvalid, "there is no query parameter %q here", clip(name))
		case taken:
			return fault.New(fault.Invalid, codeInvalid, "%q is taken from the path and cannot be in the query, too", name)
		case !field.IsList() && len(values) > 1:
			return fault.New(fault.Invalid, codeInvalid, "the query parameter %q is there %d times", name, len(values))
		}
		for _, v := range values {
			if !utf8.ValidString(v) {
				return fault.New(fault.Invalid, codeInvalid, "the query parameter %q is not UTF-8", name)
			}
		}
	}
	return nil
}

// checkPath refuses what a proto's string cannot hold.
func checkPath(params map[string]string) error {
	for name, value := range params {
		if !utf8.ValidString(value) {
			return fault.New(fault.Invalid, codeInvalid, "the %s in the path is not UTF-8", name)
		}
	}
	return nil
}
