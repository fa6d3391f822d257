package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
)

// newAPI makes the REST layer: generated code between our own reading of requests and our own answers.
func (s *Server) newAPI() (http.Handler, error) {
	// A call that lost its principal on the way is made as nobody, never as the gateway.
	nobody, err := onBehalf(&accessv1.Principal{})
	if err != nil {
		return nil, err
	}
	none := func(string) (string, bool) { return "", false }
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newCodec()),
		runtime.WithIncomingHeaderMatcher(none),
		runtime.WithOutgoingHeaderMatcher(none),
		runtime.WithOutgoingTrailerMatcher(none),
		runtime.WithForwardResponseOption(func(ctx context.Context, w http.ResponseWriter, m proto.Message) error {
			c := callFrom(ctx)
			if c.action != "" && strings.HasSuffix(c.action, ".create") {
				c.made = made(m)
			}
			if note := callFrom(ctx).note; note != "" {
				w.Header().Set(headerNote, note)
			}
			return nil
		}),
		runtime.WithMetadata(func(ctx context.Context, _ *http.Request) metadata.MD {
			md := callFrom(ctx).outgoing
			if md == nil {
				md = nobody
			}
			return md.Copy()
		}),
		runtime.WithErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
			var found *runtime.HTTPStatusError
			if errors.As(err, &found) { // the path's escapes
				err = fault.New(fault.Invalid, codeInvalid, "the path cannot be read").Because(err)
			}
			s.fail(w, r, err)
		}),
		runtime.WithRoutingErrorHandler(s.failRouting),
		runtime.WithMiddlewares(s.prepare),
		runtime.WithUnescapingMode(runtime.UnescapingModeAllCharacters),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
	)
	ctx := context.Background()
	err = errors.Join(
		directoryv1.RegisterDirectoryServiceHandlerClient(ctx, mux, revoking{s.deps.Directory, s.tokens, s.sessions}),
		filev1.RegisterFileServiceHandlerClient(ctx, mux, s.deps.Files),
		credentialv1.RegisterCredentialServiceHandlerClient(ctx, mux, s.deps.Credentials),
		distributionv1.RegisterDistributionServiceHandlerClient(ctx, mux, s.deps.Distributions),
		definitionv1.RegisterDefinitionServiceHandlerClient(ctx, mux, s.deps.Definitions),
		controlv1.RegisterControlServiceHandlerClient(ctx, mux, s.deps.Control),
		schedulev1.RegisterScheduleServiceHandlerClient(ctx, mux, s.deps.Schedules),
		sessionv1.RegisterSessionServiceHandlerClient(ctx, mux, s.deps.Sessions),
		observerv1.RegisterObserverServiceHandlerClient(ctx, mux, observerv1.NewObserverServiceClient(s.deps.Observer)),
		observerv1.RegisterAlertServiceHandlerClient(ctx, mux, observerv1.NewAlertServiceClient(s.deps.Observer)),
		mux.HandlePath(http.MethodPost, uploadPath, s.upload),
		mux.HandlePath(http.MethodGet, watchPath, s.watch),
		mux.HandlePath(http.MethodGet, reportPath, s.report),
		mux.HandlePath(http.MethodGet, copyPath, s.copy),
		mux.HandlePath(http.MethodGet, thumbnailPath, s.thumbnail),
		mux.HandlePath(http.MethodGet, previewPath, s.preview),
	)
	if err != nil {
		return nil, fmt.Errorf("register the REST handlers: %w", err)
	}
	return mux, nil
}

func (s *Server) failRouting(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, status int) {
	switch status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", s.routes.allowed(r.URL.EscapedPath()))
		s.fail(w, r, methodUnknown(r.Method))
	case http.StatusBadRequest:
		s.fail(w, r, fault.New(fault.Invalid, codeInvalid, "the path cannot be read"))
	default:
		s.fail(w, r, pathUnknown())
	}
}

func pathUnknown() error {
	return fault.New(fault.NotFound, codePath, "there is nothing at this address; /openapi.json lists what there is")
}

// prepare runs before each handler of the REST layer. It reads the body as a whole, so that a handler starts with all
// of it or not at all, and bounds the call.
func (s *Server) prepare(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		pattern, _ := runtime.HTTPPattern(r.Context())
		route, ok := s.routes.of(r.Method, pattern.String())
		if !ok {
			s.fail(w, r, fmt.Errorf("no declared route is %s %s", r.Method, pattern))
			return
		}
		c := callFrom(r.Context())
		c.route, c.params, c.action = route.path, params, route.action
		err := checkPath(params)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if route.input == nil {
			next(w, r, params)
			return
		}
		err = route.checkQuery(r.URL, params)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		var read []byte
		if route.body {
			read, err = s.readJSON(w, r)
			if err != nil {
				w.Header().Set("Connection", "close") // the rest of the body is not waited for
				s.fail(w, r, err)
				return
			}
		}
		c.asked = asked(route.input, read)
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.CallTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = io.NopCloser(bytes.NewReader(read))
		next(w, r, params)
	}
}

func (s *Server) readJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := fault.New(fault.Invalid, codeTooLarge, "the request's body is larger than the %d bytes that are taken in one call", s.cfg.MaxBody)
	if r.ContentLength > s.cfg.MaxBody {
		return nil, tooLarge
	}
	read, err := io.ReadAll(newBody(w, r, s.cfg.MaxBody, s.cfg.StallTimeout))
	if err != nil {
		return nil, readFault(err, tooLarge)
	}
	return read, nil
}
