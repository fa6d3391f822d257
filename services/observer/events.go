package observer

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer/internal/archive"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// Events of a distribution are in the archive up to one, and in the records from there on: pages go on from the one into the
// other.

// events gives all events after one to do, the first first, until it answers false.
func (k *keeping) events(ctx context.Context, production, id string, segments []int, after string, do func(*distributionv1.Event) (bool, error)) error {
	more := true
	for _, n := range segments {
		if !more {
			return nil
		}
		err := k.each(ctx, production, id, n, archive.Event, func(record []byte) (bool, error) {
			e := &distributionv1.Event{}
			err := unmarshal(record, e)
			if err != nil {
				return false, err
			}
			if after != "" && !laterEvent(e.GetId(), after) {
				return true, nil
			}
			more, err = do(e)
			return more, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lastEvent is the id of the last event that is archived; "" when none is.
func (k *keeping) lastEvent(ctx context.Context, production, id string, segments []int) (string, error) {
	last := ""
	for i := len(segments) - 1; i >= 0 && last == ""; i-- {
		err := k.events(ctx, production, id, segments[i:i+1], "", func(e *distributionv1.Event) (bool, error) {
			last = e.GetId()
			return true, nil
		})
		if err != nil {
			return "", err
		}
	}
	return last, nil
}

// laterEvent reports whether the event with one id comes after another.
func laterEvent(id, than string) bool {
	split := func(s string) (uint64, uint64) {
		ms, n, _ := strings.Cut(s, "-")
		a, _ := strconv.ParseUint(ms, 10, 64) // what is no number comes first
		b, _ := strconv.ParseUint(n, 10, 64)
		return a, b
	}
	a, n := split(id)
	b, m := split(than)
	return a > b || a == b && n > m
}

// eventsArchived says whether err is that the records do not have the events any more, and have the distribution.
func eventsArchived(err error) bool { return err != nil && fault.From(err).Reason == "EVENTS_ARCHIVED" }

func (s *Server) listEvents(ctx context.Context, req *distributionv1.ListEventsRequest) (*distributionv1.ListEventsResponse, error) {
	return s.eventsFrom(ctx, s.records, req)
}

// eventsFrom lists events that are archived or in records.
func (s *Server) eventsFrom(ctx context.Context, records *readside.Records, req *distributionv1.ListEventsRequest) (*distributionv1.ListEventsResponse, error) {
	production, id := req.GetProduction(), req.GetDistribution()
	resp, err := records.ListEvents(ctx, req)
	err = s.partly(ctx, production, id, len(resp.GetEvents()), err)
	if !eventsArchived(err) {
		return archivedOr(ctx, s, production, id, resp, err, func(segments []int) (*distributionv1.ListEventsResponse, error) {
			resp, _, err := s.keeping.eventPage(ctx, req, segments)
			return resp, err
		})
	}
	segments, errList := s.keeping.archive.Segments(ctx, production, id)
	if errList != nil {
		return nil, archiveUnavailable(errList)
	}
	page, last, errRead := &distributionv1.ListEventsResponse{}, "", archive.ErrNotFound
	if len(segments) > 0 {
		page, last, errRead = s.keeping.eventPage(ctx, req, segments)
	}
	switch {
	case errors.Is(errRead, archive.ErrNotFound):
		// The archive was deleted. What came after it is in the records.
		at, err := records.LastEvent(ctx, production, id)
		if err != nil {
			return nil, err
		}
		page, last = &distributionv1.ListEventsResponse{}, at.Archived
	case errors.Is(errRead, archive.ErrDamaged):
		return nil, s.archiveDamaged(ctx, production, id, errRead)
	case errRead != nil && fault.From(errRead).Kind == fault.Invalid:
		return nil, errRead
	case errRead != nil:
		return nil, archiveUnavailable(errRead)
	}
	if page.GetNextPageToken() != "" {
		return page, nil
	}
	// The archive ends within this page.
	room := pageSize(req.GetPageSize()) - len(page.GetEvents())
	rest, err := records.ListEvents(ctx, &distributionv1.ListEventsRequest{Production: production, Distribution: id, PageSize: int32(max(room, 1)), PageToken: last})
	if eventsArchived(err) || forgotten(err) {
		return s.eventsFrom(ctx, records, req) // archived this moment, or forgotten
	}
	if err != nil {
		return nil, err
	}
	if room == 0 {
		if len(rest.GetEvents()) > 0 {
			page.NextPageToken = last
		}
		return page, nil
	}
	page.Events = append(page.GetEvents(), rest.GetEvents()...)
	page.NextPageToken = rest.GetNextPageToken()
	return page, nil
}

// eventPage reads a page of archived events, and the id of the last event of the archive when the page ends it; of a page that is
// empty it is where the page began.
func (k *keeping) eventPage(ctx context.Context, req *distributionv1.ListEventsRequest, segments []int) (resp *distributionv1.ListEventsResponse, last string, err error) {
	last = req.GetPageToken()
	if strings.Trim(last, "0123456789-") != "" {
		return nil, "", badToken(last)
	}
	resp, most := &distributionv1.ListEventsResponse{}, pageSize(req.GetPageSize())
	err = k.events(ctx, req.GetProduction(), req.GetDistribution(), segments, last, func(e *distributionv1.Event) (bool, error) {
		if len(resp.GetEvents()) == most {
			resp.NextPageToken = resp.GetEvents()[most-1].GetId()
			return false, nil
		}
		resp.Events = append(resp.Events, e)
		last = e.GetId()
		return true, nil
	})
	return resp, last, err
}

// cursor is what those who watch an archived distribution go on after; of archives that do not have it "0".
func (k *keeping) cursor(ctx context.Context, production, id string, segments []int) (string, error) {
	cursor := "0"
	err := k.archive.Read(ctx, production, id, segments[len(segments)-1], func(kind byte, record []byte) (bool, error) {
		if kind == archive.Cursor {
			cursor = string(record)
		}
		return kind == archive.Distribution, nil // it comes right after
	})
	return cursor, err
}

// WatchDistribution is of the records; one that is archived has ended, and is sent once to whoever has not seen it so.
func (r distributionReads) WatchDistribution(req *distributionv1.WatchDistributionRequest, out grpc.ServerStreamingServer[distributionv1.WatchDistributionResponse]) error {
	err := r.Records.WatchDistribution(req, out)
	if !forgotten(err) {
		return err
	}
	ctx, production, id := out.Context(), req.GetProduction(), req.GetDistribution()
	resp, err := archivedOr(ctx, r.s, production, id, nil, err, func(segments []int) (*distributionv1.WatchDistributionResponse, error) {
		d, err := r.s.keeping.distribution(ctx, production, id, segments)
		if err != nil {
			return nil, err
		}
		cursor, err := r.s.keeping.cursor(ctx, production, id, segments)
		return &distributionv1.WatchDistributionResponse{Cursor: cursor, Distribution: d}, err
	})
	if err != nil || resp.GetCursor() == req.GetAfter() {
		return err
	}
	return out.Send(resp)
}
