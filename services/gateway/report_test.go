package gateway_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/gateway"
)

// crowd is a distribution of three files to 1,500 people; every seventh gets the first file only. The mail of the second
// person was refused, and the third's first file has failed.
type crowd struct {
	distributionv1.UnimplementedDistributionServiceServer
	failFrom int // the item from which on nothing is answered; 0: all is
	asked    int // pages of recipients
}

const crowdFiles, crowdPeople = 3, 1500

func page(size int32, token string, all int) (from, to int, next string) {
	from, _ = strconv.Atoi(token)
	to = min(from+int(size), all)
	if to < all {
		next = strconv.Itoa(to)
	}
	return from, to, next
}

func (c *crowd) ListItems(_ context.Context, r *distributionv1.ListItemsRequest) (*distributionv1.ListItemsResponse, error) {
	if r.GetDistribution() != "D1" {
		return nil, fault.New(fault.NotFound, "DISTRIBUTION_UNKNOWN", "there is none")
	}
	var all []*distributionv1.Item
	for f := 1; f <= crowdFiles; f++ {
		for n := 1; n <= crowdPeople; n++ {
			if f > 1 && n%7 == 0 {
				continue
			}
			i := &distributionv1.Item{
				Id: fmt.Sprintf("D1.%d.%d", f, n), State: "done",
				File:      &distributionv1.FileRef{Sha256: "abc", Name: fmt.Sprintf("script %d.pdf", f)},
				Recipient: &distributionv1.RecipientRef{Id: fmt.Sprintf("D1.r%d", n), Name: fmt.Sprintf("Person %d", n), Email: fmt.Sprintf("p%d@example.com", n)},
			}
			switch {
			case n == 1:
				i.Recipient.Name = `=HYPERLINK("http://evil.example","Ä, ""call me""")`
			case n == 3 && f == 1:
				i.State, i.Error = "failed", &distributionv1.Error{Code: "MARK_NO_GLYPH", Message: "no font has\nthe letter"}
			case n == 4:
				i.State, i.File.Name = "running", ""
				i.Steps = []*distributionv1.StepView{{State: "done", Error: &distributionv1.Error{Code: "OLD"}},
					{State: "retrying", Error: &distributionv1.Error{Code: "BUSY", Message: "-1 is no place"}}}
			}
			all = append(all, i)
		}
	}
	from, to, next := page(r.GetPageSize(), r.GetPageToken(), len(all))
	if c.failFrom > 0 && from >= c.failFrom {
		return nil, fault.New(fault.Unavailable, "GONE", "it is away")
	}
	return &distributionv1.ListItemsResponse{Items: all[from:to], NextPageToken: next}, nil
}

func (c *crowd) ListRecipients(_ context.Context, r *distributionv1.ListRecipientsRequest) (*distributionv1.ListRecipientsResponse, error) {
	c.asked++
	at := time.Date(2026, 11, 27, 21, 0, 0, 5e8, time.UTC)
	from, to, next := page(r.GetPageSize(), r.GetPageToken(), crowdPeople)
	resp := &distributionv1.ListRecipientsResponse{NextPageToken: next}
	for n := from + 1; n <= to; n++ {
		d := &distributionv1.Delivery{State: "sent", Access: "active", SentAt: timestamppb.New(at.Add(time.Duration(n) * time.Second))}
		switch n {
		case 1:
			d.ViewedAt, d.DownloadedAt = timestamppb.New(at.Add(time.Hour)), timestamppb.New(at.Add(2*time.Hour))
		case 2:
			d = &distributionv1.Delivery{State: "blocked", Error: &distributionv1.Error{Code: "SMTP_REFUSED", Message: "no such user"}}
		}
		resp.Recipients = append(resp.Recipients, &distributionv1.Recipient{Id: fmt.Sprintf("D1.r%d", n), Delivery: d})
	}
	return resp, nil
}

func crowdWorld(t *testing.T, c *crowd) *world {
	t.Helper()
	return newWorld(t, func(_ *gateway.Config, d *gateway.Deps) {
		srv := rpc.NewServer(d.Log)
		distributionv1.RegisterDistributionServiceServer(srv, c)
		connect, stop := rpc.InProcess(srv)
		conn, err := connect("gateway")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(); stop() })
		d.Distributions = distributionv1.NewDistributionServiceClient(grpc.ClientConnInterface(conn))
	})
}

const crowdReport = "/v1/productions/red/distributions/D1/report.csv"

func TestAReportHasALineForEachItem(t *testing.T) {
	t.Parallel()
	c := &crowd{}
	w := crowdWorld(t, c)
	a := w.call(http.MethodGet, crowdReport, coordinator, "")
	if a.status != 200 || a.header.Get("Content-Type") != "text/csv; charset=utf-8" || a.header.Get("Content-Disposition") != "attachment; filename=report-D1.csv" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	text, marked := strings.CutPrefix(a.body, "\ufeff")
	if !marked || strings.Count(text, "\n") != strings.Count(text, "\r\n") {
		t.Error("it has no byte order mark, or lines that do not end in CR LF")
	}
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := 1 + crowdPeople + (crowdFiles-1)*(crowdPeople-crowdPeople/7)
	if len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	for n, expect := range []string{
		"name|email|file|state|mail|sent_at|viewed_at|downloaded_at|access|code|reason",
		`'=HYPERLINK("http://evil.example","Ä, ""call me""")|p1@example.com|script 1.pdf|done|sent|2026-11-27T21:00:01Z|2026-11-27T22:00:00Z|2026-11-27T23:00:00Z|active||`,
		"Person 2|p2@example.com|script 1.pdf|done|blocked|||||SMTP_REFUSED|no such user",
		"Person 3|p3@example.com|script 1.pdf|failed|sent|2026-11-27T21:00:03Z|||active|MARK_NO_GLYPH|no font has\nthe letter",
		"Person 4|p4@example.com|abc|running|sent|2026-11-27T21:00:04Z|||active|BUSY|'-1 is no place",
		"Person 5|p5@example.com|script 1.pdf|done|sent|2026-11-27T21:00:05Z|||active||",
	} {
		if got := strings.Join(lines[n], "|"); got != expect {
			t.Errorf("line %d is %q, want %q", n, got, expect)
		}
	}
	for _, line := range lines[1:] {
		if line[4] == "" {
			t.Fatalf("nothing is known of the mail of %v", line)
		}
	}
	if c.asked != 2*crowdFiles {
		t.Errorf("recipients were asked for %d times, want %d", c.asked, 2*crowdFiles)
	}
	unknown := w.call(http.MethodGet, "/v1/productions/red/distributions/D2/report.csv", coordinator, "")
	refused(t, unknown, 404, "DISTRIBUTION_UNKNOWN")
	foreign := w.call(http.MethodGet, "/v1/productions/green/distributions/D1/report.csv", coordinator, "")
	if foreign.status != 404 {
		t.Errorf("another production's: %d", foreign.status)
	}
}

func TestHalfAReportDoesNotLookLikeAWholeOne(t *testing.T) {
	t.Parallel()
	w := crowdWorld(t, &crowd{failFrom: 2000})
	resp, err := w.client.Do(w.request(http.MethodGet, crowdReport, coordinator, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err == nil {
		t.Errorf("%d bytes came as if they were all", len(got))
	}
	if !strings.Contains(w.log.String(), "report cut") || !strings.Contains(w.log.String(), "D1") {
		t.Error("the log does not say of what a report was cut")
	}
}
