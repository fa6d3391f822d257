// Package rpc makes the gRPC servers and clients of all services alike: who may call (declared in the proto, denied by
// default), validation, deadlines, errors as faults both ways, one log line for a finished call, panics contained. The
// same interceptors run whether services share a process or not: in-process is a listener, not another code path.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/telemetry"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
)

// defaultDeadline bounds a unary call that came without a deadline.
const defaultDeadline = 30 * time.Second

// NewServer returns a server with all interceptors; the caller registers services and serves.
func NewServer(log *slog.Logger, more ...grpc.ServerOption) *grpc.Server {
	g := guard{log: log}
	return grpc.NewServer(append(append([]grpc.ServerOption{
		grpc.ChainUnaryInterceptor(g.unary),
		grpc.ChainStreamInterceptor(g.stream),
		grpc.MaxConcurrentStreams(10_000),
		// Callers look for replicas when they connect, so they must do that now and then; long uploads come to their end.
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 5 * time.Minute, MaxConnectionAgeGrace: time.Hour}),
	}, telemetry.ServerOptions()...), more...)...)
}

// Serve serves until ctx ends; then calls under way may finish for a while.
func Serve(ctx context.Context, server *grpc.Server, lis net.Listener) error {
	stopped := context.AfterFunc(ctx, func() {
		cut := time.AfterFunc(5*time.Second, server.Stop)
		defer cut.Stop()
		server.GracefulStop()
	})
	defer stopped()
	return server.Serve(lis)
}

type guard struct {
	log *slog.Logger
}

func (g guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	start := time.Now()
	defer func() { err = g.finish(ctx, info.FullMethod, start, recover(), err) }()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultDeadline)
		defer cancel()
	}
	principal, err := admit(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	err = check(principal, info.FullMethod, req)
	if err != nil {
		return nil, err
	}
	return next(Serving(ctx, principal), req)
}

func (g guard) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	start := time.Now()
	defer func() { err = g.finish(ss.Context(), info.FullMethod, start, recover(), err) }()
	principal, err := admit(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return next(srv, &guardedStream{
		ServerStream: ss, principal: principal, method: info.FullMethod,
		ctx: Serving(ss.Context(), principal),
	})
}

// guardedStream checks each message as it comes in: every one must be valid, and the first must name a production that
// the caller may act in, if the method asks for one.
type guardedStream struct {
	grpc.ServerStream
	ctx       context.Context
	principal *accessv1.Principal
	method    string
	first     bool
}

func (s *guardedStream) Context() context.Context { return s.ctx }

func (s *guardedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err != nil {
		return err
	}
	if s.first {
		return Validate(m)
	}
	s.first = true
	return check(s.principal, s.method, m)
}

// finish contains a panic, turns err into a fault and says in one line how the call ended.
func (g guard) finish(ctx context.Context, method string, start time.Time, panicked any, err error) error {
	if panicked != nil {
		g.log.ErrorContext(ctx, "panic in a call", "method", method, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		err = fault.New(fault.Internal, "INTERNAL", "something went wrong on our side; it was logged")
	}
	took := time.Since(start)
	if err == nil {
		g.log.DebugContext(ctx, "call", "method", method, "took", took)
		return nil
	}
	f := fault.From(err)
	switch {
	case f.Reason == "TIMEOUT":
		f = fault.New(fault.Unavailable, "TIMEOUT", "%s was given up after %s; try again", shortMethod(method), took.Round(time.Millisecond)).Because(err)
		g.log.DebugContext(ctx, "call given up", "method", method, "took", took)
	case f.Kind == fault.Internal && panicked == nil:
		g.log.ErrorContext(ctx, "call failed", "method", method, "took", took, "err", err)
	default:
		g.log.DebugContext(ctx, "call refused", "method", method, "took", took, "reason", f.Reason)
	}
	return f.GRPCStatus().Err()
}

func shortMethod(full string) string {
	return full[strings.LastIndexByte(full, '.')+1:]
}

// admit finds who calls and whether somebody of that role may call method at all.
func admit(ctx context.Context, method string) (*accessv1.Principal, error) {
	perm, err := permission(method)
	if err != nil {
		return nil, err
	}
	p := incomingPrincipal(ctx)
	if p.GetRole() == accessv1.Role_ROLE_UNSPECIFIED {
		return nil, fault.New(fault.Unauthenticated, "TOKEN_MISSING", "this call needs a token: send it as header Authorization: Bearer …")
	}
	err = vouched(ctx, p)
	if err != nil {
		return nil, err
	}
	if p.GetRole() != accessv1.Role_ROLE_SERVICE && !slices.Contains(perm.GetRoles(), p.GetRole()) {
		return nil, fault.New(fault.Denied, "ROLE_MISSING", "a token with the role %s may not do this; it takes %s", word(p.GetRole()), words(perm.GetRoles()))
	}
	return p, nil
}

func word(r accessv1.Role) string {
	return strings.ToLower(strings.TrimPrefix(r.String(), "ROLE_"))
}

func words(roles []accessv1.Role) string {
	var s []string
	for _, r := range roles {
		s = append(s, word(r))
	}
	return strings.Join(s, " or ")
}

// check holds one request against the proto's rules and against the productions of the caller.
func check(p *accessv1.Principal, method string, req any) error {
	perm, err := permission(method)
	if err != nil {
		return err
	}
	if perm.GetProduction() {
		production, ok := productionOf(req)
		if !ok {
			return fmt.Errorf("%s is declared to act in a production and its request names none", method)
		}
		if !Admits(p, production) {
			return UnknownProduction(production)
		}
	}
	return Validate(req)
}

// UnknownProduction is the answer for a production that is not there and, word for word the same, for one that the
// caller may not know of.
func UnknownProduction(production string) error {
	return fault.New(fault.NotFound, "PRODUCTION_UNKNOWN", "there is no production %q that this token may act in", production)
}

func productionOf(req any) (string, bool) {
	m, ok := req.(interface{ GetProduction() string })
	if !ok {
		return "", false
	}
	return m.GetProduction(), true
}

// Validate holds a request against the rules in its proto; servers do so by themselves with what they are called with.
func Validate(req any) error {
	m, ok := req.(proto.Message)
	if !ok || plainly(m) {
		return nil
	}
	err := protovalidate.Validate(m)
	var bad *protovalidate.ValidationError
	if errors.As(err, &bad) {
		var parts []string
		for _, v := range bad.Violations {
			parts = append(parts, strings.TrimSpace(protovalidate.FieldPathString(v.Proto.GetField())+": "+v.Proto.GetMessage()))
		}
		return fault.New(fault.Invalid, "INVALID", "the request is not valid: %s", strings.Join(parts, "; "))
	}
	return err
}

// permissions are those that were read before, by method.
var permissions sync.Map

// permission tells what the proto declares for method ("/pkg.Service/Method"). A method that declares nothing may be
// called by nobody.
func permission(method string) (*accessv1.Permission, error) {
	known, _ := permissions.Load(method)
	perm, ok := known.(*accessv1.Permission)
	if ok {
		return perm, nil
	}
	perm, err := readPermission(method)
	if err == nil {
		permissions.Store(method, perm)
	}
	return perm, err
}

func readPermission(method string) (*accessv1.Permission, error) {
	name := protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", "."))
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return nil, fmt.Errorf("find method %s: %w", method, err)
	}
	perm, ok := proto.GetExtension(d.Options(), accessv1.E_Permission).(*accessv1.Permission)
	if !ok || perm == nil {
		return nil, fmt.Errorf("method %s declares no permission", method)
	}
	return perm, nil
}

