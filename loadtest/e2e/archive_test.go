package e2e_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// reading is what the API shows of a distribution, without what changes by nature: what a link is used for after the
// distribution was archived.
func (c *client) reading(id string, size int) (string, error) {
	d, errD := c.distribution(id)
	items, errI := c.items(id, size)
	people, errR := c.recipients(id, size)
	events, errE := c.events(id, size)
	err := errors.Join(errD, errI, errR, errE)
	if err != nil {
		return "", err
	}
	all := []proto.Message{d}
	for _, m := range items {
		all = append(all, m)
	}
	for _, m := range people {
		if m.GetDelivery() != nil {
			m.Delivery.Access, m.Delivery.ViewedAt, m.Delivery.DownloadedAt = "", nil, nil
		}
		all = append(all, m)
	}
	for _, m := range events {
		all = append(all, m)
	}
	var out strings.Builder
	for _, m := range all {
		raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
		if err != nil {
			return "", err
		}
		var v any
		err = json.Unmarshal(raw, &v)
		if err != nil {
			return "", err
		}
		raw, err = json.Marshal(v) // protojson varies its spaces
		if err != nil {
			return "", err
		}
		out.Write(append(raw, '\n'))
	}
	return out.String(), nil
}

// What Redis has forgotten reads as it did before, also after the process was killed; it is in the list, in the history and
// under the address by which it was shared. Who did what is in the audit.
func TestArchive(t *testing.T) {
	t.Parallel()
	const retention = 20 * time.Second
	s := start(t, "--orchestrator-retention", retention.String())
	c := s.system().api("coordinator")
	docs, _ := sampleDocuments(t)
	var ids []string
	before := map[string]string{}
	for _, mode := range []string{"attachment", "link"} {
		_, id := order(t, c, docs[1:2], &distributionv1.CreateDistributionRequest{Recipients: crowd(5), Mode: mode})
		ids = append(ids, id)
	}
	for _, id := range ids {
		d := c.ended(t, id, 2*time.Minute)
		text, err := c.reading(id, 3)
		if err != nil {
			t.Fatalf("%s ended at %s and is kept for %s: %v", id, d.GetEndedAt().AsTime(), retention, err)
		}
		before[id] = text
	}
	list, err := c.distributions(1)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d distributions, %v", len(list), err)
	}
	env := []string{"FILIGREE_DATA=" + s.dir}
	shared := strings.TrimSpace(command(t, env, "share", ids[1], "--mask").stdout)
	look := func() (int, string) {
		resp, err := http.Get(strings.Replace(shared, "/s/", "/v1/shared/", 1))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	await(t, 2*time.Minute, "the archive of both", func() (bool, error) {
		got := command(t, env, "history", "--json")
		return strings.Contains(strings.ReplaceAll(got.stdout, " ", ""), `"distributions":2`), errors.New(got.stdout + got.stderr)
	})
	// Then no steps of theirs can be run again: the orchestrator itself does not know them any more.
	var asked time.Time
	await(t, 2*time.Minute, "both to be forgotten by Redis", func() (bool, error) {
		if time.Since(asked) < time.Second {
			return false, errors.New("they are there")
		}
		asked = time.Now() // each asking is a line of the audit
		for _, id := range ids {
			_, err := c.cancel(id)
			var answer *answerError
			if !errors.As(err, &answer) || answer.code != "DISTRIBUTION_UNKNOWN" {
				return false, err
			}
		}
		return true, nil
	})
	s.kill()
	s.up()
	c = s.system().api("coordinator")
	for _, id := range ids {
		after, err := c.reading(id, 3)
		if err != nil || after != before[id] {
			t.Errorf("%s reads (%v)\n%s\nand read before\n%s", id, err, after, before[id])
		}
	}
	again, err := c.distributions(1)
	if err != nil || len(again) != 2 || !proto.Equal(again[0], list[0]) || !proto.Equal(again[1], list[1]) {
		t.Errorf("listed %v, %v, before %v", again, err, list)
	}
	shared = s.url + shared[strings.Index(shared, "/s/"):]
	status, text := look()
	if status != 200 || strings.Contains(text, "person01@") || !strings.Contains(text, ids[1]) {
		t.Errorf("shared: %d %s", status, text)
	}
	command(t, env, "unshare", ids[1]).exits(t, "unshare", 0)
	status, text = look()
	if status != 410 {
		t.Errorf("unshared: %d %s", status, text)
	}
	await(t, time.Minute, "the audit to be whole", func() (bool, error) {
		got := command(t, env, "audit", "--json", "--last", "1000").stdout
		var all struct {
			Lines []struct {
				Action, Object string
				Number         json.Number
			}
			Intact bool
		}
		err := json.Unmarshal([]byte(got), &all)
		if err != nil {
			return false, err
		}
		counts := map[string]int{}
		for _, l := range all.Lines {
			counts[l.Action]++
		}
		ok := all.Intact && counts["distribution.create"] == 2 && counts["file.upload"] == 2 && counts["distribution.share"] == 1 &&
			counts["distribution.unshare"] == 1 && counts["share.view"] == 1
		return ok, errors.New(strconv.Itoa(len(all.Lines)) + " lines: " + got)
	})
	command(t, env, "audit", "--verify").exits(t, "audit --verify", 0, "as it was written")
}
