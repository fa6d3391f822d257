package orchestrator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// choice is what a person asked a retry for, or to give up instead, as it is kept until that is done.
type choice struct {
	// Act is empty for a retry, else actSkip or actCancel.
	Act string `json:"act,omitempty"`
	// Step is what is given up; empty: any.
	Step string `json:"step,omitempty"`
	// Numbers are the recipients meant, in order; nil: all.
	Numbers []int  `json:"numbers,omitempty"`
	Code    string `json:"code,omitempty"`
	Redo    bool   `json:"redo,omitempty"`
	// Mark and Style replace what they stand for, if they are there.
	Mark  string `json:"mark,omitempty"`
	Style *look  `json:"style,omitempty"`
	By    string `json:"by,omitempty"`
}

// marks reports whether the choice is of another mark.
func (c *choice) marks() bool { return c.Mark != "" || c.Style != nil }

// look is the mark from now on of who had was.
func (c *choice) look(was look) look {
	now := was
	if c.Style != nil {
		now = *c.Style
		now.Template = was.Template
	}
	if c.Mark != "" {
		now.Template = c.Mark
	}
	return now
}

// each is how many recipients the choice means, of a distribution to all of them, and at the n-th.
func (c *choice) each(all int) (count int, at func(int) int) {
	if c.Numbers == nil {
		return all, func(n int) int { return n + 1 }
	}
	return len(c.Numbers), func(n int) int { return c.Numbers[n] }
}

// slice is the recipients meant from the from-th on, at most n.
func (c *choice) slice(all, from, n int) []int {
	count, at := c.each(all)
	var out []int
	for i := from; i < min(from+n, count); i++ {
		out = append(out, at(i))
	}
	return out
}

// id is the same for the same choice, whoever makes it.
func (c *choice) id() (string, error) {
	bare := *c
	bare.By = ""
	raw, err := json.Marshal(bare)
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8]), err
}

// String says it in words.
func (c *choice) String() string {
	words := []string{"all recipients"}
	if c.Numbers != nil {
		words[0] = strconv.Itoa(len(c.Numbers)) + " of the recipients"
		if len(c.Numbers) == 1 {
			words[0] = "recipient " + strconv.Itoa(c.Numbers[0])
		}
	}
	if c.Step != "" {
		words = append(words, "the step "+c.Step)
	}
	if c.Code != "" {
		words = append(words, "what failed with "+c.Code)
	}
	if c.Redo {
		words = append(words, "what is done again")
	}
	if c.Mark != "" {
		words = append(words, "the mark "+strconv.Quote(c.Mark))
	}
	if c.Style != nil {
		words = append(words, "another style of mark")
	}
	return strings.Join(words, "; ")
}

// atOnce is how many recipients one call looks at, and one slice of a retry has.
const atOnce = 100