// reconnect is how soon a peer that went away is looked for again: soon enough for work to go on within seconds of its
// return, however long it was gone (by default gRPC waits up to two minutes).
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// Dial returns a connection to the service named peer at addresses: "host:port", or several with commas between, or
// "dns:///name:port" for all that the name stands for; replicas take turns; calls on it are made as service name. It connects when first used and for as long as needed.
func Dial(addresses, name, peer string, t TLS) (*grpc.ClientConn, error) {
	creds, err := t.transport(peer)
	if err != nil {
		return nil, err
	}
	turns := grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`)
	list := strings.Split(addresses, ",")
	if len(list) == 1 {
		return dial(addresses, name, grpc.WithTransportCredentials(creds), grpc.WithConnectParams(reconnect), turns)
	}
	static := manual.NewBuilderWithScheme("static")
	var state resolver.State
	for _, a := range list {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: strings.TrimSpace(a)})
	}
	static.InitialState(state)
	return dial("static:///"+peer, name, grpc.WithTransportCredentials(creds), grpc.WithConnectParams(reconnect), grpc.WithResolvers(static), turns)
}

func dial(target, name string, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	self := &accessv1.Principal{Subject: "service:" + name, Role: accessv1.Role_ROLE_SERVICE}
	opts := append([]grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			ctx, err := asCaller(ctx, self)
			if err != nil {
				return err
			}
			return clientError(invoke(ctx, method, req, reply, cc, opts...))
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			ctx, err := asCaller(ctx, self)
			if err != nil {
				return nil, err
			}
			return streamer(ctx, desc, cc, method, opts...)
		}),
	}, more...)
	return grpc.NewClient(target, append(opts, telemetry.DialOptions()...)...)
}

func clientError(err error) error {
	if err == nil {
		return nil
	}
	return fault.From(err)
}

// asCaller adds the calling service's own principal unless the call is made on behalf of somebody (As).
func asCaller(ctx context.Context, self *accessv1.Principal) (context.Context, error) {
	if onBehalf(ctx) {
		return ctx, nil
	}
	return As(ctx, self)
}

// InProcess serves srv on a listener in memory, from the first connection until the returned stop is called, which ends
// calls under way. connect makes a connection whose calls are made as service name; services may be registered until
// the first call.
func InProcess(srv *grpc.Server) (connect func(name string) (*grpc.ClientConn, error), stop func()) {
	lis := bufconn.Listen(1 << 20)
	var serve sync.Once
	var done sync.WaitGroup
	connect = func(name string) (*grpc.ClientConn, error) {
		return dial("passthrough:///in-process", name, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			serve.Do(func() {
				done.Go(func() { _ = srv.Serve(lis) }) // ends with stop
			})
			return lis.DialContext(ctx)
		}))
	}
	return connect, func() {
		serve.Do(func() {}) // nobody may start it any more
		srv.Stop()
		done.Wait()
	}
}
