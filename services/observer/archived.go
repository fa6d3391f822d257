package observer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/observer/internal/archive"
	"github.com/filigreehq/filigree/services/observer/internal/history"
)

// Reading of distributions goes on in the archive where Redis has forgotten them: the same methods, pages and answers. What
// a link's page was used for (access, viewed_at, downloaded_at) is as of when it was archived.

// forgotten says whether err is that the records do not have it.
func forgotten(err error) bool {
	if err == nil {
		return false
	}
	reason := fault.From(err).Reason
	return reason == "DISTRIBUTION_UNKNOWN" || reason == "RECORDS_MISSING"
}

// partly returns err, or that the records have forgotten a distribution when they say so elsewhere: a list whose parts are gone,
// or that is empty, does not say it.
func (s *Server) partly(ctx context.Context, production, id string, n int, err error) error {
	if err == nil && n > 0 || err != nil && fault.From(err).Reason != "STORE_UNAVAILABLE" {
		return err
	}
	_, errGet := s.records.GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: production, Distribution: id})
	if forgotten(errGet) {
		return errGet
	}
	return err
}

// archivedOr answers from the archive what the records have forgotten. When that does not have it either, err stands.
func archivedOr[A any](ctx context.Context, s *Server, production, id string, answer A, err error, read func(segments []int) (A, error)) (A, error) {
	if !forgotten(err) {
		return answer, err
	}
	segments, errList := s.keeping.archive.Segments(ctx, production, id)
	if errList != nil {
		return answer, archiveUnavailable(errList)
	}
	if len(segments) == 0 {
		return answer, err
	}
	got, errRead := read(segments)
	switch {
	case errors.Is(errRead, archive.ErrNotFound):
		return answer, err // deleted this moment
	case errors.Is(errRead, archive.ErrDamaged):
		return answer, s.archiveDamaged(ctx, production, id, errRead)
	case errRead != nil && fault.From(errRead).Kind == fault.Invalid:
		return answer, errRead
	case errRead != nil:
		return answer, archiveUnavailable(errRead)
	}
	return got, nil
}

func (s *Server) archiveDamaged(ctx context.Context, production, id string, err error) error {
	s.deps.Log.ErrorContext(ctx, "an archive cannot be read", "distribution", id, "production", production, "err", err)
	return fault.New(fault.Internal, "ARCHIVE_DAMAGED", "the archive of distribution %s is damaged; restore it from a backup of the blobs", id)
}

func archiveUnavailable(err error) error {
	return fault.New(fault.Unavailable, "ARCHIVE_UNAVAILABLE", "the archive does not answer; try again").Because(err)
}

// each gives the records of one kind to do, until it answers false. The kinds of a segment come one after another.
func (k *keeping) each(ctx context.Context, production, id string, segment int, kind byte, do func(record []byte) (bool, error)) error {
	there := false
	return k.archive.Read(ctx, production, id, segment, func(is byte, record []byte) (bool, error) {
		if is != kind {
			return !there, nil
		}
		there = true
		return do(record)
	})
}

// one reads the nth record of a kind, from 0 on.
func (k *keeping) one(ctx context.Context, production, id string, segments []int, kind byte, n int, into proto.Message) error {
	if len(segments) == 0 {
		return archive.ErrNotFound
	}
	found := false
	err := k.each(ctx, production, id, segments[len(segments)-1], kind, func(record []byte) (bool, error) {
		if n > 0 {
			n--
			return true, nil
		}
		found = true
		return false, unmarshal(record, into)
	})
	if err == nil && !found {
		return fmt.Errorf("%s lacks a record: %w", id, archive.ErrDamaged)
	}
	return err
}

func unmarshal(record []byte, into proto.Message) error {
	err := proto.Unmarshal(record, into)
	if err != nil {
		return fmt.Errorf("%w: %w", archive.ErrDamaged, err)
	}
	return nil
}

func (k *keeping) distribution(ctx context.Context, production, id string, segments []int) (*distributionv1.Distribution, error) {
	d := &distributionv1.Distribution{}
	return d, k.one(ctx, production, id, segments, archive.Distribution, 0, d)
}

func pageSize(n int32) int {
	if n == 0 {
		return 100
	}
	return int(n)
}

// place reads a page token that counts.
func place(token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(token)
	if err != nil || n < 0 {
		return 0, badToken(token)
	}
	return n, nil
}

func badToken(token string) error {
	return fault.New(fault.Invalid, "PAGE_TOKEN_INVALID", "page_token %q is not one that this list has given", token)
}