// RetryDistribution implements distributionv1.DistributionServiceServer.
func (s *Server) RetryDistribution(ctx context.Context, req *distributionv1.RetryDistributionRequest) (*distributionv1.RetryDistributionResponse, error) {
	d, err := s.find(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	c := choice{Code: req.GetCode(), Redo: req.GetDone() == "redo", Mark: req.GetMark(), By: who(ctx)}
	c.Numbers, err = d.numbers(req.GetRecipients())
	if err != nil {
		return nil, err
	}
	if req.GetMarkStyle() != nil {
		c.Style = new(styleOf(req.GetMarkStyle()))
	}
	err = s.retry(ctx, d, c)
	if err != nil {
		return nil, err
	}
	v, err := s.view(ctx, d.production, d.id)
	if err != nil {
		return nil, err
	}
	return &distributionv1.RetryDistributionResponse{Distribution: v}, nil
}

// retry begins what c chooses; a chore does it. It refuses what cannot be done before anything changes.
func (s *Server) retry(ctx context.Context, d *distribution, c choice) error {
	sum, err := s.store.Get(ctx, d.production, d.id)
	if errors.Is(err, store.ErrNotFound) {
		return unknown(d.id)
	}
	if err != nil {
		return unavailable(err)
	}
	if sum.CancelRequested {
		return s.reviveError(d, store.ErrCancelled)
	}
	possible := sum.State != plan.Accepted || c.marks()
	if possible && !c.marks() {
		possible = anyEnded(sum, c.Redo)
	}
	if possible && c.marks() {
		possible, err = s.checkChoice(ctx, d, &c)
		if err != nil {
			return err
		}
	}
	count, _ := c.each(d.size.Recipients)
	if possible && count <= atOnce {
		possible, err = s.anyToRetry(ctx, d, &c)
		if err != nil {
			return unavailable(err)
		}
	}
	if !possible {
		return c.nothing()
	}
	id, err := c.id()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	err = s.store.AskAgain(ctx, d.production, d.id, store.Ask{ID: id, Choice: raw, Who: c.By, Text: c.String()})
	if err != nil {
		return s.reviveError(d, err)
	}
	s.kickChores()
	s.deps.Log.InfoContext(ctx, "retry asked for", "distribution", d.id, "production", d.production, "by", c.By, "code", c.Code, "redo", c.Redo, "mark", c.marks())
	return nil
}

func (c *choice) nothing() error {
	switch {
	case c.marks():
		return fault.New(fault.Conflict, "NOTHING_TO_RETRY", "the mark of the recipients chosen is this one already, and nothing of theirs has failed, so there is nothing to do again")
	case c.Redo:
		return fault.New(fault.Conflict, "NOTHING_TO_RETRY", "nothing has come to its end that this chooses, so there is nothing to do again")
	case c.Code != "":
		return fault.New(fault.Conflict, "NOTHING_TO_RETRY", "nothing that this chooses has failed with %s, so there is nothing to do again", c.Code)
	case c.Numbers != nil:
		return fault.New(fault.Conflict, "NOTHING_TO_RETRY", "nothing of these recipients has failed, so there is nothing to do again")
	}
	return fault.New(fault.Conflict, "NOTHING_TO_RETRY", "nothing of this distribution has failed, so there is nothing to do again")
}

// anyEnded reports whether any step has failed or, when done ones count, too, has ended.
func anyEnded(sum *store.Summary, done bool) bool {
	for _, counts := range sum.Steps {
		for state, n := range counts {
			if n > 0 && (state == plan.Failed || state == plan.Cancelled || done && state.Final()) {
				return true
			}
		}
	}
	return false
}

// checkChoice holds another mark against all recipients meant. With a code it finds them first, and from then on the choice
// means them alone: those that were looked at. It reports whether there are any.
func (s *Server) checkChoice(ctx context.Context, d *distribution, c *choice) (bool, error) {
	if c.Code != "" {
		chosen := []int{}
		err := s.slices(ctx, d, c, func(n int, h household) {
			if h.failedWith(c.Code) {
				chosen = append(chosen, n)
			}
		})
		if err != nil {
			return false, unavailable(err)
		}
		c.Numbers = chosen
	}
	// Who has a mark of their own may have another text or another style than the others.
	looks := map[look][]addressee{}
	count, _ := c.each(d.size.Recipients)
	for from := 0; from < count; from += 1000 {
		numbers := c.slice(d.size.Recipients, from, 1000)
		people, err := s.store.Recipients(ctx, d.production, d.id, numbers)
		if err != nil {
			return false, unavailable(err)
		}
		for i, n := range numbers {
			l := c.look(d.spec.of(people[i]))
			looks[l] = append(looks[l], addressee{n, people[i]})
		}
	}
	for l, people := range looks {
		known := make([]store.Recipient, len(people))
		for i, p := range people {
			known[i] = p.Recipient
		}
		err := checkMark(l, known)
		if err != nil {
			return false, err
		}
		err = d.checkMarks(ctx, l, people, "Choose another mark, or other recipients; nothing was changed")
		if err != nil {
			return false, err
		}
	}
	return count > 0, nil
}

// slices reads the records of all recipients meant, slice by slice.
func (s *Server) slices(ctx context.Context, d *distribution, c *choice, each func(n int, h household)) error {
	count, _ := c.each(d.size.Recipients)
	size := d.sliceSize()
	for from := 0; from < count; from += size {
		numbers := c.slice(d.size.Recipients, from, size)
		known, err := s.households(ctx, d, numbers)
		if err != nil {
			return err
		}
		for i, n := range numbers {
			each(n, known[i])
		}
	}
	return nil
}

// sliceSize is how many recipients are looked at in one go, so that it is a bounded number of records.
func (d *distribution) sliceSize() int { return min(atOnce, max(1, 1000/(d.size.Files+1))) }

// anyToRetry reports whether the choice changes anything at all. Of more recipients than a call looks at it is not asked.
func (s *Server) anyToRetry(ctx context.Context, d *distribution, c *choice) (bool, error) {
	files, err := s.store.Units(ctx, d.production, d.id, d.fileUnits())
	if err != nil {
		return false, err
	}
	if len(d.failedFiles(states(files), c.Code)) > 0 {
		return true, nil
	}
	whole, err := s.failedWhole(ctx, d, c)
	if err != nil || len(whole) > 0 {
		return len(whole) > 0, err
	}
	count, _ := c.each(d.size.Recipients)
	people, err := s.store.Recipients(ctx, d.production, d.id, c.slice(d.size.Recipients, 0, count))
	if err != nil {
		return false, err
	}
	any, i := false, 0
	err = s.slices(ctx, d, c, func(_ int, h household) {
		w := d.wishFor(c, h, people[i])
		any = any || w.busy || w.something()
		i++
	})
	return any, err
}

// failedWith reports whether anything of a household failed with code.
func (h household) failedWith(code string) bool {
	return slices.ContainsFunc(states(h), func(u plan.UnitState) bool { return u.FailedWith(code) })
}

// wish is what a choice makes of one recipient.
type wish struct {
	revived plan.Revived
	// data is what is known of the recipient from now on; nil: as it was.
	data *store.Recipient
	// old is the revision of the delivery that another one replaces, or -1.
	old  int
	busy bool
}

func (w *wish) something() bool { return len(w.revived.Revivals) > 0 || w.data != nil }

func (d *distribution) wishFor(c *choice, h household, person store.Recipient) wish {
	w := wish{old: -1}
	if c.Code != "" && !h.failedWith(c.Code) {
		return w
	}
	redo := plan.Redo{Copies: c.Redo, Delivery: c.Redo}
	was := d.spec.of(person)
	now := c.look(was)
	if now != was {
		redo.Changed = func(step *plan.Step) bool { return d.steady[step.Name].uses.Mark }
		person.Look = nil
		if now != d.spec.look() {
			person.Look = new(store.Look(now))
		}
		w.data = &person
	}
	w.revived = d.revived(h, redo)
	if (c.Redo || now != was) && reached(h, w.revived.Revivals) {
		// Another delivery: all of the recipient's own steps are of it.
		redo.Delivery = true
		w.revived = d.revived(h, redo)
		w.old = person.Revision
		person.Revision++
		person.Mails, person.Sent = 0, ""
		w.data = &person
	}
	w.busy = w.revived.Busy
	return w
}

// reached reports whether a step of the recipient's own is among the revivals that may have reached them: it was tried.
func reached(h household, revivals []plan.Revival) bool {
	own := h[len(h)-1]
	return slices.ContainsFunc(revivals, func(r plan.Revival) bool {
		return r.Scope() == plan.ScopeRecipient && own.Steps[r.Step.Name].Attempts > 0
	})
}

// numbers are the recipients that ids name, in order and each once; nil if there are none.
func (d *distribution) numbers(ids []string) ([]int, error) {
	var out []int
	for _, id := range ids {
		n, err := d.number(id)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// number is the recipient that id names.
func (d *distribution) number(id string) (int, error) {
	text, ok := strings.CutPrefix(id, d.id+".r")
	n, err := strconv.Atoi(text)
	if !ok || err != nil || n < 1 || n > d.size.Recipients || recipientID(d.id, n) != id {
		return 0, fault.New(fault.NotFound, "RECIPIENT_UNKNOWN", "there is no recipient %q in distribution %s", id, d.id)
	}
	return n, nil
}

// progress is how far a retry is: the cursor of its chore.
type progress struct {
	// next is the recipient to go on with, counted among those meant; -1: files come first.
	next int
	// ends names a delivery, by recipient and revision, whose link must be ended before anything else.
	ends string
}

func (p progress) String() string {
	if p.next < 0 {
		return store.FirstCursor
	}
	if p.ends != "" {
		return strconv.Itoa(p.next) + ":" + p.ends
	}
	return strconv.Itoa(p.next)
}

func parseProgress(cursor string) (progress, error) {
	if cursor == store.FirstCursor {
		return progress{next: -1}, nil
	}
	text, ends, _ := strings.Cut(cursor, ":")
	n, err := strconv.Atoi(text)
	if err != nil {
		return progress{}, fmt.Errorf("retry: cursor %q: %w", cursor, err)
	}
	return progress{n, ends}, nil
}

// notNow is when a retry looks again at what a worker has.
const notNow = 200 * time.Millisecond

// retrySlice does one slice of a retry and lets whoever comes next go on, so that a long one keeps nobody waiting. Each
// recipient is revived together with the cursor: whoever goes on after a crash does none twice.
func (s *Server) retrySlice(ctx context.Context, d *distribution, ch store.Chore) error {
	err := s.retryOn(ctx, d, ch)
	switch {
	case errors.Is(err, store.ErrTaken):
		return nil
	case errors.Is(err, errBusy), errors.Is(err, store.ErrChanged):
		return s.store.PutBack(ctx, ch, notNow)
	}
	return err
}

func (s *Server) retryOn(ctx context.Context, d *distribution, ch store.Chore) error {
	raw, err := s.store.Choice(ctx, ch)
	if err != nil {
		return err
	}
	var c choice
	err = json.Unmarshal(raw, &c)
	if err != nil {
		return fmt.Errorf("retry of %s: %w", d.id, err)
	}
	at, err := parseProgress(ch.Cursor)
	if err != nil {
		return err
	}
	sum, err := s.store.Get(ctx, d.production, d.id)
	if err != nil {
		return err
	}
	if sum.State == plan.Accepted {
		return errBusy // being laid out
	}
	err = s.endOld(ctx, d, at)
	if err != nil {
		return err
	}
	count, _ := c.each(d.size.Recipients)
	if sum.CancelRequested || at.next > count {
		return s.retried(ctx, d, ch)
	}
	if at.next == count {
		return s.retryWhole(ctx, d, &c, ch, at)
	}
	if at.next < 0 {
		err = s.reviveFiles(ctx, d, c.Code, c.By)
		if err != nil {
			return err
		}
		at.next = 0
		err = s.proceed(ctx, d, &ch, at)
		if err != nil {
			return err
		}
	}
	numbers := c.slice(d.size.Recipients, at.next, d.sliceSize())
	known, err := s.households(ctx, d, numbers)
	if err != nil {
		return err
	}
	people, err := s.store.Recipients(ctx, d.production, d.id, numbers)
	if err != nil {
		return err
	}
	for i, n := range numbers {
		done, err := s.retryOne(ctx, d, &c, &ch, at, n, known[i], people[i])
		if errors.Is(err, store.ErrCancelled) {
			return s.retried(ctx, d, ch)
		}
		if err != nil && !errors.Is(err, store.ErrTaken) {
			// What was passed over need not be looked at again.
			return errors.Join(err, s.proceed(ctx, d, &ch, progress{next: at.next}))
		}
		if err != nil {
			return err
		}
		at.next++
		if done.ends != "" {
			at.ends = done.ends
			err = s.endOld(ctx, d, at)
			if err != nil {
				return err
			}
			at.ends = ""
		}
	}
	err = s.proceed(ctx, d, &ch, at)
	if err != nil {
		return err
	}
	if at.next >= count {
		return s.retryWhole(ctx, d, &c, ch, at)
	}
	return s.store.PutBack(ctx, ch, 0)
}

// retryOne does what c chooses for recipient n, who is the next of at, and moves the cursor past them with it. Where there
// is nothing to do the cursor stays.
func (s *Server) retryOne(ctx context.Context, d *distribution, c *choice, ch *store.Chore, at progress, n int, h household, person store.Recipient) (progress, error) {
	for try := range tries {
		if try > 0 {
			known, err := s.households(ctx, d, []int{n})
			if err != nil {
				return at, err
			}
			people, err := s.store.Recipients(ctx, d.production, d.id, []int{n})
			if err != nil {
				return at, err
			}
			h, person = known[0], people[0]
		}
		w := d.wishFor(c, h, person)
		switch {
		case w.busy:
			return at, errBusy
		case !w.something():
			return progress{next: at.next + 1}, nil
		}
		a, err := s.again(ctx, d, n, h, w.revived, w.data)
		if err != nil {
			return at, err
		}
		done := progress{next: at.next + 1}
		if w.old >= 0 && d.spec.Mode != "attachment" {
			done.ends = strconv.Itoa(n) + "." + strconv.Itoa(w.old)
		}
		a.Who, a.Kind, a.Chore, a.Next = c.By, "retry", *ch, done.String()
		err = s.store.Revive(ctx, d.graph, d.production, d.id, a)
		if err == nil {
			ch.Cursor = a.Next
			return done, nil
		}
		if !errors.Is(err, store.ErrChanged) {
			return at, err
		}
	}
	return at, store.ErrChanged
}

// endOld ends the link that at says must be ended.
func (s *Server) endOld(ctx context.Context, d *distribution, at progress) error {
	recipient, revision, ok := strings.Cut(at.ends, ".")
	if !ok {
		return nil
	}
	n, err1 := strconv.Atoi(recipient)
	r, err2 := strconv.Atoi(revision)
	err := errors.Join(err1, err2)
	if err != nil {
		return err
	}
	return s.endLink(ctx, d, deliveryID(d.id, n, r))
}

func (s *Server) proceed(ctx context.Context, d *distribution, ch *store.Chore, at progress) error {
	next := at.String()
	if next == ch.Cursor {
		return nil
	}
	_, err := s.store.Proceed(ctx, *ch, d.graph, next)
	if err == nil {
		ch.Cursor = next
	}
	return err
}

// retried ends a retry.
func (s *Server) retried(ctx context.Context, d *distribution, ch store.Chore) error {
	ended, err := s.store.Proceed(ctx, ch, d.graph, "")
	if err != nil {
		return err
	}
	s.said(ctx, d, ended)
	return nil
}
