package orchestrator_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	thumbnailv1 "github.com/filigreehq/filigree/proto/gen/filigree/thumbnail/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

// drawn collects what functions were asked for that draw a distribution's mark.
type drawn struct {
	prepare atomic.Pointer[watermarkv1.PrepareRequest]
	stamp   atomic.Pointer[watermarkv1.StampRequest]
	render  atomic.Pointer[thumbnailv1.RenderRequest]
}

func (b *testBundle) watchMarks() *drawn {
	var d drawn
	prepare, stamp := b.prepare, b.stamp
	b.prepare = func(ctx context.Context, r *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
		d.prepare.Store(r)
		return prepare(ctx, r)
	}
	b.stamp = func(ctx context.Context, r *watermarkv1.StampRequest) (*watermarkv1.StampResponse, error) {
		d.stamp.Store(r)
		return stamp(ctx, r)
	}
	b.render = func(r *thumbnailv1.RenderRequest) { d.render.Store(r) }
	return &d
}

// are compares with what all three were asked for.
func (d *drawn) are(t *testing.T, wantMark *watermarkv1.Mark, wantOpen bool) {
	t.Helper()
	want := &watermarkv1.File{Sha256: fmt.Sprintf("%064x", 1), Name: "0000.pdf", OpenRestricted: wantOpen}
	for name, r := range map[string]interface {
		GetMark() *watermarkv1.Mark
		GetFile() *watermarkv1.File
	}{"prepare": d.prepare.Load(), "watermark": d.stamp.Load(), "thumbnail": d.render.Load()} {
		diff := cmp.Diff(wantMark, r.GetMark(), protocmp.Transform()) + cmp.Diff(want, r.GetFile(), protocmp.Transform())
		if diff != "" {
			t.Errorf("%s was asked for another mark or file (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheMarksStyleReachesWhatDrawsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := b.watchMarks()
	req := request(1, 2)
	req.Mark = "{name}"
	req.MarkStyle = &distributionv1.MarkStyle{Layout: "tiled", Color: "#336699", Opacity: 35, Size: 24, Pages: "1-3,7"}
	id := b.create(req)
	seen := b.until(id, ended)
	if diff := cmp.Diff(req.GetMarkStyle(), seen.GetMarkStyle(), protocmp.Transform()); diff != "" || seen.GetMark() != "{name}" {
		t.Errorf("shown with the mark %q, its style (-want +got):\n%s", seen.GetMark(), diff)
	}
	if spec := b.spec(id); !strings.Contains(spec, `"mark":""`) {
		t.Errorf("stored as %s, of which yesterday's version would make a plain mark", spec)
	}
	d.are(t, &watermarkv1.Mark{Template: "{name}", Layout: "tiled", Color: "#336699", Opacity: 35, Size: 24, Pages: "1-3,7"}, false)

	seen = b.until(b.create(request(1, 1)), ended) // as yesterday
	if seen.GetMark() != "{name}\n{email}" || seen.MarkStyle != nil {
		t.Errorf("shown with %q and %v", seen.GetMark(), seen.GetMarkStyle())
	}
	d.are(t, &watermarkv1.Mark{Template: "{name}\n{email}"}, false)
}

func TestRestrictedFilesAreTakenWhereTheProductionDoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := b.watchMarks()
	req := request(1, 1)
	req.Production = "open"
	made, err := b.distributions.CreateDistribution(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	b.untilIn("open", made.GetDistribution().GetId(), ended)
	d.are(t, &watermarkv1.Mark{Template: "{name}\n{email}"}, true)
}

func TestAMarkThatCannotBeDrawnIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const tofu = "\ue123" // private use: in nobody's name, and in no font
	for name, tc := range map[string]struct {
		change func(*distributionv1.CreateDistributionRequest)
		code   string
		words  []string
	}{
		"no such layout": {func(r *distributionv1.CreateDistributionRequest) {
			r.MarkStyle = &distributionv1.MarkStyle{Layout: "spiral"}
		},
			"MARK_STYLE_BAD", []string{`"spiral"`, "diagonal"}},
		"a colour's name": {func(r *distributionv1.CreateDistributionRequest) {
			r.MarkStyle = &distributionv1.MarkStyle{Color: "red"}
		},
			"MARK_STYLE_BAD", []string{`"red"`, "#rrggbb"}},
		"more than all opacity": {func(r *distributionv1.CreateDistributionRequest) {
			r.MarkStyle = &distributionv1.MarkStyle{Opacity: 101}
		}, "MARK_STYLE_BAD", []string{"101"}},
		"less than none": {func(r *distributionv1.CreateDistributionRequest) { r.MarkStyle = &distributionv1.MarkStyle{Size: -3} },
			"MARK_STYLE_BAD", []string{"-3"}},
		"pages backwards": {func(r *distributionv1.CreateDistributionRequest) {
			r.MarkStyle = &distributionv1.MarkStyle{Pages: "7-3"}
		},
			"MARK_STYLE_BAD", []string{`"7-3"`}},
		"a template with a hole": {func(r *distributionv1.CreateDistributionRequest) { r.Mark = "{name" }, "MARK_TEMPLATE_BROKEN", nil},
		"a field some lack": {func(r *distributionv1.CreateDistributionRequest) {
			r.Mark, r.Recipients[0].Fields = "{shoe}", map[string]string{"shoe": "44"}
		}, "MARK_FIELD_UNKNOWN", []string{"{shoe}"}},
		"two names": {func(r *distributionv1.CreateDistributionRequest) {
			r.Recipients[1].Name, r.Recipients[2].Name = "Ada"+tofu, "Bea\ue124"
		}, "MARK_GLYPH_MISSING", []string{"recipient 2, Ada", "U+E123", "recipient 3, Bea", "U+E124", "nothing was sent"}},
		"a field of one": {func(r *distributionv1.CreateDistributionRequest) {
			r.Mark = "{name} {team}"
			for i, rec := range r.Recipients {
				rec.Fields = map[string]string{"team": "ab" + strings.Repeat(tofu, i/2)}
			}
		}, "MARK_GLYPH_MISSING", []string{"recipient 3, Person 3", "U+E123"}},
		"nothing to say of one": {func(r *distributionv1.CreateDistributionRequest) {
			r.Mark = "{company}"
			r.Recipients[0].Fields, r.Recipients[2].Fields = map[string]string{"company": "A"}, map[string]string{"company": "B"}
		}, "MARK_EMPTY", []string{"recipient 2, Person 2"}},
		"the title": {func(r *distributionv1.CreateDistributionRequest) { r.Mark, r.Title = "{name} {title}", "Reel"+tofu },
			"MARK_GLYPH_MISSING", []string{"U+E123"}},
		"the second file's name": {func(r *distributionv1.CreateDistributionRequest) { r.Mark, r.Files[1].Name = "{name} {file}", tofu },
			"MARK_GLYPH_MISSING", []string{"U+E123"}},
		"a name too long beside the longer file's": {func(r *distributionv1.CreateDistributionRequest) {
			r.Mark, r.Files[1].Name, r.Recipients[1].Name = "{name} {file}", strings.Repeat("f", 100), strings.Repeat("n", 80)
		}, "MARK_TOO_LONG", []string{"recipient 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(2, 3)
			tc.change(req)
			_, err := b.distributions.CreateDistribution(t.Context(), req)
			f := fault.From(err)
			if err == nil || f.Reason != tc.code || f.Kind != fault.Invalid {
				t.Fatalf("got %v, want %s", err, tc.code)
			}
			for _, word := range tc.words {
				if !strings.Contains(f.Message, word) {
					t.Errorf("%q does not say %q", f.Message, word)
				}
			}
			if name == "the title" && strings.Contains(f.Message, "recipient") {
				t.Errorf("%q blames a recipient for the title", f.Message)
			}
		})
	}
	list, err := b.distributions.ListDistributions(t.Context(), &distributionv1.ListDistributionsRequest{Production: "default"})
	if err != nil || len(list.GetDistributions()) != 0 {
		t.Errorf("got %v %v, want that nothing was accepted", list, err)
	}
}

func TestOnlySoManyAreNamedWhoseMarksCannotBeDrawn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req := request(1, 500)
	for i, r := range req.GetRecipients() {
		r.Name = fmt.Sprint("\ue123 no. ", i+1, ".")
	}
	_, err := b.distributions.CreateDistribution(t.Context(), req)
	f := fault.From(err)
	if f.Reason != "MARK_GLYPH_MISSING" || !strings.Contains(f.Message, "no. 20.") || strings.Contains(f.Message, "no. 21.") || !strings.Contains(f.Message, "480 more") {
		t.Errorf("got %v", err)
	}
}

func TestANameThatCannotBeDrawnIsNotResentTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(request(1, 2))
	b.until(id, ended)
	_, err := b.distributions.ResendRecipient(t.Context(), &distributionv1.ResendRecipientRequest{
		Production: "default", Distribution: id, Recipient: id + ".r2", Name: "Ad\ue123"})
	if f := fault.From(err); f.Reason != "MARK_GLYPH_MISSING" || !strings.Contains(f.Message, "U+E123") {
		t.Errorf("got %v, want MARK_GLYPH_MISSING", err)
	}
	if d := b.get(id); d.GetState() != "completed" || len(b.sent["p2@example.com"]) != 1 {
		t.Errorf("it changed something: %v", d)
	}
}

func TestAnotherStyleIsAnotherRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req := request(1, 1)
	id := b.create(req)
	if again := b.create(req); again != id {
		t.Errorf("the same request made %s, want %s again", again, id)
	}
	req.MarkStyle = &distributionv1.MarkStyle{Layout: "tiled"}
	_, err := b.distributions.CreateDistribution(t.Context(), req)
	if fault.From(err).Reason != "IDEMPOTENCY_CONFLICT" {
		t.Errorf("got %v, want IDEMPOTENCY_CONFLICT", err)
	}
}

// A distribution that the version before accepted runs on by its definition, which knew no style.
func TestARunningDistributionKeepsItsVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := b.watchMarks()
	var ready atomic.Bool
	prepare := b.prepare
	b.prepare = func(ctx context.Context, r *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
		if !ready.Load() {
			return nil, fault.New(fault.Unavailable, "BUSY", "not yet")
		}
		return prepare(ctx, r)
	}
	req := request(1, 1)
	req.Mark = "{name}"
	id := b.create(req)
	b.until(id, func(d *distributionv1.Distribution) bool { return d.GetStartedAt() != nil })
	b.stop()
	b.asYesterday(id)
	ready.Store(true)
	b.start()
	got := b.until(id, ended)
	if got.GetState() != "completed" || got.GetDefinition().GetVersion() != 2 || got.GetMark() != "{name}" {
		t.Errorf("got %v", got)
	}
	if d.prepare.Load().GetMark() != nil {
		t.Errorf("prepare was asked about %v, of which its definition knows nothing", d.prepare.Load().GetMark())
	}
	if diff := cmp.Diff(&watermarkv1.Mark{Template: "{name}"}, d.stamp.Load().GetMark(), protocmp.Transform()); diff != "" {
		t.Errorf("another mark (-want +got):\n%s", diff)
	}
}