func (s *Server) getDistribution(ctx context.Context, req *distributionv1.GetDistributionRequest) (*distributionv1.GetDistributionResponse, error) {
	resp, err := s.records.GetDistribution(ctx, req)
	return archivedOr(ctx, s, req.GetProduction(), req.GetDistribution(), resp, err, func(segments []int) (*distributionv1.GetDistributionResponse, error) {
		d, err := s.keeping.distribution(ctx, req.GetProduction(), req.GetDistribution(), segments)
		return &distributionv1.GetDistributionResponse{Distribution: d}, err
	})
}

func (s *Server) getDistributionGraph(ctx context.Context, req *distributionv1.GetDistributionGraphRequest) (*distributionv1.GetDistributionGraphResponse, error) {
	resp, err := s.records.GetDistributionGraph(ctx, req)
	err = s.partly(ctx, req.GetProduction(), req.GetDistribution(), 1, err)
	return archivedOr(ctx, s, req.GetProduction(), req.GetDistribution(), resp, err, func(segments []int) (*distributionv1.GetDistributionGraphResponse, error) {
		n := 0 // the first is Mermaid's
		if req.GetFormat() == "dot" {
			n = 1
		}
		g := &distributionv1.GetDistributionGraphResponse{}
		return g, s.keeping.one(ctx, req.GetProduction(), req.GetDistribution(), segments, archive.Graph, n, g)
	})
}

func (s *Server) listRecipients(ctx context.Context, req *distributionv1.ListRecipientsRequest) (*distributionv1.ListRecipientsResponse, error) {
	resp, err := s.records.ListRecipients(ctx, req)
	err = s.partly(ctx, req.GetProduction(), req.GetDistribution(), len(resp.GetRecipients()), err)
	return archivedOr(ctx, s, req.GetProduction(), req.GetDistribution(), resp, err, func(segments []int) (*distributionv1.ListRecipientsResponse, error) {
		return s.keeping.recipients(ctx, req, segments)
	})
}

func (s *Server) listItems(ctx context.Context, req *distributionv1.ListItemsRequest) (*distributionv1.ListItemsResponse, error) {
	resp, err := s.records.ListItems(ctx, req)
	err = s.partly(ctx, req.GetProduction(), req.GetDistribution(), len(resp.GetItems()), err)
	return archivedOr(ctx, s, req.GetProduction(), req.GetDistribution(), resp, err, func(segments []int) (*distributionv1.ListItemsResponse, error) {
		return s.keeping.items(ctx, req, segments)
	})
}

