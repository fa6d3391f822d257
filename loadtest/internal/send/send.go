// Package send measures the whole road, from a request to the mail server's acceptance of the last mail: distributions of
// generated scripts over REST, to an installation that is named, or to one that it starts, whose mails it takes itself.
package send

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/loadtest/internal/rig"
	"github.com/filigreehq/filigree/loadtest/internal/stat"
	"github.com/filigreehq/filigree/loadtest/samples"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// Profiles of load.
const (
	One   = "one"   // one distribution
	Many  = "many"  // one after the other, each requested when the one before is over
	Mixed = "mixed" // a big one, and beside it small ones of 5 items, one after the other
	Burst = "burst" // all requested at once
)

// Options say what to send.
type Options struct {
	Files, Recipients int
	Profile           string
	Count             int    // how many distributions Many and Burst have, and how many small ones Mixed has
	URL, Token        string // of an installation; empty: one is started
	Production        string
	Mode              string // attachment or link
	Password          bool   // one of its own for each recipient
	Fsync             string // of the installation that is started
	Limit             time.Duration
	// Args and Env are more arguments and variables for the installation that is started.
	Args, Env []string
}

// Figures is what was measured.
type Figures struct {
	Profile       string `json:"profile"`
	Files         int    `json:"files"`
	Recipients    int    `json:"recipients"`
	Mode          string `json:"mode"`
	Password      bool   `json:"password"`
	Distributions int    `json:"distributions"`
	Items         int    `json:"items"`
	// UploadSeconds is how long storing the files took, before the first request.
	UploadSeconds float64 `json:"upload_seconds"`
	// Seconds is from the first request to the acceptance of the last mail.
	Seconds        float64 `json:"seconds"`
	ItemsPerSecond float64 `json:"items_per_second"`
	Mails          int     `json:"mails"`
	MailBytes      int64   `json:"mail_bytes,omitempty"`
	// Each is what distributions took, from request to acceptance of the last mail; of Mixed, the small ones.
	Each stat.Quantiles `json:"each"`
	// Big is what Mixed's big one took, in seconds.
	Big float64 `json:"big_seconds,omitempty"`
	// CPU is the processor time of an installation of our own meanwhile, without its redis-server's.
	CPU   float64 `json:"cpu_seconds,omitempty"`
	Steps []Step  `json:"steps"`
	// By says whose clock it was: "smtp" is our mail server's, "events" the installation's.
	By string `json:"measured_by"`
}

