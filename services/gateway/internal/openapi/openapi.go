// Package openapi makes the gateway's OpenAPI 3 document from the OpenAPI 2 document that is generated from the
// protos. What a generator cannot know is added: how a caller says who it is, what every failure looks like, and the
// upload. The same input always gives the same bytes.
package openapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/filigreehq/filigree/pkg/mark"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
)

const (
	schemas    = "#/components/schemas/"
	responses  = "#/components/responses/"
	uploadPath = "/v1/productions/{production}/files"
	// previewPath shows a page of a file.
	previewPath = "/v1/productions/{production}/files/{file}/preview"
	// hookPath starts a distribution.
	hookPath   = "/v1/hooks/{production}/{hook}"
	fileSchema = "File"
	// sharedPath shows a distribution to whoever has the address.
	sharedPath = "/v1/shared/{token}"
)

// Convert returns the OpenAPI 3 document for swagger, valid and indented.
func Convert(swagger []byte) ([]byte, error) {
	swagger, err := rename(swagger)
	if err != nil {
		return nil, err
	}
	var v2 openapi2.T
	err = json.Unmarshal(swagger, &v2)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI 2 document: %w", err)
	}
	doc, err := openapi2conv.ToV3(&v2)
	if err != nil {
		return nil, fmt.Errorf("convert to OpenAPI 3: %w", err)
	}
	describe(doc)
	allowNull(doc)
	err = addFailures(doc)
	if err != nil {
		return nil, err
	}
	if shared := doc.Paths.Value(sharedPath); shared != nil {
		shared.Get.Security = &openapi3.SecurityRequirements{} // the address is the token
	}
	addIdempotencyKey(doc)
	err = addUpload(doc)
	if err != nil {
		return nil, err
	}
	addStreams(doc)
	addPreview(doc)
	err = addHooks(doc)
	if err != nil {
		return nil, err
	}
	addSessions(doc)
	dropUnused(doc)
	raw, err := doc.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	err = validate(raw)
	if err != nil {
		return nil, fmt.Errorf("the document made is not valid: %w", err)
	}
	var out bytes.Buffer
	err = json.Indent(&out, raw, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("indent the document: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// validate reads the document as a stranger would: references are followed, and must lead somewhere.
func validate(raw []byte) error {
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return err
	}
	return doc.Validate(context.Background())
}

// rename gives schemas the names that clients know: without the version or the service the generator puts before them.
func rename(swagger []byte) ([]byte, error) {
	var names struct {
		Definitions map[string]json.RawMessage `json:"definitions"`
	}
	err := json.Unmarshal(swagger, &names)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI 2 document: %w", err)
	}
	taken := map[string]string{}
	for old := range names.Definitions {
		name := shortName(old)
		if other, ok := taken[name]; ok {
			return nil, fmt.Errorf("the schemas %s and %s would both be called %s", old, other, name)
		}
		taken[name] = old
		swagger = bytes.ReplaceAll(swagger, []byte(`"#/definitions/`+old+`"`), []byte(`"#/definitions/`+name+`"`))
	}
	var whole map[string]json.RawMessage
	err = json.Unmarshal(swagger, &whole)
	if err != nil {
		return nil, fmt.Errorf("read the renamed document: %w", err)
	}
	var definitions map[string]json.RawMessage
	err = json.Unmarshal(whole["definitions"], &definitions)
	if err != nil {
		return nil, fmt.Errorf("read the renamed schemas: %w", err)
	}
	renamed := map[string]json.RawMessage{}
	for old, schema := range definitions {
		renamed[shortName(old)] = schema
	}
	whole["definitions"], err = json.Marshal(renamed)
	if err != nil {
		return nil, fmt.Errorf("write the renamed schemas: %w", err)
	}
	return json.Marshal(whole)
}

// named are the schemas whose own names are another's, too, in another package.
var named = map[string]string{
	"filigreeFileV1File":               fileSchema,
	"filigreeControlV1Resource":        "Resource",
	"filigreeDefinitionV1Definition":   "Definition",
	"filigreeDistributionV1Definition": "DefinitionVersion",
}

var bodyName = regexp.MustCompile(`^[A-Z][A-Za-z]*Service([A-Z][A-Za-z]*Body)$`)