// recipients reads a page of an archived distribution.
func (k *keeping) recipients(ctx context.Context, req *distributionv1.ListRecipientsRequest, segments []int) (*distributionv1.ListRecipientsResponse, error) {
	from, err := place(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp, n, most := &distributionv1.ListRecipientsResponse{}, 0, pageSize(req.GetPageSize())
	return resp, k.each(ctx, req.GetProduction(), req.GetDistribution(), segments[len(segments)-1], archive.Recipient, func(record []byte) (bool, error) {
		n++
		if n <= from {
			return true, nil
		}
		if len(resp.GetRecipients()) == most {
			resp.NextPageToken = strconv.Itoa(n - 1)
			return false, nil
		}
		r := &distributionv1.Recipient{}
		resp.Recipients = append(resp.Recipients, r)
		return true, unmarshal(record, r)
	})
}

// items reads a page of an archived distribution.
func (k *keeping) items(ctx context.Context, req *distributionv1.ListItemsRequest, segments []int) (*distributionv1.ListItemsResponse, error) {
	from, err := place(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp, n, most := &distributionv1.ListItemsResponse{}, 0, pageSize(req.GetPageSize())
	return resp, k.each(ctx, req.GetProduction(), req.GetDistribution(), segments[len(segments)-1], archive.Item, func(record []byte) (bool, error) {
		n++
		if n <= from {
			return true, nil
		}
		// As the records do: of items of one state a page looks at a thousand.
		if len(resp.GetItems()) == most || n-1-from >= 1000 {
			resp.NextPageToken = strconv.Itoa(n - 1)
			return false, nil
		}
		item := &distributionv1.Item{}
		err := unmarshal(record, item)
		if err == nil && (req.GetState() == "" || item.GetState() == req.GetState()) {
			resp.Items = append(resp.Items, item)
		}
		return true, err
	})
}

// A listPlace is where a list of records and archived ones goes on: after what the records gave last, and after the last of
// all. Its token is the former alone while that is the last of all, as the orchestrator's own.
type listPlace struct {
	record  string
	created time.Time
	id      string
}

func (p listPlace) token() string {
	if p.id == p.record {
		return p.record
	}
	return fmt.Sprintf("%s~%d~%s", p.record, p.created.UnixMilli(), p.id)
}

func (s *Server) listPlace(ctx context.Context, production, token string) (listPlace, error) {
	record, rest, both := strings.Cut(token, "~")
	if both {
		ms, id, ok := strings.Cut(rest, "~")
		n, err := strconv.ParseInt(ms, 10, 64)
		if !ok || err != nil {
			return listPlace{}, badToken(token)
		}
		return listPlace{record: record, created: time.UnixMilli(n), id: id}, nil
	}
	p := listPlace{record: token, id: token}
	if token == "" {
		return p, nil
	}
	got, err := s.records.GetDistribution(ctx, &distributionv1.GetDistributionRequest{Production: production, Distribution: token})
	if err == nil {
		p.created = got.GetDistribution().GetCreatedAt().AsTime()
		return p, nil
	}
	l, found, errArchive := s.keeping.history.Get(ctx, production, token)
	if errArchive != nil || !found {
		return p, err
	}
	p.created = l.Created
	return p, nil
}

// listDistributions merges what the records have with what only the archive has, newest first.
func (s *Server) listDistributions(ctx context.Context, req *distributionv1.ListDistributionsRequest) (*distributionv1.ListDistributionsResponse, error) {
	most := pageSize(req.GetPageSize())
	at, err := s.listPlace(ctx, req.GetProduction(), req.GetPageToken())
	if err != nil {
		if forgotten(err) {
			err = badToken(req.GetPageToken())
		}
		return nil, err
	}
	records, err := s.records.ListDistributions(ctx, &distributionv1.ListDistributionsRequest{Production: req.GetProduction(), PageSize: int32(most), PageToken: at.record})
	switch {
	case err == nil:
	case at.record != "" && fault.From(err).Reason == "PAGE_TOKEN_INVALID":
		// The record where it was is forgotten since, and so are all that ended before; others are found from the start.
		records, err = s.recordsAfter(ctx, req.GetProduction(), at, most)
		if err != nil {
			return nil, err
		}
	case fault.From(err).Reason == "RECORDS_MISSING":
		records = &distributionv1.ListDistributionsResponse{}
	default:
		return nil, err
	}
	// Twice as many: those that the records have, too, are left out.
	old, err := s.keeping.history.List(ctx, req.GetProduction(), at.created, at.id, 2*most+1)
	if err != nil {
		s.deps.Log.WarnContext(ctx, "archived distributions are not listed", "err", err)
		return records, nil
	}
	resp := &distributionv1.ListDistributionsResponse{}
	now := records.GetDistributions()
	known := map[string]bool{}
	for _, d := range now {
		known[d.GetId()] = true
	}
	more := records.GetNextPageToken() != ""
	for len(resp.GetDistributions()) < most {
		for len(old) > 0 && known[old[0].ID] {
			old = old[1:]
		}
		switch {
		case len(now) > 0 && (len(old) == 0 || !newer(old[0], now[0])):
			d := now[0]
			now = now[1:]
			resp.Distributions = append(resp.Distributions, d)
			at = listPlace{record: d.GetId(), created: d.GetCreatedAt().AsTime(), id: d.GetId()}
		case len(old) > 0 && (len(now) > 0 || !more):
			d := &distributionv1.Distribution{}
			err = proto.Unmarshal(old[0].Body, d)
			if err != nil {
				return nil, fmt.Errorf("read history: %w", err)
			}
			resp.Distributions = append(resp.Distributions, d)
			at.created, at.id = old[0].Created, old[0].ID
			old = old[1:]
		default:
			if more {
				resp.NextPageToken = at.token()
			}
			return resp, nil
		}
	}
	for len(old) > 0 && known[old[0].ID] {
		old = old[1:]
	}
	if len(now) > 0 || len(old) > 0 || more {
		resp.NextPageToken = at.token()
	}
	return resp, nil
}

func newer(l history.Line, than *distributionv1.Distribution) bool {
	t := than.GetCreatedAt().AsTime()
	return l.Created.After(t) || l.Created.Equal(t) && l.ID > than.GetId()
}

// recordsAfter finds the first records that were created before a place.
func (s *Server) recordsAfter(ctx context.Context, production string, at listPlace, most int) (*distributionv1.ListDistributionsResponse, error) {
	token := ""
	for {
		page, err := s.records.ListDistributions(ctx, &distributionv1.ListDistributionsRequest{Production: production, PageSize: 1000, PageToken: token})
		if err != nil {
			return nil, err
		}
		out := &distributionv1.ListDistributionsResponse{NextPageToken: page.GetNextPageToken()}
		for _, d := range page.GetDistributions() {
			t := d.GetCreatedAt().AsTime()
			if t.After(at.created) || t.Equal(at.created) && d.GetId() >= at.id {
				continue
			}
			if len(out.GetDistributions()) == most {
				out.NextPageToken = d.GetId()
				break
			}
			out.Distributions = append(out.Distributions, d)
		}
		if len(out.GetDistributions()) > 0 || out.GetNextPageToken() == "" {
			return out, nil
		}
		token = page.GetNextPageToken()
	}
}
