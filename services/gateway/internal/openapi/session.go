package openapi

import (
	"net/http"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// addSessions adds how browsers sign in, which the gateway serves itself.
func addSessions(doc *openapi3.T) {
	text := openapi3.NewStringSchema
	described := func(s *openapi3.Schema, description string) *openapi3.Schema {
		s.Description = description
		return s
	}
	object := func(description string, properties map[string]*openapi3.Schema) *openapi3.SchemaRef {
		s := &openapi3.Schema{Type: &openapi3.Types{"object"}, Description: description, Properties: openapi3.Schemas{}}
		for name, p := range properties {
			s.Properties[name] = openapi3.NewSchemaRef("", p)
			s.Required = append(s.Required, name)
		}
		slices.Sort(s.Required)
		return openapi3.NewSchemaRef("", s)
	}
	doc.Components.Schemas["Session"] = object("Who is signed in, of a browser.", map[string]*openapi3.Schema{
		"id":          described(text(), "Names the session without giving it away; RevokeToken takes it."),
		"subject":     described(text(), "As whom the audit knows its calls."),
		"role":        text().WithEnum("coordinator", "oncall", "admin"),
		"productions": described(openapi3.NewArraySchema().WithItems(text()), "Productions it may act in; \"*\" is all."),
		"way":         described(text().WithEnum("code", "oidc"), "How they signed in."),
		"csrf_token":  described(text(), "To be sent as header X-Filigree-CSRF with each call that changes something."),
		"created_at":  text().WithFormat("date-time"),
		"expires_at":  described(text().WithFormat("date-time"), "When it ends unless it is used."),
	})
	doc.Components.Schemas["SignInWay"] = object("A way to sign in.", map[string]*openapi3.Schema{
		"way":  described(text().WithEnum("code", "oidc"), "code: POST /v1/session with what stands behind the # of a sign-in address; oidc: go to url."),
		"name": described(text(), "For people."),
		"url":  described(text(), "Where it begins; empty of codes."),
	})
	none := &openapi3.SecurityRequirements{}
	cookie := &openapi3.SecurityRequirements{{"session": {}}}
	csrf := openapi3.Parameters{{Value: openapi3.NewHeaderParameter("X-Filigree-CSRF").WithRequired(true).
		WithDescription("The session's csrf_token.").WithSchema(text())}}
	op := func(id, summary, description string, security *openapi3.SecurityRequirements, status int, answer string, schema *openapi3.SchemaRef) *openapi3.Operation {
		r := &openapi3.Response{Description: &answer}
		if schema != nil {
			r.Content = openapi3.NewContentWithJSONSchemaRef(schema)
		}
		o := &openapi3.Operation{
			OperationID: "SessionService_" + id, Summary: summary, Description: description, Tags: []string{"SessionService"}, Security: security,
			Responses: openapi3.NewResponses(openapi3.WithStatus(status, &openapi3.ResponseRef{Value: r})),
		}
		o.Responses.Set("default", &openapi3.ResponseRef{Ref: responses + "Failure"})
		return o
	}
	session := openapi3.NewSchemaRef(schemas+"Session", nil)
	signIn := op("SignIn", "Signs a browser in with a code, which is used up.",
		"The answer sets the session's cookie: HttpOnly, SameSite=Strict, and Secure where the gateway is reached by https. A code that was used, or whose time has passed, is SIGN_IN_UNKNOWN; too many of them from one address are SIGN_IN_MISSES.",
		none, http.StatusOK, "Who is signed in now.", session)
	signIn.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithRequired(true).WithContent(openapi3.NewContentWithJSONSchemaRef(
		object("", map[string]*openapi3.Schema{"code": described(text().WithMinLength(1).WithMaxLength(200), "What stands behind the # of a sign-in address.")})))}
	signOut := op("SignOut", "Signs the browser out, at once.", "", cookie, http.StatusOK, "Nobody is signed in.", object("", nil))
	signOut.Parameters = csrf
	doc.Paths.Set("/v1/session", &openapi3.PathItem{
		Post: signIn,
		Get: op("WhoIsSignedIn", "Tells who is signed in.", "SESSION_MISSING when nobody is, SESSION_UNKNOWN when the session is over.",
			cookie, http.StatusOK, "Who is signed in.", session),
		Delete: signOut,
	})
	doc.Paths.Set("/v1/session/ways", &openapi3.PathItem{
		Get: op("ListWays", "Lists the ways to sign in.", "", none, http.StatusOK, "The ways that there are here.",
			openapi3.NewSchemaRef("", &openapi3.Schema{Type: &openapi3.Types{"object"}, Required: []string{"ways"}, Properties: openapi3.Schemas{
				"ways": openapi3.NewSchemaRef("", &openapi3.Schema{Type: &openapi3.Types{"array"}, Items: openapi3.NewSchemaRef(schemas+"SignInWay", nil)}),
			}})),
	})
	away := func(id, summary, description string, params ...string) {
		o := op(id, summary, description, none, http.StatusSeeOther, "Where the browser goes.", nil)
		o.Responses.Status(http.StatusSeeOther).Value.Headers = openapi3.Headers{"Location": {Value: &openapi3.Header{Parameter: openapi3.Parameter{Schema: openapi3.NewSchemaRef("", text())}}}}
		for _, name := range params {
			o.Parameters = append(o.Parameters, &openapi3.ParameterRef{Value: openapi3.NewQueryParameter(name).WithSchema(text())})
		}
		path := "/v1/session/oidc"
		if len(params) > 0 {
			path += "/callback"
		}
		doc.Paths.Set(path, &openapi3.PathItem{Get: o})
	}
	const problems = "Whatever goes wrong, the browser goes to /sign-in?problem=CODE, of OIDC_UNREACHABLE, OIDC_STATE, OIDC_REFUSED, OIDC_TOKEN_REFUSED, OIDC_NO_GRANT, SIGN_IN_MISSES, or a code of the gateway's own."
	away("StartOIDC", "Sends the browser to the identity provider.", "To be gone to, not fetched. OIDC_OFF, as JSON, where there is none. "+problems)
	away("FinishOIDC", "Where the identity provider sends the browser back to.", "It ends in a session and at /. "+problems, "state", "code", "error", "iss")
}