func shortName(old string) string {
	name, ok := named[old]
	if ok {
		return name
	}
	name, ok = strings.CutPrefix(old, "v1")
	if ok {
		return name
	}
	body := bodyName.FindStringSubmatch(old)
	if body != nil {
		return body[1]
	}
	return old
}

func describe(doc *openapi3.T) {
	doc.OpenAPI = "3.0.3"
	doc.Info = &openapi3.Info{
		Title:       "Filigree",
		Version:     "v1",
		Description: "Sends confidential documents to many people at once; every recipient of every file gets a copy of their own.",
	}
	doc.Servers = openapi3.Servers{{URL: "/"}}
	used := map[string]bool{}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, tag := range op.Tags {
				used[tag] = true
			}
		}
	}
	var tags openapi3.Tags
	for _, tag := range doc.Tags {
		if used[tag.Name] {
			tags = append(tags, tag)
		}
	}
	doc.Tags = tags
	doc.Components.SecuritySchemes = openapi3.SecuritySchemes{
		"token": {Value: &openapi3.SecurityScheme{
			Type:        "http",
			Scheme:      "bearer",
			Description: "A token made by CreateToken. A token that may not act in a production gets the same answer as for one that does not exist.",
		}},
		"session": {Value: &openapi3.SecurityScheme{
			Type: "apiKey", In: "cookie", Name: "filigree_console",
			Description: "The session of a browser (POST /v1/session); its name begins with __Host- where the gateway is reached by https. " +
				"It may do what a token may. A call that changes something needs the header X-Filigree-CSRF with the session's csrf_token; a call from a page of another origin is CSRF.",
		}},
	}
	doc.Security = openapi3.SecurityRequirements{{"token": {}}, {"session": {}}}
}

// allowNull says what answers do: a message that is not there is null, and times and spans of time are messages, too.
func allowNull(doc *openapi3.T) {
	spans := spansOfTime()
	for title, schema := range doc.Components.Schemas {
		for name, property := range schema.Value.Properties {
			if property.Ref != "" {
				schema.Value.Properties[name] = openapi3.NewSchemaRef("", &openapi3.Schema{
					AllOf:    openapi3.SchemaRefs{openapi3.NewSchemaRef(property.Ref, nil)},
					Nullable: true,
				})
			} else if property.Value.Format == "date-time" || spans[title+"."+name] {
				property.Value.Nullable = true
			}
		}
	}
}

// spansOfTime are the fields, as "Schema.field", that are a span of time: OpenAPI 2 has them as any other string.
func spansOfTime() map[string]bool {
	all := map[string]bool{}
	for _, file := range []protoreflect.FileDescriptor{
		controlv1.File_filigree_control_v1_control_proto, distributionv1.File_filigree_distribution_v1_distribution_proto,
		observerv1.File_filigree_observer_v1_observer_proto, observerv1.File_filigree_observer_v1_alert_proto,
	} {
		for i := range file.Messages().Len() {
			m := file.Messages().Get(i)
			for j := range m.Fields().Len() {
				f := m.Fields().Get(j)
				if f.Message() != nil && f.Message().FullName() == "google.protobuf.Duration" {
					all[string(m.Name()+"."+f.Name())] = true
				}
			}
		}
	}
	return all
}

