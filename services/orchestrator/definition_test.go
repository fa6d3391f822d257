package orchestrator_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	"github.com/filigreehq/filigree/services/orchestrator"
)

// copies is a definition that only makes copies; its version says how often a step is tried.
func copies(version int) string {
	return fmt.Sprintf(`name: copies
version: %d
steps:
  - name: watermark
    scope: item
    function: watermark.Stamp
    with: {production: production.id, item: item.id, file: '{"sha256": file.sha256, "name": file.name}', mark: '{"template": distribution.mark}', fields: item.fields}
    retry: {attempts: %d}
`, version, version)
}

// definitions is another orchestrator on the same store: what is said to it holds for the bundle's.
func (b *testBundle) definitions() definitionv1.DefinitionServiceClient {
	b.t.Helper()
	log := slog.New(slog.NewTextHandler(b.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	srv := rpc.NewServer(log)
	directoryv1.RegisterDirectoryServiceServer(srv, directory{})
	connect, stopDirectory := rpc.InProcess(srv)
	b.t.Cleanup(stopDirectory)
	conn := b.connect(connect)
	server, err := orchestrator.New(b.t.Context(), orchestrator.Config{Shards: 2, Sweep: time.Second, Tick: 20 * time.Millisecond},
		orchestrator.Deps{Redis: b.redis.Client, Directory: directoryv1.NewDirectoryServiceClient(conn),
			Files: filev1.NewFileServiceClient(conn), Log: log})
	if err != nil {
		b.t.Fatal(err)
	}
	api := rpc.NewServer(log)
	server.Register(api)
	connectAPI, stopAPI := rpc.InProcess(api)
	b.t.Cleanup(stopAPI)
	return definitionv1.NewDefinitionServiceClient(b.connect(connectAPI))
}

func (b *testBundle) put(c definitionv1.DefinitionServiceClient, sources ...string) {
	b.t.Helper()
	for _, source := range sources {
		_, err := c.PutDefinition(b.t.Context(), &definitionv1.PutDefinitionRequest{Source: source})
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *testBundle) rollOut(c definitionv1.DefinitionServiceClient, production string, shares ...*definitionv1.Share) {
	b.t.Helper()
	_, err := c.SetRollout(b.t.Context(), &definitionv1.SetRolloutRequest{Production: production, Name: "copies", Shares: shares})
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestARolloutSplitsAndWhatRunsKeepsItsVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.definitions()
	b.put(c, copies(1), copies(2))
	b.rollOut(c, "default", &definitionv1.Share{Version: 1, Percent: 80}, &definitionv1.Share{Version: 2, Percent: 20})
	took := map[string]int32{} // by distribution
	count := map[int32]int{}
	for range 100 {
		req := request(1, 1)
		req.Definition = "copies"
		resp, err := b.distributions.CreateDistribution(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		d := resp.GetDistribution()
		if d.GetDefinition().GetName() != "copies" {
			t.Fatalf("it runs %v", d.GetDefinition())
		}
		took[d.GetId()] = d.GetDefinition().GetVersion()
		count[d.GetDefinition().GetVersion()]++
	}
	t.Logf("version 2 took %d of 100", count[2])
	if count[2] < 5 || count[2] > 40 || count[1]+count[2] != 100 { // 20 ± 4 would be one standard deviation
		t.Errorf("got %v, want about 80 and 20", count)
	}
	b.rollOut(c, "default", &definitionv1.Share{Version: 2, Percent: 100})
	for id, version := range took {
		d := b.until(id, ended)
		if d.GetState() != "completed" || d.GetDefinition().GetVersion() != version {
			t.Errorf("%s was begun with version %d and ended %s with %d", id, version, d.GetState(), d.GetDefinition().GetVersion())
		}
	}
	for range 5 {
		req := request(1, 1)
		req.Definition = "copies"
		if v := b.get(b.create(req)).GetDefinition().GetVersion(); v != 2 {
			t.Errorf("a new one takes version %d, want 2", v)
		}
	}
}

func TestWhichDefinitionADistributionTakes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.definitions()
	got, err := c.GetDefinition(t.Context(), &definitionv1.GetDefinitionRequest{Name: "send-documents"})
	if err != nil {
		t.Fatal(err)
	}
	builtin := got.GetDefinition()
	next := builtin.GetVersion() + 1
	b.put(c, copies(1), copies(3), strings.Replace(builtin.GetSource(), fmt.Sprint("version: ", builtin.GetVersion()), fmt.Sprint("version: ", next), 1))
	b.rollOut(c, "spread", &definitionv1.Share{Version: 1, Percent: 100}, &definitionv1.Share{Version: 3, Percent: 0})
	_, err = c.SetRollout(t.Context(), &definitionv1.SetRolloutRequest{Production: "spread", Name: "send-documents",
		Shares: []*definitionv1.Share{{Version: next, Percent: 100}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, production, definition string
		version, want                int32
	}{
		{"nothing asked for", "default", "", 0, builtin.GetVersion()},
		{"the built-in by its name: a newer text waits for a rollout", "default", "send-documents", 0, builtin.GetVersion()},
		{"the built-in with a rollout", "spread", "", 0, next},
		{"the built-in with a version", "default", "", next, next},
		{"the newest", "default", "copies", 0, 3},
		{"a rollout", "spread", "copies", 0, 1},
		{"a version in spite of a rollout", "spread", "copies", 3, 3},
	} {
		req := request(1, 1)
		req.Production, req.Definition, req.DefinitionVersion = tc.production, tc.definition, tc.version
		resp, err := b.distributions.CreateDistribution(t.Context(), req)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if v := resp.GetDistribution().GetDefinition().GetVersion(); v != tc.want {
			t.Errorf("%s: got version %d, want %d", tc.name, v, tc.want)
		}
	}
	rollouts, err := c.ListRollouts(t.Context(), &definitionv1.ListRolloutsRequest{Production: "spread"})
	if err != nil || len(rollouts.GetRollouts()) != 2 || rollouts.GetRollouts()[0].GetName() != "copies" || len(rollouts.GetRollouts()[0].GetShares()) != 2 {
		t.Errorf("got %v, %v", rollouts, err)
	}
	list, err := c.ListDefinitions(t.Context(), &definitionv1.ListDefinitionsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range list.GetDefinitions() {
		names = append(names, fmt.Sprint(d.GetName(), "@", d.GetVersion(), " ", len(d.GetFunctions()), " ", d.GetSource()))
	}
	want := []string{"copies@3 1 ", "copies@1 1 ", fmt.Sprint("send-documents@", next, " 6 "), fmt.Sprint("send-documents@", builtin.GetVersion(), " 6 ")}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("definitions differ (-want +got):\n%s", diff)
	}
}

func TestDefinitionsThatAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.definitions()
	b.put(c, copies(1), copies(1)) // the same again is harmless
	for name, tc := range map[string]struct {
		err            error
		reason, phrase string
	}{
		"a bad one": {put(c, "name: a\nversion: 1\nsteps:\n  - {name: xx, scope: itm, function: f.F, needs: [yy]}\n"),
			"DEFINITION_INVALID", "line 4, step \"xx\", scope: \"itm\" is no scope; a step is about the distribution, a file, a recipient or an item\nline 4, step \"xx\", needs: there is no step \"yy\""},
		"another text for a version": {put(c, copies(1)+"    timeout: 1m\n"), "DEFINITION_EXISTS", "store yours as version 2"},
		"an unknown one":             {get(c, "copys", 0), "DEFINITION_UNKNOWN", `there is no definition "copys"`},
		"an unknown version":         {get(c, "copies", 2), "DEFINITION_UNKNOWN", `there is no version 2 of definition "copies"`},
		"a distribution of an unknown one": {b.createWith("copys", 0), "DEFINITION_UNKNOWN",
			`there is no definition "copys"`},
		"a distribution of an unknown version": {b.createWith("", 77), "DEFINITION_UNKNOWN", `there is no version 77 of definition "send-documents"`},
		"shares of less than all":              {share(c, "copies", 1, 90), "ROLLOUT_INVALID", "the shares add up to 90 percent, not 100"},
		"shares of an unknown version":         {share(c, "copies", 2, 100), "DEFINITION_UNKNOWN", `there is no version 2 of definition "copies"`},
		"shares of an unknown definition":      {share(c, "copys", 2, 100), "DEFINITION_UNKNOWN", `there is no definition "copys"`},
	} {
		got := fault.From(tc.err)
		if tc.err == nil || got.Reason != tc.reason || !strings.Contains(got.Message, tc.phrase) {
			t.Errorf("%s: got %v, want %s with %q", name, tc.err, tc.reason, tc.phrase)
		}
	}
	list, err := c.ListRollouts(b.t.Context(), &definitionv1.ListRolloutsRequest{Production: "default"})
	if err != nil || len(list.GetRollouts()) != 0 {
		t.Errorf("got %v, %v; what was refused must not hold", list, err)
	}
}

func put(c definitionv1.DefinitionServiceClient, source string) error {
	_, err := c.PutDefinition(context.Background(), &definitionv1.PutDefinitionRequest{Source: source})
	return err
}

func get(c definitionv1.DefinitionServiceClient, name string, version int32) error {
	_, err := c.GetDefinition(context.Background(), &definitionv1.GetDefinitionRequest{Name: name, Version: version})
	return err
}

func share(c definitionv1.DefinitionServiceClient, name string, version, percent int32) error {
	_, err := c.SetRollout(context.Background(), &definitionv1.SetRolloutRequest{Production: "default", Name: name,
		Shares: []*definitionv1.Share{{Version: version, Percent: percent}}})
	return err
}

func (b *testBundle) createWith(definition string, version int32) error {
	req := request(1, 1)
	req.Definition, req.DefinitionVersion = definition, version
	_, err := b.distributions.CreateDistribution(b.t.Context(), req)
	return err
}

// Somebody's own text under the version that a release brings later does not keep the release from starting.
func TestAnOwnTextUnderTheBuiltInVersionWins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.definitions()
	got, err := c.GetDefinition(t.Context(), &definitionv1.GetDefinitionRequest{Name: "send-documents"})
	if err != nil {
		t.Fatal(err)
	}
	version := fmt.Sprint(got.GetDefinition().GetVersion())
	own := strings.Replace(strings.Replace(copies(1), "name: copies", "name: send-documents", 1), "version: 1", "version: "+version, 1)
	b.stop()
	for _, shard := range shards {
		err = b.redis.Client.HSet(t.Context(), shard+"def:send-documents", version, own).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	b.start()
	d := b.until(b.create(request(1, 1)), ended)
	if len(d.GetSteps()) != 1 || d.GetState() != "completed" {
		t.Errorf("got %v, want the one step of their own", d)
	}
}

func TestConditionsOverWhatStepsGave(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(b.definitions(), `name: gated
version: 1
steps:
  - name: watermark
    scope: item
    function: watermark.Stamp
    with: {production: production.id, item: item.id, file: '{"sha256": file.sha256, "name": file.name}', mark: '{"template": distribution.mark}', fields: item.fields}
  - name: thumbnail
    scope: item
    function: thumbnail.Render
    needs: [watermark]
    when: steps.watermark.output.artifact.key.endsWith(".2.1")
    with: {production: production.id, item: item.id, file: '{"sha256": file.sha256, "name": file.name}', mark: '{"template": distribution.mark}', fields: item.fields}
  - name: push
    scope: recipient
    function: push.Send
    needs: [thumbnail]
    when: items.exists(i, i.steps.thumbnail.state == "done")
    with: {production: production.id, delivery: recipient.mail, email: recipient.email, title: production.name, text: distribution.title, distribution: distribution.id}
`)
	req := request(2, 2)
	req.Definition = "gated"
	id := b.create(req)
	d := b.until(id, ended)
	if d.GetState() != "completed" {
		t.Errorf("it ended %s", d.GetState())
	}
	for _, s := range d.GetSteps() {
		want := map[string][2]int32{"watermark": {4, 0}, "thumbnail": {1, 3}, "push": {1, 1}}[s.GetName()]
		if s.GetDone() != want[0] || s.GetSkipped() != want[1] {
			t.Errorf("%s: %d done and %d skipped, want %d and %d", s.GetName(), s.GetDone(), s.GetSkipped(), want[0], want[1])
		}
	}
	for format, want := range map[string][]string{
		"":        {"flowchart TD", "1 done, 3 skipped", "{{", "==>|all items of the recipient|"},
		"mermaid": {"title: gated, version 1"},
		"dot":     {"digraph \"gated\"", `thumbnail\nthumbnail.Render\nwhen steps.watermark.output.artifact.key.endsWith(\".2.1\")\n1 done, 3 skipped`},
	} {
		resp, err := b.distributions.GetDistributionGraph(t.Context(), &distributionv1.GetDistributionGraphRequest{Production: "default", Distribution: id, Format: format})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(resp.GetText(), w) {
				t.Errorf("%q: it lacks %q:\n%s", format, w, resp.GetText())
			}
		}
	}
	_, err := b.distributions.GetDistributionGraph(t.Context(), &distributionv1.GetDistributionGraphRequest{Production: "another", Distribution: id})
	if fault.From(err).Reason != "DISTRIBUTION_UNKNOWN" {
		t.Errorf("got %v of another production's, want DISTRIBUTION_UNKNOWN", err)
	}
	graph, err := b.definitions().GetDefinitionGraph(t.Context(), &definitionv1.GetDefinitionGraphRequest{Name: "gated"})
	if err != nil || strings.Contains(graph.GetText(), "done,") || !strings.Contains(graph.GetText(), "for each recipient") {
		t.Errorf("got %v, %v, want the definition alone", graph, err)
	}
}

// A definition need not do anything with each item.
func TestItemsWithoutStepsOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const email = `
    with: {production: production.id, production_name: production.name, delivery: recipient.mail, to: '{"name": recipient.name, "email": recipient.email}', subject: distribution.subject, text: "'See you'"}
`
	b.put(b.definitions(), `name: told
version: 1
steps:
  - name: email
    scope: recipient
    function: email.Send
    delivers: email`+email, `name: pushed
version: 1
steps:
  - name: push
    scope: recipient
    function: push.Send
    with: {production: production.id, delivery: recipient.mail, email: recipient.email, title: production.name, text: distribution.title, distribution: distribution.id}
`, `name: reported
version: 1
steps:
  - name: push
    scope: recipient
    function: push.Send
    with: {production: production.id, delivery: recipient.mail, email: recipient.email, title: production.name, text: distribution.title, distribution: distribution.id}
  - name: report
    scope: distribution
    function: email.Send
    needs: [push]
    retry: {attempts: 1}
    with: {production: production.name}
`)
	for definition, want := range map[string]string{"told": "completed", "pushed": "completed", "reported": "completed_with_failures"} {
		req := request(2, 3)
		req.Definition = definition
		id := b.create(req)
		d := b.until(id, ended)
		if d.GetState() != want || d.GetItems().GetDone() != 6 {
			t.Errorf("%s ended %s with items %v, want %s with 6 done", definition, d.GetState(), d.GetItems(), want)
		}
		for _, item := range b.items(id, "") {
			if item.GetState() != "done" {
				t.Errorf("%s: item %s is %s", definition, item.GetId(), item.GetState())
			}
		}
		for _, r := range b.recipients(id) {
			if r.GetItems().GetDone() != 2 {
				t.Errorf("%s: %s has %v", definition, r.GetId(), r.GetItems())
			}
		}
	}
	b.send = func(context.Context, *emailv1.SendRequest) (*emailv1.SendResponse, error) {
		return nil, fault.New(fault.Invalid, "MAIL_REFUSED", "no such mailbox")
	}
	req := request(2, 3)
	req.Definition = "told"
	if d := b.until(b.create(req), ended); d.GetState() != "failed" || d.GetItems().GetFailed() != 6 {
		t.Errorf("it ended %s with items %v although no mail went out", d.GetState(), d.GetItems())
	}
}
