package rpc

import (
	"context"
	"slices"

	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// principalKey is the metadata key that carries the verified caller between processes.
const principalKey = "filigree-principal-bin"

type principalCtx struct{}

// PrincipalFrom returns the verified caller of the call being served, or nil outside of one.
func PrincipalFrom(ctx context.Context) *accessv1.Principal {
	p, _ := ctx.Value(principalCtx{}).(*accessv1.Principal)
	return p
}

// Serving returns a context in which p is the verified caller, for a service that calls a method of its own. Calls to
// others are made as the service all the same.
func Serving(ctx context.Context, p *accessv1.Principal) context.Context {
	return context.WithValue(ctx, principalCtx{}, p)
}

// As returns a context whose outgoing calls are made on behalf of p instead of as the calling service.
func As(ctx context.Context, p *accessv1.Principal) (context.Context, error) {
	raw, err := proto.Marshal(p)
	if err != nil {
		return nil, err
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy()
	if md == nil {
		md = metadata.MD{}
	}
	md.Set(principalKey, string(raw))
	return metadata.NewOutgoingContext(ctx, md), nil
}

// MayActIn reports whether the caller of the call being served may act in production.
func MayActIn(ctx context.Context, production string) bool {
	return Admits(PrincipalFrom(ctx), production)
}

// Admits reports whether p may act in production.
func Admits(p *accessv1.Principal, production string) bool {
	return p.GetRole() == accessv1.Role_ROLE_SERVICE ||
		slices.Contains(p.GetProductions(), "*") || slices.Contains(p.GetProductions(), production)
}

func incomingPrincipal(ctx context.Context) *accessv1.Principal {
	md, _ := metadata.FromIncomingContext(ctx)
	raw := md.Get(principalKey)
	if len(raw) != 1 {
		return nil
	}
	p := &accessv1.Principal{}
	err := proto.Unmarshal([]byte(raw[0]), p)
	if err != nil {
		return nil
	}
	return p
}

func onBehalf(ctx context.Context) bool {
	md, _ := metadata.FromOutgoingContext(ctx)
	return len(md.Get(principalKey)) > 0
}