// addFailures replaces the generator's idea of an error, everywhere, by what the gateway answers.
func addFailures(doc *openapi3.T) error {
	detail, ok := doc.Components.Schemas["Error"]
	if !ok {
		return fmt.Errorf("there is no schema %sError to describe failures with", schemas)
	}
	delete(doc.Components.Schemas, "rpcStatus")
	delete(doc.Components.Schemas, "protobufAny")
	detail.Value.Required = []string{"code", "message", "retryable"}
	doc.Components.Schemas["Failure"] = openapi3.NewSchemaRef("", &openapi3.Schema{
		Type:        &openapi3.Types{"object"},
		Description: "The body of every answer that is not a success.",
		Required:    []string{"error"},
		Properties:  openapi3.Schemas{"error": openapi3.NewSchemaRef(schemas+"Error", nil)},
	})
	description := "What is wrong. 400: the request; 401: the token; 403: its role may not do this; 404: there is no such thing; " +
		"409: it contradicts the present state; 413: too large; 429 and 503: later, see Retry-After; 500: a defect of ours."
	doc.Components.Responses = openapi3.ResponseBodies{
		"Failure": {Value: &openapi3.Response{
			Description: &description,
			Headers: openapi3.Headers{"Retry-After": {Value: &openapi3.Header{Parameter: openapi3.Parameter{
				Description: "Seconds to wait before trying again.",
				Schema:      openapi3.NewSchemaRef("", openapi3.NewIntegerSchema()),
			}}}},
			Content: openapi3.NewContentWithJSONSchemaRef(openapi3.NewSchemaRef(schemas+"Failure", nil)),
		}},
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.RequestBody != nil && op.RequestBody.Value != nil {
				op.RequestBody.Extensions, op.RequestBody.Value.Extensions = nil, nil // the converter's own notes
			}
			op.Responses.Set("default", &openapi3.ResponseRef{Ref: responses + "Failure"})
			success := op.Responses.Status(http.StatusOK)
			if success != nil && success.Value != nil && (success.Value.Description == nil || *success.Value.Description == "") {
				said := "A successful response."
				success.Value.Description = &said
			}
		}
	}
	return nil
}

// addIdempotencyKey says where the header is understood: where the body has the field.
func addIdempotencyKey(doc *openapi3.T) {
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.RequestBody == nil || op.RequestBody.Value == nil {
				continue
			}
			media := op.RequestBody.Value.Content.Get("application/json")
			if media == nil || media.Schema == nil {
				continue
			}
			body := doc.Components.Schemas[strings.TrimPrefix(media.Schema.Ref, schemas)]
			if body == nil || body.Value.Properties["idempotency_key"] == nil {
				continue
			}
			header := openapi3.NewHeaderParameter("Idempotency-Key").
				WithDescription("The same as idempotency_key in the body.").
				WithSchema(openapi3.NewStringSchema().WithMaxLength(128))
			op.AddParameter(header)
		}
	}
}

func addUpload(doc *openapi3.T) error {
	item := doc.Paths.Find(uploadPath)
	if item == nil || item.Post != nil {
		return fmt.Errorf("%s is not a path that lists files and takes none yet", uploadPath)
	}
	binary := openapi3.NewSchemaRef("", openapi3.NewStringSchema().WithFormat("binary"))
	form := openapi3.NewSchemaRef("", &openapi3.Schema{
		Type:       &openapi3.Types{"object"},
		Required:   []string{"file"},
		Properties: openapi3.Schemas{"file": binary},
	})
	stored := "The file as stored. Storing the same bytes again answers with the file there is."
	item.Post = &openapi3.Operation{
		Summary:     "Upload stores a document.",
		Description: "The body is the document's bytes, or a form with one part \"file\". FILE_TOO_LARGE is said as soon as the limit is passed.",
		OperationID: "FileService_Upload",
		Tags:        []string{"FileService"},
		Parameters: openapi3.Parameters{
			{Value: openapi3.NewPathParameter("production").WithSchema(openapi3.NewStringSchema())},
			{Value: openapi3.NewQueryParameter("name").
				WithDescription("The document's name. Without it, the file name in Content-Disposition or in the form.").
				WithSchema(openapi3.NewStringSchema())},
		},
		RequestBody: &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithRequired(true).WithContent(openapi3.Content{
			"*/*":                      {Schema: binary},
			"application/octet-stream": {Schema: binary},
			"multipart/form-data":      {Schema: form},
		})},
		Responses: openapi3.NewResponses(
			openapi3.WithStatus(http.StatusCreated, &openapi3.ResponseRef{Value: &openapi3.Response{
				Description: &stored,
				Content:     openapi3.NewContentWithJSONSchemaRef(openapi3.NewSchemaRef(schemas+fileSchema, nil)),
			}}),
		),
	}
	item.Post.Responses.Set("default", &openapi3.ResponseRef{Ref: responses + "Failure"})
	return nil
}