var shards = []string{"{0}:", "{1}:"}

// spec is what is stored of a distribution that never changes.
func (b *testBundle) spec(id string) string {
	b.t.Helper()
	for _, shard := range shards {
		spec, err := b.redis.Client.Get(b.t.Context(), shard+"spec:"+id).Result()
		if err == nil {
			return spec
		}
	}
	b.t.Fatalf("%s has no spec", id)
	return ""
}

// asYesterday makes of a distribution's records what version 2 of the built-in definition left.
func (b *testBundle) asYesterday(id string) {
	b.t.Helper()
	source, err := os.ReadFile("testdata/send-documents-2.yaml")
	if err != nil {
		b.t.Fatal(err)
	}
	if spec := b.spec(id); !strings.Contains(spec, `"mark":"{name}"`) || strings.Contains(spec, "styled") || strings.Contains(spec, "open_restricted") {
		b.t.Errorf("%s says what yesterday's did not, although nobody asked for it", spec)
	}
	for _, shard := range shards {
		err = b.redis.Client.HSet(b.t.Context(), shard+"def:send-documents", "2", source).Err()
		if err != nil {
			b.t.Fatal(err)
		}
		if b.redis.Client.Exists(b.t.Context(), shard+"d:"+id).Val() == 0 {
			continue // it is in the other one
		}
		err = b.redis.Client.HSet(b.t.Context(), shard+"d:"+id, "defv", 2).Err()
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

// BenchmarkCreate10000 accepts distributions to 10,000 people, each of whose marks is composed.
func BenchmarkCreate10000(b *testing.B) {
	bundle := setup(b)
	req := request(1, 10_000)
	for i, r := range req.GetRecipients() {
		r.Name = fmt.Sprintf("Zoë %d Łukasiewicz-Ångström", i)
	}
	for b.Loop() {
		req.IdempotencyKey = fmt.Sprint("bench", keys.Add(1))
		req.HoldFor = nil
		id := bundle.create(req)
		b.StopTimer()
		_, err := bundle.distributions.CancelDistribution(b.Context(), &distributionv1.CancelDistributionRequest{Production: "default", Distribution: id})
		if err != nil {
			b.Fatal(err)
		}
		bundle.until(id, ended)
		b.StartTimer()
	}
}
