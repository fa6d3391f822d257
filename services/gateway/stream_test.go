package gateway_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// WatchDistribution says three things, numbered 1 to 3, of which it leaves out those that were seen.
func (d *distributions) WatchDistribution(r *distributionv1.WatchDistributionRequest, out grpc.ServerStreamingServer[distributionv1.WatchDistributionResponse]) error {
	if r.GetDistribution() != "D1" && r.GetDistribution() != "D9" {
		return fault.New(fault.NotFound, "DISTRIBUTION_UNKNOWN", "there is none")
	}
	for _, cursor := range []string{"1", "2", "3"} {
		if cursor <= r.GetAfter() {
			continue
		}
		err := out.Send(&distributionv1.WatchDistributionResponse{Cursor: cursor, Distribution: &distributionv1.Distribution{Id: "D1", Title: "of " + cursor}})
		if err != nil {
			return err
		}
	}
	if r.GetAfter() == "" && r.GetDistribution() == "D9" {
		<-out.Context().Done() // still running
	}
	return nil
}

func (d *distributions) GetArtifact(_ context.Context, r *distributionv1.GetArtifactRequest) (*distributionv1.GetArtifactResponse, error) {
	if r.GetThumbnail() {
		return nil, fault.New(fault.NotFound, "ARTIFACT_MISSING", "not made")
	}
	return &distributionv1.GetArtifactResponse{Key: "art/red/a", Sha256: "abc", Size: 11, MediaType: "application/pdf", Name: "Drehbuch – Ä.pdf"}, nil
}

func TestWatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const path = "/v1/productions/red/distributions/D1/watch"
	all := w.call("GET", path, coordinator, "")
	if all.status != 200 || all.header.Get("Content-Type") != "text/event-stream" ||
		strings.Count(all.body, "event: distribution\n") != 3 || !strings.HasSuffix(all.body, "event: end\ndata: {}\n\n") ||
		!strings.HasPrefix(all.body, "id: 1\nevent: distribution\ndata: {\"id\":\"D1\"") {
		t.Errorf("all of it: %d %s", all.status, all.body)
	}
	r := w.request("GET", path, coordinator, "")
	r.Header.Set("Last-Event-ID", "2")
	rest := w.do(r)
	if strings.Count(rest.body, "event: distribution\n") != 1 || !strings.HasPrefix(rest.body, "id: 3\n") {
		t.Errorf("after 2: %d %s", rest.status, rest.body)
	}
	r = w.request("GET", path, coordinator, "")
	r.Header.Set("Last-Event-ID", "3")
	nothing := w.do(r)
	if nothing.status != 204 || nothing.body != "" {
		t.Errorf("after the last: %d %q", nothing.status, nothing.body)
	}
	unknown := w.call("GET", "/v1/productions/red/distributions/D2/watch", coordinator, "")
	if unknown.status != 404 || !strings.Contains(unknown.body, "DISTRIBUTION_UNKNOWN") {
		t.Errorf("unknown: %d %s", unknown.status, unknown.body)
	}
	foreign := w.call("GET", "/v1/productions/green/distributions/D1/watch", coordinator, "")
	if foreign.status != 404 {
		t.Errorf("another production's: %d %s", foreign.status, foreign.body)
	}
}

func TestCopyIsSentWithRanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	_, _, err := w.blobs.Create(t.Context(), "art/red/a", "application/pdf", bytes.NewReader([]byte("hello world")))
	if err != nil {
		t.Fatal(err)
	}
	const path = "/v1/productions/red/distributions/D1/items/D1.1.1/copy"
	whole := w.call("GET", path, coordinator, "")
	if whole.status != 200 || whole.body != "hello world" || whole.header.Get("ETag") != `"abc"` ||
		!strings.Contains(whole.header.Get("Content-Disposition"), "filename*=utf-8''Drehbuch%20") {
		t.Errorf("%d %v %s", whole.status, whole.header, whole.body)
	}
	r := w.request("GET", path, coordinator, "")
	r.Header.Set("Range", "bytes=6-")
	part := w.do(r)
	if part.status != 206 || part.body != "world" {
		t.Errorf("part: %d %q", part.status, part.body)
	}
	missing := w.call("GET", "/v1/productions/red/distributions/D1/items/D1.1.1/thumbnail", coordinator, "")
	if missing.status != 404 || !strings.Contains(missing.body, "ARTIFACT_MISSING") {
		t.Errorf("missing: %d %s", missing.status, missing.body)
	}
}

// A watcher is no reason to hold up a stop.
func TestStoppingEndsWatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	resp, err := w.client.Do(w.request("GET", "/v1/productions/red/distributions/D9/watch", coordinator, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	w.stop()
	_, _ = io.Copy(io.Discard, resp.Body) // ends with the stop
	err = <-w.stopped
	if err != nil {
		t.Errorf("stopping with a watcher: %v", err)
	}
}