// addStreams adds what is read as a stream of bytes or events.
func addStreams(doc *openapi3.T) {
	const distribution = "/v1/productions/{production}/distributions/{distribution}"
	add := func(path, summary, description, id, answer, media string, params ...string) {
		op := &openapi3.Operation{
			Summary: summary, Description: description, OperationID: "DistributionService_" + id, Tags: []string{"DistributionService"},
			Responses: openapi3.NewResponses(openapi3.WithStatus(http.StatusOK, &openapi3.ResponseRef{Value: &openapi3.Response{
				Description: &answer,
				Content:     openapi3.Content{media: {Schema: openapi3.NewSchemaRef("", openapi3.NewStringSchema())}},
			}})),
		}
		for _, name := range append([]string{"production", "distribution"}, params...) {
			op.Parameters = append(op.Parameters, &openapi3.ParameterRef{Value: openapi3.NewPathParameter(name).WithSchema(openapi3.NewStringSchema())})
		}
		op.Responses.Set("default", &openapi3.ResponseRef{Ref: responses + "Failure"})
		doc.Paths.Set(path, &openapi3.PathItem{Get: op})
	}
	add(distribution+"/watch", "WatchDistribution sends the distribution each time it changed.",
		"Server-sent events: each event \"distribution\" carries a Distribution as JSON; \"end\" is the last. With the header Last-Event-ID only what came after is sent; 204 when that is nothing and the distribution has ended.",
		"WatchDistribution", "The events.", "text/event-stream")
	add(distribution+"/report.csv", "Who got what, as a table: a line for each item.",
		"CSV (RFC 4180) in UTF-8 with a byte order mark; times are RFC 3339, in UTC. viewed_at and downloaded_at are of the recipient's link, so the same for all their files; code and reason say what went wrong or is tried again. "+
			"A cell that a spreadsheet would take for a formula begins with '. It is read page by page, and so is not of one moment; a connection that breaks off is all that is said of a failure after the first line.",
		"GetReport", "The table.", "text/csv")
	add(distribution+"/items/{item}/copy", "An item's copy.", "The bytes, with Range and ETag.", "GetCopy", "The copy, of the same media type as the file.", "*/*", "item")
	add(distribution+"/items/{item}/thumbnail", "The picture of an item's first page.", "With the recipient's mark, as the copy has it.", "GetThumbnail", "The picture.", "image/*", "item")
}

// addPreview adds the picture of a page with a mark.
func addPreview(doc *openapi3.T) {
	query := func(name, description string, schema *openapi3.Schema) *openapi3.ParameterRef {
		return &openapi3.ParameterRef{Value: openapi3.NewQueryParameter(name).WithDescription(description).WithSchema(schema)}
	}
	text := openapi3.NewStringSchema
	number := func(most float64) *openapi3.Schema { return openapi3.NewInt32Schema().WithMin(0).WithMax(most) }
	answer := "The page, with the mark."
	op := &openapi3.Operation{
		Summary: "The picture of a page as a recipient's copy would have it.",
		Description: "Nothing is stored or sent. Fields of the mark that are neither name nor email are given as field.NAME=VALUE; " +
			"of those that are not given, date, time, copy, production and file are as for a distribution made now, the others empty. PNG shows most exactly what poppler shows of the copy.",
		OperationID: "ThumbnailService_Preview",
		Tags:        []string{"FileService"},
		Parameters: openapi3.Parameters{
			{Value: openapi3.NewPathParameter("production").WithSchema(text())},
			{Value: openapi3.NewPathParameter("file").WithDescription("The file's SHA-256.").WithSchema(text().WithPattern("^[0-9a-f]{64}$"))},
			query("page", "Counted from 1; 0 is the first.", openapi3.NewInt32Schema().WithMin(0)),
			query("width", "In pixels, up to 2000; 0 is 800. The height follows; what would be too large comes out narrower.", number(2000)),
			query("format", "A picture of the page, jpeg if there is none; pdf is the whole document as a copy would be.", text().WithEnum("jpeg", "png", "pdf")),
			query("mark", "The mark's text with fields; empty: \"{name}\\n{email}\".", text()),
			query("layout", "How the text is laid out; diagonal if there is none.", text().WithEnum("diagonal", "tiled", "header", "footer", "corners")),
			query("color", "As #rrggbb; a grey that shows on every ground if there is none.", text().WithPattern("^#[0-9a-fA-F]{6}$")),
			query("opacity", "In percent; 0 is the layout's own.", number(100)),
			query("size", "Height of the letters in points; 0 fits them to the page.", number(1000)),
			query("pages", "Pages that carry the large mark: \"1-3,7,10-\"; empty is all.", text()),
			query("name", "The recipient's name.", text()),
			query("email", "The recipient's address.", text()),
		},
		Responses: openapi3.NewResponses(openapi3.WithStatus(http.StatusOK, &openapi3.ResponseRef{Value: &openapi3.Response{
			Description: &answer,
			Content: openapi3.Content{
				"image/*":         {Schema: openapi3.NewSchemaRef("", text().WithFormat("binary"))},
				"application/pdf": {Schema: openapi3.NewSchemaRef("", text().WithFormat("binary"))},
			},
		}})),
	}
	for _, name := range mark.Standard() {
		if name != "name" && name != "email" {
			op.Parameters = append(op.Parameters, query("field."+name, "The mark's {"+name+"}. Fields of your own are given in the same way.", text()))
		}
	}
	op.Responses.Set("default", &openapi3.ResponseRef{Ref: responses + "Failure"})
	doc.Paths.Set(previewPath, &openapi3.PathItem{Get: op})
}

