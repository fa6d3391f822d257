package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/people"
	"github.com/filigreehq/filigree/pkg/rpc"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// mostFindings is how many findings one answer has.
const mostFindings = 1000

// Severities of findings.
const (
	refuses = "refuses"
	warns   = "warns"
	tells   = "tells"
)

// CheckDistribution implements distributionv1.DistributionServiceServer. Whether it refuses is decided by planned, as it is
// when a distribution is created; the findings say in detail what planned says in a sentence.
func (s *Server) CheckDistribution(ctx context.Context, req *distributionv1.CheckDistributionRequest) (*distributionv1.CheckDistributionResponse, error) {
	start := proto.CloneOf(req.GetDistribution())
	if start == nil {
		start = &distributionv1.CreateDistributionRequest{}
	}
	start.Production = req.GetProduction()
	c := &inspection{resp: &distributionv1.CheckDistributionResponse{}}
	err := rpc.Validate(start)
	if err != nil { // how much of it there is has no bound: nothing more is looked at
		c.resp.Refused = true
		return c.resp, c.fault(err, nil, "")
	}
	_, err = s.planned(ctx, start)
	if err != nil {
		f := fault.From(err)
		if f.Reason == "PRODUCTION_UNKNOWN" || f.Kind != fault.Invalid && f.Kind != fault.NotFound && f.Kind != fault.Conflict {
			return nil, err // about the caller or the moment, not about what was asked
		}
		c.resp.Refused = true
	}
	more := s.look(ctx, start, c)
	if more != nil {
		return nil, more
	}
	if err != nil && !c.refused {
		f := fault.From(err)
		c.find(f.Reason, refuses, f.Message, nil, "")
	}
	return c.resp, nil
}

// inspection is what was found so far.
type inspection struct {
	resp    *distributionv1.CheckDistributionResponse
	refused bool
}

func (c *inspection) find(code, severity, message string, whom *distributionv1.RecipientInput, file string) {
	c.refused = c.refused || severity == refuses
	if len(c.resp.GetFindings()) == mostFindings {
		c.resp.LeftOut++
		return
	}
	f := &distributionv1.Finding{Code: code, Severity: severity, Message: message, File: file}
	if whom != nil {
		f.Name, f.Email = whom.GetName(), whom.GetEmail()
	}
	c.resp.Findings = append(c.resp.Findings, f)
}

// fault finds what err refuses; what is not about the request is the answer.
func (c *inspection) fault(err error, whom *distributionv1.RecipientInput, file string) error {
	f := fault.From(err)
	if f.Kind != fault.Invalid && f.Kind != fault.NotFound && f.Kind != fault.Conflict {
		return err
	}
	c.find(f.Reason, refuses, f.Message, whom, file)
	return nil
}

// look goes through all stages of planned, each as far as the ones before let it.
func (s *Server) look(ctx context.Context, req *distributionv1.CreateDistributionRequest, c *inspection) error {
	files, err := s.lookAtFiles(ctx, req, c)
	if err != nil {
		return err
	}
	to, err := s.resolve(ctx, req)
	if err != nil {
		return c.fault(err, nil, "")
	}
	for _, m := range to.merged {
		c.find("RECIPIENT_MERGED", tells, m.GetEmail()+" is named more than once, as recipient "+strconv.Itoa(m.number)+", too: it is one recipient", m.RecipientInput, "")
	}
	c.resp.Files, c.resp.Recipients = int32(len(req.GetFiles())), int32(len(to.req.GetRecipients()))
	c.resp.Items = c.resp.GetFiles() * c.resp.GetRecipients()
	c.resp.BytesTotal = c.resp.GetBytesEach() * int64(c.resp.GetRecipients())
	if s.byLink(to.req, c.resp.GetBytesEach()) {
		c.find("SENT_BY_LINK", warns, fmt.Sprintf("the documents have %.1f MB together, and at most %.1f MB are attached to a mail: everybody gets a link instead",
			float64(c.resp.GetBytesEach())/1e6, float64(s.cfg.attached())/1e6), nil, "")
	}
	good, wrong := goodRecipients(to.req, to.inline)
	for _, w := range wrong {
		whom := to.req.GetRecipients()[w.number-1]
		message := w.reason
		if better := people.Suggest(whom.GetEmail()); better != "" {
			message += "; did you mean " + better + "?"
		}
		c.find("RECIPIENT_INVALID", refuses, message, whom, "")
	}
	for _, r := range to.req.GetRecipients() {
		if better := people.Suggest(r.GetEmail()); better != "" && people.Address(r.GetEmail()) {
			c.find("ADDRESS_TYPO", warns, r.GetEmail()+" looks like a typing error: did you mean "+better+"?", r, "")
		}
	}
	return s.lookAtMarks(ctx, to.req, files, good, c)
}