// Measure runs a profile.
func Measure(ctx context.Context, o Options, progress func(string)) (_ Figures, err error) {
	r, err := rig.New()
	if err != nil {
		return Figures{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	s, err := open(ctx, r, o)
	if err != nil {
		return Figures{}, err
	}
	begin := time.Now()
	files, err := s.upload(ctx, o.Production, o.Files)
	if err != nil {
		return Figures{}, err
	}
	f := Figures{Profile: o.Profile, Files: o.Files, Recipients: o.Recipients, Mode: o.Mode, Password: o.Password, By: s.by(), UploadSeconds: time.Since(begin).Seconds()}
	progress(fmt.Sprintf("%d files are stored and checked, %.1f s", o.Files, f.UploadSeconds))
	before := s.cpu()
	var jobs, small []*job
	switch o.Profile {
	case One:
		jobs, err = s.burst(ctx, o, files, 1)
	case Burst:
		jobs, err = s.burst(ctx, o, files, o.Count)
	case Many:
		jobs, err = s.oneByOne(ctx, o, files, o.Count)
	case Mixed:
		jobs, small, err = s.mixed(ctx, o, files)
	}
	if err != nil {
		return Figures{}, err
	}
	f.CPU = (s.cpu() - before).Seconds()
	err = s.settle(ctx, append(jobs, small...))
	if err != nil {
		return Figures{}, err
	}
	f.sum(jobs, small)
	if s.sink != nil {
		f.Mails, f.MailBytes = s.sink.Total()
	}
	f.Steps, err = s.steps(ctx, append(jobs, small...))
	return f, err
}

// sum adds up jobs; the small ones of a mixed load are told apart.
func (f *Figures) sum(jobs, small []*job) {
	all := append(jobs, small...)
	first, last := all[0].requested, all[0].mailed
	for _, j := range all {
		f.Items += j.items
		f.Mails += j.people
		first, last = earlier(first, j.requested), later(last, j.mailed)
	}
	f.Distributions = len(all)
	f.Seconds = last.Sub(first).Seconds()
	f.ItemsPerSecond = float64(f.Items) / f.Seconds
	if len(small) > 0 {
		f.Big = jobs[0].took().Seconds()
		jobs = small
	}
	f.Each = stat.QuantilesOf(times(jobs))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func times(jobs []*job) []time.Duration {
	var all []time.Duration
	for _, j := range jobs {
		all = append(all, j.took())
	}
	return all
}

// job is one distribution.
type job struct {
	id, production string
	addresses      []string
	delivered      int // of them, from the first on, how many have their mail
	items, people  int
	requested      time.Time
	mailed         time.Time // when its last mail was accepted
	state          *distributionv1.Distribution
	events         []*distributionv1.Event
}

func (j *job) took() time.Duration { return j.mailed.Sub(j.requested) }

// upload stores n drafts of a script, each checked and prepared when it returns.
func (s *site) upload(ctx context.Context, production string, n int) ([]*distributionv1.FileRef, error) {
	var files []*distributionv1.FileRef
	for i := range n {
		data, err := samples.Draft(i + 1)
		if err != nil {
			return nil, fmt.Errorf("make a script: %w", err)
		}
		f, err := s.client.In(production).Upload(ctx, fmt.Sprintf("draft-%d.pdf", i+1), data)
		if err != nil {
			return nil, fmt.Errorf("upload a script: %w", err)
		}
		files = append(files, &distributionv1.FileRef{Sha256: f.GetSha256()})
	}
	return files, nil
}

// request starts a distribution of files to n people whom no other one is for.
func (s *site) request(ctx context.Context, o Options, production string, files []*distributionv1.FileRef, n int) (*job, error) {
	j := &job{production: production, items: len(files) * n, people: n}
	req := &distributionv1.CreateDistributionRequest{Title: "Load", Mode: o.Mode, IdempotencyKey: rand.Text()}
	for _, f := range files {
		req.Files = append(req.Files, proto.CloneOf(f))
	}
	if o.Password {
		req.Password = "generate"
	}
	number := s.requests.Add(1)
	for i := range n {
		address := fmt.Sprintf("person%d@d%d.load.example.com", i+1, number)
		j.addresses = append(j.addresses, address)
		req.Recipients = append(req.Recipients, &distributionv1.RecipientInput{Name: fmt.Sprint("Person Number", i+1), Email: address})
	}
	j.requested = time.Now()
	d, err := s.client.In(production).Create(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("create a distribution: %w", err)
	}
	j.id = d.GetId()
	return j, nil
}

// over waits for a distribution's end. While its mails are not there it hardly asks, since asking is load; then it asks each
// look.
func (s *site) over(ctx context.Context, j *job, look time.Duration) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for asked := time.Now(); ; {
		if s.delivered(j) || time.Since(asked) > seldom {
			d, err := s.client.In(j.production).Distribution(ctx, j.id)
			if err != nil {
				return fmt.Errorf("look at distribution %s: %w", j.id, err)
			}
			j.state, asked = d, time.Now()
			if d.GetEndedAt() != nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// delivered says whether the mails of a distribution have come here; where they go elsewhere nobody knows.
func (s *site) delivered(j *job) bool {
	for s.sink != nil && j.delivered < len(j.addresses) && len(s.sink.To(j.addresses[j.delivered])) > 0 {
		j.delivered++
	}
	return s.sink == nil || j.delivered == len(j.addresses)
}

// How often a distribution's end is looked for: the next one waits for it, or nobody does.
const (
	soon   = 2 * time.Millisecond
	seldom = 100 * time.Millisecond
)

// burst requests n distributions at once and waits for them.
func (s *site) burst(ctx context.Context, o Options, files []*distributionv1.FileRef, n int) ([]*job, error) {
	jobs, errs := make([]*job, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			jobs[i], errs[i] = s.request(ctx, o, o.Production, files, o.Recipients)
			if errs[i] == nil {
				errs[i] = s.over(ctx, jobs[i], seldom)
			}
		})
	}
	all.Wait()
	return jobs, errors.Join(errs...)
}

// oneByOne requests n distributions, each when the one before is over.
func (s *site) oneByOne(ctx context.Context, o Options, files []*distributionv1.FileRef, n int) ([]*job, error) {
	var jobs []*job
	for range n {
		j, err := s.request(ctx, o, o.Production, files, o.Recipients)
		if err == nil {
			err = s.over(ctx, j, soon)
		}
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// smallItems is how many items a small distribution has: a file, to so many people.
const smallItems = 5

// mixed runs a big one, and small ones beside it.
func (s *site) mixed(ctx context.Context, o Options, files []*distributionv1.FileRef) (big, small []*job, err error) {
	j, err := s.request(ctx, o, o.Production, files, o.Recipients)
	if err != nil {
		return nil, nil, err
	}
	o.Recipients = smallItems
	small, err = s.oneByOne(ctx, o, files[:1], o.Count)
	if err != nil {
		return nil, nil, err
	}
	return []*job{j}, small, s.over(ctx, j, seldom)
}

// settle checks that everybody has their mail, and finds out when the last was accepted.
func (s *site) settle(ctx context.Context, jobs []*job) error {
	for _, j := range jobs {
		if j.state.GetState() != "completed" {
			return fmt.Errorf("distribution %s ended as %s, want it completed: items %v; recipients %v", j.id, j.state.GetState(), j.state.GetItems(), j.state.GetRecipients())
		}
		var err error
		j.events, err = s.client.In(j.production).Events(ctx, j.id)
		if err != nil {
			return fmt.Errorf("read the events of %s: %w", j.id, err)
		}
		if s.sink == nil {
			j.byEvents()
			continue
		}
		for _, address := range j.addresses {
			mails := s.sink.To(address)
			if len(mails) == 0 {
				return fmt.Errorf("distribution %s has completed, and no mail came for %s", j.id, address)
			}
			j.mailed = later(j.mailed, mails[0].At)
		}
	}
	return nil
}

// byEvents takes both ends from the log of events, as the mails went elsewhere.
func (j *job) byEvents() {
	for _, e := range j.events {
		switch {
		case e.GetKind() == "accepted":
			j.requested, j.mailed = e.GetTime().AsTime(), e.GetTime().AsTime()
		case e.GetKind() == "attempt" && e.GetStep() == "email":
			j.mailed = later(j.mailed, e.GetTime().AsTime())
		}
	}
}
