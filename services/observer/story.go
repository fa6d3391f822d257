package observer

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/traceid"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	observerv1 "github.com/filigreehq/filigree/proto/gen/filigree/observer/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/story"
	"github.com/filigreehq/filigree/services/observer/internal/why"
)

// mostPayload bounds an input or output that is shown.
const mostPayload = 8 << 10

// GetStory implements observerv1.ObserverServiceServer.
func (s *Server) GetStory(ctx context.Context, req *observerv1.GetStoryRequest) (*observerv1.GetStoryResponse, error) {
	l := s.seen(ctx)
	sc, err := s.scene(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	err = sc.has(req.GetUnit())
	if err != nil {
		return nil, err
	}
	way, outputs, err := s.way(ctx, sc, story.Units(req.GetUnit(), len(sc.d.Files)), l.now())
	if err != nil {
		return nil, err
	}
	told, err := s.tell(ctx, sc, req.GetUnit(), way, outputs, nil, l.now())
	if err != nil {
		return nil, err
	}
	return &observerv1.GetStoryResponse{Story: told, Freshness: s.freshness(l)}, nil
}

// now is Redis's time, as far as it is known.
func (l *look) now() time.Time {
	if l.state.Now.IsZero() {
		return time.Now()
	}
	return l.state.Now.Add(max(0, time.Since(l.state.Now)))
}

// has refuses units that a distribution does not have.
func (sc *scene) has(unit string) error {
	file, recipient := story.Numbers(unit)
	if file > len(sc.d.Files) || recipient > sc.d.Recipients || unit != "d" && file == 0 && recipient == 0 {
		return fault.New(fault.NotFound, "UNIT_UNKNOWN", "there is no %q in distribution %s", unit, sc.d.ID)
	}
	return nil
}

// tell makes the story of a unit. person is whose it is, if that was read already.
func (s *Server) tell(ctx context.Context, sc *scene, unit string, way []why.Step, outputs map[string]string, person *event.Recipient, now time.Time) (*observerv1.Story, error) {
	_, n := story.Numbers(unit)
	if person == nil && n > 0 {
		var err error
		person, err = s.person(ctx, sc, n)
		if err != nil {
			return nil, err
		}
	}
	v := &observerv1.Story{Production: sc.d.Production, Distribution: sc.d.ID, Unit: unit, Name: sc.d.Title, State: sc.d.State}
	in := story.Input{Distribution: sc.d, Unit: unit, Events: sc.events, Way: way, Now: now}
	if person != nil {
		v.Name, v.State, in.Email = person.Name, person.State, person.Email
	}
	if file := sc.file(unit); file != "" {
		v.Name = strings.TrimSuffix(file+" for "+v.Name, " for "+sc.d.Title)
	}
	id, ok := traceid.Of(sc.d.ID, unit)
	if ok {
		v.TraceId = id.String()
	}
	chapters, left := story.Of(in)
	v.LeftOut = int32(left)
	for i := range chapters {
		v.Chapters = append(v.Chapters, chapterView(&chapters[i]))
	}
	s.addPayloads(ctx, sc, v.GetChapters(), outputs)
	return v, nil
}

func chapterView(c *story.Chapter) *observerv1.Chapter {
	v := &observerv1.Chapter{Kind: c.Kind, Step: c.Step, Unit: c.Unit, Attempt: int32(c.Attempt), Worker: c.Worker, From: stampOf(c.From), Until: stampOf(c.Until),
		State: c.State, BytesIn: c.BytesIn, BytesOut: c.BytesOut, Sentence: c.Sentence}
	if c.Code != "" && c.Kind != "wait" {
		v.Error = &distributionv1.Error{Code: c.Code, Message: c.Message, Retryable: c.Retryable}
	}
	for _, line := range c.Log {
		v.Log = append(v.Log, &taskv1.LogLine{Time: timestamppb.New(line.Time), Level: line.Level, Text: line.Text})
	}
	for _, m := range c.Metrics {
		v.Metrics = append(v.Metrics, &taskv1.Metric{Name: m.Name, Value: m.Value, Labels: m.Labels})
	}
	return v
}

// addPayloads adds what the last attempt of each step was asked with, as it would be made now, and what it answered. Of a
// distribution that is archived only what its events tell is known.
func (s *Server) addPayloads(ctx context.Context, sc *scene, chapters []*observerv1.Chapter, outputs map[string]string) {
	told := map[string]bool{}
	for i := len(chapters) - 1; i >= 0; i-- {
		c := chapters[i]
		key := c.GetUnit() + "/" + c.GetStep()
		if c.GetKind() != "attempt" || told[key] || len(told) >= 20 {
			continue
		}
		told[key] = true
		c.OutputJson = shortened(outputs[key])
		input, err := s.records.Request(ctx, sc.d.Production, sc.d.ID, c.GetUnit(), c.GetStep())
		if err == nil {
			c.InputJson, c.InputNote = shortened(input), sc.changedSince(c)
		}
	}
}

// changedSince says what people changed of what an attempt is asked with, after it: what it was given itself is not kept.
func (sc *scene) changedSince(c *observerv1.Chapter) string {
	_, whose := story.Numbers(c.GetUnit())
	said := ""
	for i := range sc.events {
		e := &sc.events[i]
		_, theirs := story.Numbers(e.Unit)
		if whose == 0 || c.GetUntil() == nil || !e.Time.After(moment(c.GetUntil())) {
			continue
		}
		switch {
		case e.Kind == "resend" && theirs == whose:
			said = "the name or the address may have been another, and the mail was another"
		case e.Kind == "retry" && theirs == whose:
			said = "the mark may have been another, and what it was made of may have been made anew"
		case e.Kind == "skip" && theirs == whose:
			said = "what was left out was not yet"
		default:
			continue
		}
		said = fmt.Sprintf("as it would be asked now: before %s at %s %s", because(e), e.Time.UTC().Format("2006-01-02 15:04:05 UTC"), said)
	}
	return said
}

// because is who did what, as a cause in time.
func because(e *event.Event) string {
	what := map[string]string{"resend": "sent to the recipient again", "retry": "had it run again", "skip": "had something left out"}[e.Kind]
	return why.Person(e.Worker) + " " + what
}

func shortened(json string) string {
	if len(json) > mostPayload {
		return fmt.Sprintf(`{"left_out":"%d bytes"}`, len(json))
	}
	return json
}
