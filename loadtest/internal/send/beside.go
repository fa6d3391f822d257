package send

import (
	"context"
	"errors"
	"fmt"

	"github.com/filigreehq/filigree/loadtest/internal/rig"
	"github.com/filigreehq/filigree/loadtest/internal/stat"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// Beside is what small distributions of 5 items took, from request to acceptance of the last mail, alone and while a big
// one ran.
type Beside struct {
	Count    int            `json:"count"` // of each kind
	BigItems int            `json:"big_items"`
	Alone    stat.Quantiles `json:"alone"`
	Same     stat.Quantiles `json:"same_production"`
	Other    stat.Quantiles `json:"other_production"`
	// Allowed is what p95 may be beside the big one: 1.5 × alone and 250 ms.
	Allowed float64 `json:"allowed_p95_ms"`
	// Memory is the most that an installation of our own had resident in bytes, all services in one process; 0 elsewhere.
	Memory int64 `json:"peak_memory,omitempty"`
}

// otherProduction is where small ones run that have nothing to do with the big one.
const otherProduction = "beside"

// MeasureBeside runs small ones alone, then beside a big one of o.Files × o.Recipients in its production, then beside it
// in another. The big one is cancelled when they are done; when it ends before, it is followed by another.
func MeasureBeside(ctx context.Context, o Options, progress func(string)) (_ Beside, err error) {
	r, err := rig.New()
	if err != nil {
		return Beside{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	s, err := open(ctx, r, o)
	if err != nil {
		return Beside{}, err
	}
	err = s.client.CreateProduction(ctx, otherProduction)
	if err != nil {
		return Beside{}, fmt.Errorf("make another production: %w", err)
	}
	files, err := s.upload(ctx, o.Production, o.Files)
	if err != nil {
		return Beside{}, err
	}
	others, err := s.upload(ctx, otherProduction, 1)
	if err != nil {
		return Beside{}, err
	}
	b := Beside{Count: o.Count, BigItems: o.Files * o.Recipients}
	big := &bigOne{site: s, o: o, files: files}
	for _, part := range []struct {
		name, production string
		files            []*distributionv1.FileRef
		beside           bool
		into             *stat.Quantiles
	}{
		{"alone", o.Production, files[:1], false, &b.Alone},
		{"beside a big one", o.Production, files[:1], true, &b.Same},
		{"beside a big one of another production", otherProduction, others, true, &b.Other},
	} {
		var jobs []*job
		small := o
		small.Production, small.Recipients = part.production, smallItems
		for range o.Count {
			if part.beside {
				err = big.keep(ctx)
				if err != nil {
					return Beside{}, err
				}
			}
			one, err := s.oneByOne(ctx, small, part.files, 1)
			if err != nil {
				return Beside{}, err
			}
			jobs = append(jobs, one...)
		}
		err = s.settle(ctx, jobs)
		if err != nil {
			return Beside{}, err
		}
		*part.into = stat.QuantilesOf(times(jobs))
		progress(fmt.Sprintf("%d small ones %s: p95 %.0f ms", o.Count, part.name, part.into.P95))
	}
	b.Allowed = 1.5*b.Alone.P95 + 250
	if s.up != nil {
		b.Memory = s.up.Memory()
	}
	return b, big.end(ctx)
}

// bigOne is the big distribution that runs.
type bigOne struct {
	site  *site
	o     Options
	files []*distributionv1.FileRef
	now   *job
}

// keep makes sure that a big one is running.
func (b *bigOne) keep(ctx context.Context) error {
	if b.now != nil {
		d, err := b.site.client.In(b.o.Production).Distribution(ctx, b.now.id)
		if err != nil {
			return fmt.Errorf("look at the big distribution: %w", err)
		}
		if d.GetEndedAt() == nil {
			return nil
		}
	}
	var err error
	b.now, err = b.site.request(ctx, b.o, b.o.Production, b.files, b.o.Recipients)
	return err
}

// end cancels it and waits until nothing of it runs.
func (b *bigOne) end(ctx context.Context) error {
	d, err := b.site.client.In(b.o.Production).Distribution(ctx, b.now.id)
	if err != nil || d.GetEndedAt() != nil {
		return err
	}
	err = b.site.client.In(b.o.Production).Cancel(ctx, b.now.id)
	if err != nil {
		return fmt.Errorf("cancel the big distribution: %w", err)
	}
	return b.site.over(ctx, b.now, seldom)
}
