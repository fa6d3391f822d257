package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/filigreehq/filigree/loadtest/internal/otlp"
	"github.com/filigreehq/filigree/pkg/conf"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// One id shows all that was done for an item, whoever did it; and every metric that deploy/ asks for is there.
func TestTelemetry(t *testing.T) {
	if os.Getenv("FILIGREE_E2E_CREDENTIALS") != "" || os.Getenv("FILIGREE_E2E_DEPLOY") != "" {
		t.Skip("it wants an installation of its own, with a collector")
	}
	receiver, err := otlp.Start(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Close() }) // nothing comes any more
	for _, v := range receiver.Env() {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	site := start(t, "--admin", "127.0.0.1:0", "--worker-addr", "127.0.0.1:0")
	api := site.system().api("coordinator")
	docs, _ := sampleDocuments(t)
	file, err := api.upload(docs[1].name, docs[1].data)
	if err != nil {
		t.Fatal(err)
	}
	var people []*distributionv1.RecipientInput
	for i := range 3 {
		people = append(people, &distributionv1.RecipientInput{Name: fmt.Sprint("Person ", i+1), Email: fmt.Sprintf("p%d@example.com", i+1)})
	}
	d, err := api.create(&distributionv1.CreateDistributionRequest{Production: "default", Title: "Traced", Mode: "attachment",
		Files: []*distributionv1.FileRef{{Sha256: file.GetSha256(), Name: "script.pdf"}}, Recipients: people}, "traced")
	if err != nil {
		t.Fatal(err)
	}
	got := api.ended(t, d.GetId(), 2*time.Minute)
	if got.GetState() != "completed" {
		t.Fatalf("the distribution ended %s, want completed", got.GetState())
	}
	for n := range people {
		unit := fmt.Sprintf("i1.%d", n+1)
		await(t, time.Minute, "a whole trace of "+unit, func() (bool, error) {
			missing := lacks(receiver.Traces(), d.GetId(), unit)
			return len(missing) == 0, fmt.Errorf("it lacks %q", missing)
		})
	}
	events, err := api.events(d.GetId(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if (e.GetStep() == "watermark" || e.GetStep() == "email" || e.GetStep() == "thumbnail") && (e.GetBytesIn() < 1000 || e.GetBytesOut() < 1000) {
			t.Errorf("an attempt at %s says that it read %d and made %d bytes", e.GetStep(), e.GetBytesIn(), e.GetBytesOut())
		}
	}
	traces := receiver.Traces()
	for id, spans := range traces {
		for _, s := range spans {
			text := fmt.Sprint(s)
			if strings.Contains(text, "example.com") || strings.Contains(text, "Person ") {
				t.Errorf("a span of trace %s names a person: %s", id, text)
			}
		}
	}
	talk(t, site, api, file.GetSha256(), docs[1].name)
	samples := scrape(t, site)
	for what, text := range map[string]string{
		"rules.yaml": mentioned(t, "../../deploy/prometheus/rules.yaml"), "the dashboard": mentioned(t, "../../deploy/grafana/filigree.json"),
	} {
		for _, name := range metricName.FindAllString(text, -1) {
			if !samples[name] && !rare[name] {
				t.Errorf("%s asks for %s, which there is not", what, name)
			}
		}
	}
	documented, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range samples {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if strings.HasPrefix(base, "filigree_") && !strings.Contains(string(documented), "`"+base) {
			t.Errorf("docs/operations.md does not say what %s is", base)
		}
	}
}

// lacks is what the trace of a unit has not.
func lacks(traces map[string][]otlp.Span, distribution, unit string) (missing []string) {
	var spans []otlp.Span
	for _, all := range traces {
		if slices.ContainsFunc(all, func(s otlp.Span) bool {
			return s.Attributes["filigree.distribution"] == distribution && s.Attributes["filigree.unit"] == unit
		}) {
			if spans != nil {
				return []string{"one trace alone"}
			}
			spans = all
		}
	}
	ids := map[string]bool{}
	for _, s := range spans {
		ids[s.ID] = true
	}
	for what, is := range map[string]func(otlp.Span) bool{
		"orchestrator: watermark": func(s otlp.Span) bool {
			return s.Name == "watermark" && s.Parent == "" && s.Attributes["filigree.state"] == "done"
		},
		"orchestrator: email": func(s otlp.Span) bool {
			return s.Name == "email" && s.Parent == "" && s.Attributes["filigree.state"] == "done"
		},
		"watermark": func(s otlp.Span) bool { return s.Name == "watermark.Stamp" },
		"email":     func(s otlp.Span) bool { return s.Name == "email.Send" },
		"gRPC":      func(s otlp.Span) bool { return s.Attributes["rpc.method"] != "" },
		"Redis":     func(s otlp.Span) bool { return s.Attributes["db.system.name"] == "redis" },
		"SMTP": func(s otlp.Span) bool {
			return s.Name == "SMTP message" && slices.Contains(s.Events, "RCPT") && slices.Contains(s.Events, "final dot")
		},
	} {
		if !slices.ContainsFunc(spans, is) {
			missing = append(missing, what)
		}
	}
	for _, s := range spans {
		if s.Parent != "" && !ids[s.Parent] {
			missing = append(missing, "what is above "+s.Name)
		}
	}
	return missing
}

// talk sends by a definition with a function of one's own, which fails once, logs, and gives numbers: all of it shows.
func talk(t *testing.T, s *site, api *client, sha256, name string) {
	t.Helper()
	s.define("send-countersigned", "send-told", "example.Countersign", "example.Talk")
	conn, err := rpc.Dial(s.workerAddr(), "talker", "orchestrator", rpc.TLS{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // nothing goes over it any more
	type words = map[string]any
	w := worker.Over(worker.Config{Name: "talker", Slots: 1}, conn, slog.New(slog.DiscardHandler),
		worker.JSON("example.Talk", func(ctx context.Context, _ words) (words, error) {
			task, _ := worker.TaskFrom(ctx)
			worker.Log(ctx).WarnContext(ctx, "talked", "key", conf.Secret("hunter2"))
			worker.Bytes(ctx, 5, 7)
			worker.Metric(ctx, "words", 3, "language", "en")
			if task.Attempt == 1 {
				return nil, status.Error(codes.Unavailable, "not yet")
			}
			return words{}, nil
		}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.Run(ctx) // it returns nil
	}()
	t.Cleanup(func() { cancel(); <-ended })
	d, err := api.create(&distributionv1.CreateDistributionRequest{Production: "default", Definition: "send-told",
		Files: []*distributionv1.FileRef{{Sha256: sha256, Name: name}}, Recipients: []*distributionv1.RecipientInput{{Name: "Ann", Email: "ann@example.com"}}}, "talked")
	if err != nil {
		t.Fatal(err)
	}
	api.ended(t, d.GetId(), 2*time.Minute)
	events, err := api.events(d.GetId(), 100)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, e := range events {
		if !strings.HasPrefix(e.GetWorker(), "talker") {
			continue
		}
		told++
		if e.GetBytesIn() != 5 || e.GetBytesOut() != 7 || len(e.GetMetrics()) != 1 || e.GetMetrics()[0].GetLabels()["language"] != "en" ||
			len(e.GetLog()) != 1 || !strings.HasPrefix(e.GetLog()[0].GetText(), "talked key=***") {
			t.Errorf("an attempt tells %v, want bytes, a number and a line", e)
		}
		if (e.GetError() != nil) != (e.GetRetryAt() != nil) {
			t.Errorf("%v is tried again at %v", e.GetError(), e.GetRetryAt())
		}
	}
	if told != 2 {
		t.Errorf("the function of one's own was tried %d times, want 2", told)
	}
}

// rare are metrics that are there only when there is something to tell, and up, which is Prometheus's own.
var rare = map[string]bool{"up": true, "filigree_steps_at_limit": true}

// metricName finds names of metrics in PromQL: ours and those of processes.
var metricName = regexp.MustCompile(`\b(filigree_[a-z_]+|process_[a-z_]+|go_[a-z_]+|up)\b`)

// mentioned are all expressions in a file of rules or panels.
func mentioned(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if strings.HasSuffix(path, ".json") {
		err = json.Unmarshal(raw, &doc)
	} else {
		err = yaml.Unmarshal(raw, &doc)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var found []string
	var look func(any)
	look = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, in := range v {
				text, ok := in.(string)
				if ok && (key == "expr" || key == "query" && strings.Contains(text, "(")) {
					found = append(found, text)
				}
				look(in)
			}
		case []any:
			for _, in := range v {
				look(in)
			}
		}
	}
	look(doc)
	if len(found) < 10 {
		t.Fatalf("%s has %d expressions, want many", path, len(found))
	}
	return strings.Join(found, "\n")
}

// scrape is what Prometheus gets: names of samples.
func scrape(t *testing.T, s *site) map[string]bool {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "credentials.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Admin string `json:"admin_addr"`
	}
	err = json.Unmarshal(raw, &c)
	if err != nil || c.Admin == "" {
		t.Fatalf("credentials.json says admin_addr %q, %v", c.Admin, err)
	}
	names := map[string]bool{}
	await(t, time.Minute, "figures of the ended distribution", func() (bool, error) {
		resp, err := http.Get("http://" + c.Admin + "/metrics")
		if err != nil {
			return false, err
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // only read
		if err != nil {
			return false, err
		}
		for line := range strings.Lines(string(text)) {
			name := regexp.MustCompile(`^[a-z_]+`).FindString(line)
			if name != "" {
				names[name] = true
			}
		}
		return strings.Contains(string(text), `filigree_distribution_completeness_ratio_count{service="orchestrator"} 2`), nil
	})
	return names
}