// addHooks adds the addresses that other systems call to start distributions.
func addHooks(doc *openapi3.T) error {
	request, ok := doc.Components.Schemas["CreateDistributionRequest"]
	if !ok {
		return fmt.Errorf("there is no schema %sCreateDistributionRequest to describe calls of hooks with", schemas)
	}
	text := openapi3.NewStringSchema
	header := func(name, description string, most int64) *openapi3.ParameterRef {
		return &openapi3.ParameterRef{Value: openapi3.NewHeaderParameter(name).WithRequired(true).WithDescription(description).
			WithSchema(text().WithMinLength(1).WithMaxLength(most))}
	}
	answer := "The distribution: a new one, or the one that the same call started before."
	may := openapi3.NewObjectSchema().WithoutAdditionalProperties()
	for _, name := range []string{"title", "files", "recipients", "message"} {
		may.Properties[name] = request.Value.Properties[name]
	}
	op := &openapi3.Operation{
		Summary: "A signed call that starts a distribution.",
		Description: "Made by other systems, without a token. It is signed as Standard Webhooks says: HMAC-SHA-256 under the hook's secret over id.timestamp.body. " +
			"What the body leaves out is as PutHook said. A hook that does not exist and a signature that is wrong are both HOOK_UNKNOWN.",
		OperationID: "ScheduleService_FireHook",
		Tags:        []string{"ScheduleService"},
		Security:    &openapi3.SecurityRequirements{},
		Parameters: openapi3.Parameters{
			{Value: openapi3.NewPathParameter("production").WithSchema(text())},
			{Value: openapi3.NewPathParameter("hook").WithSchema(text())},
			header("webhook-id", "The call's id. The same id again gives the same distribution.", 128),
			header("webhook-timestamp", "When it was signed, in seconds since 1970, at most five minutes ago.", 32),
			header("webhook-signature", "v1,<base64>; several with spaces between.", 1024),
		},
		RequestBody: &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithContent(openapi3.NewContentWithJSONSchema(may))},
		Responses: openapi3.NewResponses(openapi3.WithStatus(http.StatusOK, &openapi3.ResponseRef{Value: &openapi3.Response{
			Description: &answer,
			Content:     openapi3.NewContentWithJSONSchemaRef(openapi3.NewSchemaRef(schemas+"Distribution", nil)),
		}})),
	}
	op.Responses.Set("default", &openapi3.ResponseRef{Ref: responses + "Failure"})
	doc.Paths.Set(hookPath, &openapi3.PathItem{Post: op})
	return nil
}

// dropUnused removes schemas that nothing refers to, such as the wrappers of answers that are sent unwrapped.
func dropUnused(doc *openapi3.T) {
	for {
		raw, err := doc.MarshalJSON()
		if err != nil {
			return // Convert finds the same error and reports it
		}
		dropped := false
		for name := range doc.Components.Schemas {
			if !bytes.Contains(raw, []byte(`"`+schemas+name+`"`)) {
				delete(doc.Components.Schemas, name)
				dropped = true
			}
		}
		if !dropped {
			return
		}
	}
}