// lookAtFiles finds what is known of each file. What was refused by inspection is let through, as by a distribution: its items
// fail and say why.
func (s *Server) lookAtFiles(ctx context.Context, req *distributionv1.CreateDistributionRequest, c *inspection) ([]file, error) {
	var out []file
	seen := map[string]bool{}
	for _, ref := range req.GetFiles() {
		if seen[ref.GetSha256()] {
			c.find("FILE_DUPLICATE", refuses, "the file is there twice; send each file once", nil, ref.GetSha256())
			continue
		}
		seen[ref.GetSha256()] = true
		got, err := s.deps.Files.GetFile(ctx, &filev1.GetFileRequest{Production: req.GetProduction(), File: ref.GetSha256()})
		if err != nil {
			err = c.fault(err, nil, ref.GetSha256())
			if err != nil {
				return nil, err
			}
			continue
		}
		f := got.GetFile()
		c.resp.BytesEach += f.GetSize()
		name := ref.GetName()
		if name == "" {
			name = f.GetName()
		}
		out = append(out, file{SHA256: ref.GetSha256(), Name: name})
		switch f.GetVerdict() {
		case "refused":
			c.find(f.GetErrorCode(), warns, f.GetErrorMessage()+"; its items would fail", nil, ref.GetSha256())
		case "unknown":
			c.find("FILE_NOT_INSPECTED", tells, "it was not looked through yet; whether it can be marked is found out before anything is sent", nil, ref.GetSha256())
		}
		for _, note := range f.GetNotes() {
			c.find("FILE_NOTE", tells, note, nil, ref.GetSha256())
		}
	}
	return out, nil
}

// lookAtMarks composes everybody's mark, with the code that copies are stamped with.
func (s *Server) lookAtMarks(ctx context.Context, req *distributionv1.CreateDistributionRequest, files []file, good []addressee, c *inspection) error {
	if len(good) == 0 || len(files) == 0 {
		return nil
	}
	known := make([]store.Recipient, len(good))
	for i, r := range good {
		known[i] = r.Recipient
	}
	l := newLook(req)
	err := l.spec().Style.Validate()
	if err != nil {
		return c.fault(badMark(err), nil, "")
	}
	missing := false
	standard := append(mark.Standard(), "file")
	for _, field := range mark.Fields(l.Template) {
		if slices.Contains(standard, field) {
			continue
		}
		without := withoutField(field, known)
		for _, i := range without {
			missing = true
			c.find("MARK_FIELD_UNKNOWN", refuses, "the mark names {"+field+"}, and there is none of "+good[i].Name, req.GetRecipients()[good[i].number-1], "")
		}
	}
	err = mark.Validate(l.Template, fieldsOf(known)...)
	if missing || err != nil {
		if err != nil && !missing {
			return c.fault(badMark(err), nil, "")
		}
		return nil
	}
	production, err := s.deps.Directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: req.GetProduction()})
	if err != nil {
		return err
	}
	d := &distribution{production: req.GetProduction(), spec: newSpec(ctx, req, production.GetProduction(), files)}
	errs, err := d.marks(ctx, l, good)
	if err != nil {
		return c.fault(err, nil, "")
	}
	for i, bad := range errs {
		var m *mark.Error
		if errors.As(bad, &m) {
			c.find(m.Reason, refuses, m.Message, req.GetRecipients()[good[i].number-1], "")
		}
	}
	return nil
}

// withoutField are the indexes of recipients that lack a field which others have; if nobody has it the mark itself is wrong.
func withoutField(field string, list []store.Recipient) []int {
	var without []int
	for i, r := range list {
		if _, has := r.Fields[field]; !has {
			without = append(without, i)
		}
	}
	if len(without) == len(list) {
		return nil
	}
	return without
}
