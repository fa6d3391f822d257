package orchestrator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/webhook"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

const (
	// secretPrefix starts the names of credentials that are hooks' secrets.
	secretPrefix = "hook-"
	// longestHook leaves room for it: credentials have names of up to 63 letters.
	longestHook = 63 - len(secretPrefix)
)

// PutHook implements schedulev1.ScheduleServiceServer. The secret is kept sealed by the directory and shown here, once.
func (s *Server) PutHook(ctx context.Context, req *schedulev1.PutHookRequest) (*schedulev1.PutHookResponse, error) {
	production, name := req.GetProduction(), req.GetName()
	err := sameName("hook", name, req.GetHook().GetName(), req.GetHook() == nil)
	if err != nil {
		return nil, err
	}
	if len(name) > longestHook {
		return nil, fault.New(fault.Invalid, "INVALID", "a hook's name has at most %d letters, and %q has %d", longestHook, name, len(name))
	}
	start, err := template(production, req.GetHook().GetStart())
	if err != nil {
		return nil, err
	}
	err = s.checkHook(ctx, production, start)
	if err != nil {
		return nil, err
	}
	secrets, found, err := s.hookSecrets(ctx, production, name)
	if err != nil && !(req.GetRotate() && fault.From(err).Kind == fault.Internal) { // one that cannot be read can be replaced
		return nil, err
	}
	raw, err := proto.Marshal(start)
	if err != nil {
		return nil, err
	}
	fresh, err := s.store.PutHook(ctx, store.Hook{Production: production, Name: name, Start: raw, By: who(ctx)})
	if err != nil {
		return nil, notKept("webhooks", err)
	}
	resp := &schedulev1.PutHookResponse{}
	if fresh || !found || req.GetRotate() {
		resp.Secret, err = s.newHookSecret(ctx, production, name, secrets, fresh || !found)
		if err != nil {
			return nil, err
		}
	}
	kept, err := s.store.Hook(ctx, production, name)
	if err != nil {
		return nil, unavailable(err)
	}
	resp.Hook, err = hookView(kept)
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// newHookSecret keeps and returns another secret; unless the hook is new, those there were work on for a day.
func (s *Server) newHookSecret(ctx context.Context, production, name string, old webhook.Secrets, first bool) (string, error) {
	now, err := s.store.Now(ctx)
	if err != nil {
		return "", unavailable(err)
	}
	secrets := webhook.New()
	if !first {
		secrets = old.Rotate(now)
	}
	_, err = s.deps.Credentials.PutCredential(ctx, &credentialv1.PutCredentialRequest{
		Production: production, Name: secretPrefix + name, Secret: secrets.String(),
	})
	return secrets.Current(), err
}

// hookSecrets are those of a hook, if it has any.
func (s *Server) hookSecrets(ctx context.Context, production, name string) (secrets webhook.Secrets, found bool, err error) {
	resp, err := s.deps.Credentials.OpenCredential(ctx, &credentialv1.OpenCredentialRequest{Production: production, Name: secretPrefix + name})
	if err != nil {
		switch fault.From(err).Kind {
		case fault.NotFound, fault.Invalid: // there is none, or can be none
			return webhook.Secrets{}, false, nil
		}
		return webhook.Secrets{}, false, err
	}
	secrets, err = webhook.Parse(resp.GetSecret())
	if err != nil {
		return webhook.Secrets{}, false, fault.New(fault.Internal, "HOOK_SECRET_UNREADABLE", "the credential %q is no webhook's secret; rotate the hook's secret, or put one that is: whsec_ and base64", secretPrefix+name).Because(err)
	}
	return secrets, true, nil
}

// ListHooks implements schedulev1.ScheduleServiceServer.
func (s *Server) ListHooks(ctx context.Context, req *schedulev1.ListHooksRequest) (*schedulev1.ListHooksResponse, error) {
	err := s.production(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	all, err := s.store.Hooks(ctx, req.GetProduction())
	if err != nil {
		return nil, unavailable(err)
	}
	resp := &schedulev1.ListHooksResponse{}
	for _, h := range all {
		view, err := hookView(h)
		if err != nil {
			return nil, err
		}
		resp.Hooks = append(resp.Hooks, view)
	}
	return resp, nil
}

// DeleteHook implements schedulev1.ScheduleServiceServer. Deleting what is not there is no error.
func (s *Server) DeleteHook(ctx context.Context, req *schedulev1.DeleteHookRequest) (*schedulev1.DeleteHookResponse, error) {
	err := s.production(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	if len(req.GetName()) > longestHook {
		return &schedulev1.DeleteHookResponse{}, nil // there is none
	}
	// The secret first: a hook without one starts nothing, a secret without its hook would be left behind for good.
	_, err = s.deps.Credentials.DeleteCredential(ctx, &credentialv1.DeleteCredentialRequest{Production: req.GetProduction(), Name: secretPrefix + req.GetName()})
	if err != nil {
		return nil, err
	}
	_, err = s.store.DeleteHook(ctx, req.GetProduction(), req.GetName())
	if err != nil {
		return nil, unavailable(err)
	}
	return &schedulev1.DeleteHookResponse{}, nil
}

// FireHook implements schedulev1.ScheduleServiceServer. Who cannot sign learns nothing: a hook that does not exist, one of
// another production and a wrong signature have the same answer, after the same work.
func (s *Server) FireHook(ctx context.Context, req *schedulev1.FireHookRequest) (*schedulev1.FireHookResponse, error) {
	production, name := req.GetProduction(), req.GetName()
	unknown := fault.New(fault.NotFound, "HOOK_UNKNOWN", "there is no webhook at this address for which the signature is right: check the address, the secret, and that exactly the bytes that are sent are signed, as id.timestamp.body")
	now, err := s.store.Now(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	secrets, found, err := s.hookSecrets(ctx, production, name)
	if err != nil && fault.From(err).Kind == fault.Internal {
		return nil, fault.New(fault.Internal, "INTERNAL", "something went wrong on our side; it was logged").Because(err)
	}
	if err != nil {
		return nil, err
	}
	if !found {
		secrets = webhook.New()
	}
	if !secrets.Signed(req.GetId(), req.GetTimestamp(), req.GetBody(), req.GetSignature(), now) {
		return nil, unknown
	}
	hook, err := s.store.Hook(ctx, production, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknown
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if !webhook.Fresh(req.GetTimestamp(), now) {
		return nil, fault.New(fault.Invalid, "WEBHOOK_TOO_OLD", "webhook-timestamp is %q, more than %s from now (%d): sign each attempt anew, and set the sender's clock", req.GetTimestamp(), webhook.Tolerance, now.Unix())
	}
	d, err := s.fire(ctx, hook, req.GetId(), req.GetBody())
	if err != nil {
		return nil, err
	}
	err = s.store.HookFired(ctx, production, name, d.GetId())
	if err != nil {
		s.deps.Log.WarnContext(ctx, "what a webhook started last is not noted", "production", production, "hook", name, "err", err)
	}
	return &schedulev1.FireHookResponse{Distribution: d}, nil
}

// fire starts what a call asks for, or finds what the same call started before, even if the hook was changed since.
func (s *Server) fire(ctx context.Context, h store.Hook, id string, body []byte) (*distributionv1.Distribution, error) {
	key := "hook/" + h.Name + "/" + id
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:16])
	made, of, err := s.store.Made(ctx, h.Production, key)
	if err != nil {
		return nil, unavailable(err)
	}
	if made != "" && of == hash {
		return s.view(ctx, h.Production, made)
	}
	start := &distributionv1.CreateDistributionRequest{}
	err = proto.Unmarshal(h.Start, start)
	if err != nil {
		return nil, fmt.Errorf("read what hook %s starts: %w", h.Name, err)
	}
	start.Production = h.Production
	err = fill(start, body)
	if err != nil {
		return nil, err
	}
	err = rpc.Validate(start)
	if err != nil {
		return nil, badStart(err)
	}
	d, err := s.create(starter(ctx, h.Production, "hook/"+h.Name), start, key, hash)
	if err != nil && fault.From(err).Reason == "IDEMPOTENCY_CONFLICT" {
		return nil, fault.New(fault.Conflict, "WEBHOOK_ID_USED", "the webhook-id %q was used for a call with another body; take a new id for a new call", id)
	}
	return d, err
}

// settable are the fields of a request that a call may set.
var settable = []string{"files", "message", "recipients", "title"}

// fill puts what a call's body says into start: a title, files and recipients in place of those, of a message what it has.
func fill(start *distributionv1.CreateDistributionRequest, body []byte) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	if body[0] != '{' {
		return badBody("it is not a JSON object")
	}
	var given map[string]json.RawMessage
	err := json.Unmarshal(body, &given)
	if err != nil {
		return badBody("it is not JSON: " + err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(settable, name) {
			return badBody(fmt.Sprintf("a call may set %s, and not %q", strings.Join(settable, ", "), name))
		}
		if string(given[name]) == "null" {
			delete(given, name)
		}
	}
	said := &distributionv1.CreateDistributionRequest{}
	err = protojson.Unmarshal(body, said)
	if err != nil {
		// The library varies its spaces from build to build, lest anybody rely on its words.
		return badBody(strings.TrimSpace(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto:")))
	}
	for name := range given {
		switch name {
		case "title":
			start.Title = said.GetTitle()
		case "files":
			start.Files = said.GetFiles()
		case "recipients":
			start.Recipients, start.Lists, start.People = said.GetRecipients(), nil, nil
		case "message":
			if start.GetMessage() == nil {
				start.Message = &distributionv1.Message{}
			}
			proto.Merge(start.GetMessage(), said.GetMessage())
		}
	}
	return nil
}

func badBody(why string) error {
	return fault.New(fault.Invalid, "WEBHOOK_BODY_INVALID", "the body is not what starts a distribution: %s", why)
}

// checkHook refuses what no call could start. What calls bring, files and recipients, is not known yet.
func (s *Server) checkHook(ctx context.Context, production string, start *distributionv1.CreateDistributionRequest) error {
	trial := proto.CloneOf(start)
	trial.Production = production
	if len(start.GetFiles()) == 0 {
		trial.Files = []*distributionv1.FileRef{{Sha256: strings.Repeat("0", sha256.Size*2)}}
	}
	if !named(start) {
		trial.Recipients = []*distributionv1.RecipientInput{{Name: "x", Email: "x@example.com"}}
	}
	err := rpc.Validate(trial)
	if err != nil {
		return badStart(err)
	}
	if len(start.GetFiles()) > 0 && named(start) {
		_, err = s.planned(ctx, trial)
		return err
	}
	err = s.production(ctx, production)
	if err != nil {
		return err
	}
	_, err = recipients(trial, len(trial.GetRecipients()))
	if err != nil {
		return err
	}
	_, err = s.definitions.choose(ctx, production, start.GetDefinition(), int(start.GetDefinitionVersion()), "")
	if err != nil {
		return err
	}
	err = newLook(trial).spec().Style.Validate()
	if err != nil {
		return badMark(err)
	}
	if len(start.GetFiles()) > 0 {
		_, _, err = s.files(ctx, trial)
	}
	return err
}

func hookView(h store.Hook) (*schedulev1.Hook, error) {
	start := &distributionv1.CreateDistributionRequest{}
	err := proto.Unmarshal(h.Start, start)
	if err != nil {
		return nil, fmt.Errorf("read what hook %s starts: %w", h.Name, err)
	}
	return &schedulev1.Hook{
		Name: h.Name, Start: start, LastAt: stamp(h.Last), LastDistribution: h.LastDistribution,
		Path: "/v1/hooks/" + h.Production + "/" + h.Name,
	}, nil
}
