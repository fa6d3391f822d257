package cli

import (
	"context"
	"encoding/json"
	"time"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

type resourceCmd struct {
	Set    resourceSetCmd    `cmd:"" help:"Make a shared resource, such as a relay or an account, or change it."`
	List   resourceListCmd   `cmd:"" help:"List shared resources: their health, what is taken, how many steps wait."`
	Reset  resourceResetCmd  `cmd:"" help:"Close a resource's circuit breaker and end its back-off, as after a repair."`
	Delete resourceDeleteCmd `cmd:"" help:"End a shared resource."`
}

type resourceSetCmd struct {
	serverFlags
	scopeFlags
	limitFlags
	Name            limitName `arg:"" help:"Its name, as definitions call it."`
	Kind            *string   `placeholder:"KIND" help:"What it is, such as smtp."`
	Credential      *string   `placeholder:"NAME" help:"The sealed credential for it; see filigree credential."`
	BreakerFailures *int32    `placeholder:"N" help:"How many failures in a row open its breaker. Default: 5."`
	BreakerOpen     *period   `placeholder:"TIME" help:"How long the breaker stays open before one step tries. Default: 30s."`
	Create          *string   `placeholder:"FUNCTION" help:"Function that makes it before it is first used. Default: none."`
	Check           *string   `placeholder:"FUNCTION" help:"Function that says whether it is well. Default: none."`
	Destroy         *string   `placeholder:"FUNCTION" help:"Function that ends it. Default: none."`
	CheckEvery      *period   `placeholder:"TIME" help:"How often it is checked. Default: 1m."`
	IdleTimeout     *period   `placeholder:"TIME" help:"How long it may be idle before it is destroyed. Default: for ever."`
	Config          *string   `placeholder:"JSON" help:"What its functions are told about it."`
	JSON            bool      `name:"json" help:"Print the resource as one JSON document."`
}

func (c *resourceSetCmd) Run(ctx context.Context, t *term) error {
	production, err := c.production()
	if err != nil {
		return err
	}
	if c.Config != nil && *c.Config != "" && !json.Valid([]byte(*c.Config)) {
		return refuse("USAGE", "--config is not JSON: %s", shorten(*c.Config, 60))
	}
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	list, _, err := client.Resources(ctx, production)
	if err != nil {
		return err
	}
	resource := &controlv1.Resource{Limit: &controlv1.Limit{Name: string(c.Name)}}
	for _, r := range list {
		if r.GetLimit().GetName() == string(c.Name) {
			resource = settings(r)
		}
	}
	c.onto(resource)
	resource, raw, err := client.PutResource(ctx, production, resource)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("%s: %s; %s", called(production, resource.GetLimit().GetName()), limitWords(resource.GetLimit()), health(resource))
	return nil
}

// settings is what people set of a resource, without what became of it.
func settings(r *controlv1.Resource) *controlv1.Resource {
	l := r.GetLimit()
	return &controlv1.Resource{
		Limit: &controlv1.Limit{Name: l.GetName(), Concurrency: l.GetConcurrency(), Rate: l.GetRate(), Burst: l.GetBurst()},
		Kind:  r.GetKind(), Credential: r.GetCredential(), BreakerFailures: r.GetBreakerFailures(), BreakerOpen: r.GetBreakerOpen(),
		Create: r.GetCreate(), Check: r.GetCheck(), Destroy: r.GetDestroy(), CheckEvery: r.GetCheckEvery(), IdleTimeout: r.GetIdleTimeout(),
		ConfigJson: r.GetConfigJson(),
	}
}

// onto sets what the flags name; what they do not name stays as it is.
func (c *resourceSetCmd) onto(r *controlv1.Resource) {
	c.limitFlags.onto(r.GetLimit())
	set(&r.Kind, c.Kind)
	set(&r.Credential, c.Credential)
	set(&r.BreakerFailures, c.BreakerFailures)
	set(&r.Create, c.Create)
	set(&r.Check, c.Check)
	set(&r.Destroy, c.Destroy)
	set(&r.ConfigJson, c.Config)
	for _, d := range []struct {
		field **durationpb.Duration
		flag  *period
	}{{&r.BreakerOpen, c.BreakerOpen}, {&r.CheckEvery, c.CheckEvery}, {&r.IdleTimeout, c.IdleTimeout}} {
		if d.flag != nil {
			*d.field = durationpb.New(time.Duration(*d.flag))
		}
	}
}

// health is a resource's state in words: "ready", "ready, breaker open until …".
func health(r *controlv1.Resource) string {
	text := r.GetState()
	if text == "" {
		text = "ready"
	}
	if b := r.GetBreaker(); b != "" && b != "closed" {
		text += ", breaker " + b
	}
	if r.GetBlockedUntil() != nil {
		text += ", nothing of it starts until " + at(r.GetBlockedUntil())
	}
	return text
}

// lastFailure is the last failure that counted for a resource, in one line.
func lastFailure(r *controlv1.Resource) string {
	return why(&distributionv1.Error{Code: r.GetLastCode(), Message: r.GetLastMessage()})
}

type resourceListCmd struct {
	serverFlags
	scopeFlags
	JSON bool `name:"json" help:"Print one JSON document: {\"resources\":[…]}."`
}

func (c *resourceListCmd) Run(ctx context.Context, t *term) error {
	production, err := c.production()
	if err != nil {
		return err
	}
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	list, raws, err := client.Resources(ctx, production)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.list("resources", raws)
	}
	if len(list) == 0 {
		t.say("no shared resource is set for %s%s", whose(production), others(production, "resource list"))
		return nil
	}
	head := append([]string{"RESOURCE", "KIND", "STATE", "BREAKER"}, limitHead...)
	b := newTable(append(head, "BLOCKED UNTIL", "LAST FAILURE")...)
	b.state = 2
	b.right = map[int]bool{4: true, 5: true, 6: true, 7: true, 8: true}
	for _, r := range list {
		row := append([]string{called(production, r.GetLimit().GetName()), r.GetKind(), r.GetState(), r.GetBreaker()}, limitCells(r.GetLimit())...)
		b.add(append(row, happened(r.GetBlockedUntil()), lastFailure(r))...)
	}
	b.write(t, "")
	return nil
}

type resourceResetCmd struct {
	serverFlags
	scopeFlags
	Name string `arg:"" help:"The resource."`
	JSON bool   `name:"json" help:"Print the resource as one JSON document."`
}

func (c *resourceResetCmd) Run(ctx context.Context, t *term) error {
	production, err := c.production()
	if err != nil {
		return err
	}
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	r, raw, err := client.ResetResource(ctx, production, c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.document(raw)
	}
	t.print("%s: %s; steps that wait for it are tried again", called(production, r.GetLimit().GetName()), health(r))
	return nil
}

type resourceDeleteCmd struct {
	serverFlags
	scopeFlags
	Name string `arg:"" help:"The resource."`
}

func (c *resourceDeleteCmd) Run(ctx context.Context, t *term) error {
	production, err := c.production()
	if err != nil {
		return err
	}
	client, err := c.client(oncall)
	if err != nil {
		return err
	}
	err = client.DeleteResource(ctx, production, c.Name)
	if err != nil {
		return err
	}
	t.say("there is no shared resource %s any more", called(production, c.Name))
	return nil
}
