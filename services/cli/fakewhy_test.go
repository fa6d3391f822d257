package cli_test

import (
	"net/http"
	"strings"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// after is a moment so many seconds after the epoch.
func after(seconds float64) *timestamppb.Timestamp {
	return timestamppb.New(epoch.Add(time.Duration(seconds * float64(time.Second))))
}

func (f *fake) handleLooking(mux *http.ServeMux) {
	f.handle(mux, "why", "GET /v1/why", "", func(r *http.Request, _ []byte) (any, *problem) {
		if !strings.Contains(r.URL.Query().Get("query"), "Ada") {
			return nil, &problem{404, "NOTHING_FOUND", "nothing is known of it"}
		}
		return adasTrouble(), nil
	})
	f.handle(mux, "failures", "GET /v1/failures", "", func(*http.Request, []byte) (any, *problem) {
		return &observerv1.ListFailuresResponse{Groups: []*observerv1.FailureGroup{{
			Fingerprint: "0123456789abcdef", Function: "email.Send", Step: "email", Code: "EMAIL_DEFERRED", Count: 23, Recipients: 12, Distributions: 1, Open: 12,
			Example: "the mail server asks to try later: 451 4.7.1 not now", Summary: "Since 09:30:07 UTC, on all 2 workers, only at example.com.",
			Production: "default", Distribution: "D1", Hurt: []*observerv1.Hit{{Name: "Ada Lovelace", Detail: "ada@example.com"}},
		}}}, nil
	})
	f.handle(mux, "act-on-failures", "POST /v1/productions/{production}/distributions/{id}/failures/{fingerprint}", "", func(r *http.Request, _ []byte) (any, *problem) {
		if r.PathValue("fingerprint") != "0123456789abcdef:act" {
			return nil, &problem{404, "FAILURE_UNKNOWN", "nothing has failed so"}
		}
		return &observerv1.ActOnFailuresResponse{Recipients: 12, Distribution: &distributionv1.Distribution{Id: r.PathValue("id"), State: "running",
			Items: &distributionv1.ItemCounts{Total: 20, Running: 12, Done: 8}}}, nil
	})
	f.handle(mux, "top", "GET /v1/top", "oncall", func(*http.Request, []byte) (any, *problem) {
		return &observerv1.GetTopResponse{
			Productions: []*observerv1.TopProduction{{Production: "default", Open: 2, Running: 3, Ready: 40, Weight: 1, Paused: true}},
			Functions:   []*observerv1.TopFunction{{Function: "email.Send", Ready: 40, Oldest: durationpb.New(90 * time.Second)}},
			Limits:      []*observerv1.TopLimit{{Name: "relay", Concurrency: 4, Taken: 4, Waiting: 9, Breaker: "open"}},
		}, nil
	})
	f.handle(mux, "overview", "GET /v1/overview", "", func(*http.Request, []byte) (any, *problem) {
		return &observerv1.GetOverviewResponse{Sentence: "No worker serves email.Send: 40 steps wait.",
			Causes: []*observerv1.Cause{{Kind: "no_worker", Sentence: "No worker serves email.Send: 40 steps wait.", Remedy: "Start one."}}}, nil
	})
}

func adasTrouble() *observerv1.WhyResponse {
	return &observerv1.WhyResponse{
		Answer: `Ada Lovelace has not got "Call sheet 12": the mail has failed twice since 09:30:07 UTC: the mail server asks to try later: 451 4.7.1 not now (EMAIL_DEFERRED), only at example.com. 11 other people wait for the same. It is tried again at 09:40:00 UTC.`,
		Causes: []*observerv1.Cause{
			{Kind: "backing_off", Sentence: "The mail has failed twice.", Remedy: "It is tried again by itself: filigree failures D1."},
			{Kind: "late", Sentence: "It was to be over at 09:35:00 UTC."},
		},
		Story: &observerv1.Story{Name: "Ada Lovelace", TraceId: "01a21a79bd92cca3eb3d034600000001", Chapters: []*observerv1.Chapter{
			{Kind: "life", From: after(0), Until: after(0), Sentence: "The distribution was accepted."},
			{Kind: "wait", From: after(0), Until: after(2.5), Sentence: "The copy of a.pdf was ready without a worker for 2.5s."},
			{Kind: "attempt", From: after(2.5), Until: after(7), Sentence: "The mail failed on mail-1 after 4.5s.", InputJson: `{"to":"ada"}`,
				Error: &distributionv1.Error{Code: "EMAIL_DEFERRED"}, Log: []*taskv1.LogLine{{Level: "warn", Text: "deferred"}, {Level: "debug", Text: "spoke EHLO"}}},
		}},
		Others: []*observerv1.Hit{{Kind: "recipient", Name: "Ada Lovelace", Detail: "ada@other.example", State: "sent", Distribution: "D0", Unit: "r3"}},
	}
}
