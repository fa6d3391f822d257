// Package verdict decides whether a distribution went as it must. It compares four accounts of the same thing, which
// come from different places: what was ordered, what the API says, the log of events, and the mail server's ledger.
//
// It is pure, and it is strict: what it is not told to expect is a problem.
package verdict

import (
	"fmt"
	"slices"
	"strings"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/loadtest/internal/ledger"
)

// Person is somebody the distribution was ordered for.
type Person struct {
	Name, Email string
}

// Account is all that is known about an ended distribution.
type Account struct {
	// Files are the SHA-256 of the sources, in the order of the request; People likewise.
	Files  []string
	People []Person

	Distribution *distributionv1.Distribution
	Items        []*distributionv1.Item
	Recipients   []*distributionv1.Recipient
	Events       []*distributionv1.Event
	// Mails are all that the mail server took for this distribution.
	Mails []ledger.Mail
}

// Verdict is what was found.
type Verdict struct {
	// Problems is empty when all accounts agree and nobody got what they should not.
	Problems []string
	// Mails counts mails; Twice counts mails beyond one a recipient; Flagged counts recipients marked as perhaps having
	// got theirs twice.
	Mails, Twice, Flagged int
	// Done counts items by state.
	Items map[string]int
}

func (v *Verdict) add(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// String is one line of figures, and one a problem.
func (v *Verdict) String() string {
	var states []string
	for state, n := range v.Items {
		states = append(states, fmt.Sprintf("%d %s", n, state))
	}
	slices.Sort(states)
	word := "holds"
	if len(v.Problems) > 0 {
		word = fmt.Sprintf("%d problems", len(v.Problems))
	}
	s := fmt.Sprintf("verdict: %s; items %s; %d mails, %d of them repeats; %d recipients flagged", word, strings.Join(states, ", "), v.Mails, v.Twice, v.Flagged)
	for _, p := range v.Problems {
		s += "\n  " + p
	}
	return s
}

// Judge compares the accounts.
func Judge(a Account) *Verdict {
	v := &Verdict{Mails: len(a.Mails), Items: map[string]int{}}
	v.listing(a)
	v.counters(a)
	v.copies(a)
	v.mails(a)
	v.events(a)
	return v
}

var finalItem = []string{"done", "failed", "skipped", "cancelled"}

// reached are the states of a delivery in which the mail server has taken the mail.
var reached = []string{"sent", "delivered", "complained"}

// unsent are those in which it has not.
var unsent = []string{"failed", "blocked", "bounced", "cancelled"}

// listing: every pair of file and person is one item, in one final state; every person is one recipient.
func (v *Verdict) listing(a Account) {
	seen := map[string]int{}
	for _, i := range a.Items {
		v.Items[i.GetState()]++
		seen[i.GetFile().GetSha256()+" "+i.GetRecipient().GetEmail()]++
		if !slices.Contains(finalItem, i.GetState()) {
			v.add("item %s is %q, which is not final", i.GetId(), i.GetState())
		}
		if i.GetState() == "failed" && i.GetError().GetCode() == "" {
			v.add("item %s failed without saying why", i.GetId())
		}
		if i.GetState() == "done" && i.GetError() != nil {
			v.add("item %s is done and has an error, %s", i.GetId(), i.GetError().GetCode())
		}
	}
	for _, file := range a.Files {
		for _, p := range a.People {
			if n := seen[file+" "+p.Email]; n != 1 {
				v.add("file %.12s for %s is there %d times, want one item", file, p.Email, n)
			}
		}
	}
	if want := len(a.Files) * len(a.People); len(a.Items) != want {
		v.add("%d items are listed, want %d", len(a.Items), want)
	}
	if len(a.Recipients) != len(a.People) {
		v.add("%d recipients are listed, want %d", len(a.Recipients), len(a.People))
		return
	}
	for n, r := range a.Recipients {
		if r.GetEmail() != a.People[n].Email || r.GetName() != a.People[n].Name {
			v.add("recipient %d is %s <%s>, want %s <%s>", n+1, r.GetName(), r.GetEmail(), a.People[n].Name, a.People[n].Email)
		}
	}
}

// counters: the sums of the distribution, and of each recipient, are those of the listing.
func (v *Verdict) counters(a Account) {
	d := a.Distribution
	items := map[string]int{}
	of := map[string]map[string]int{}
	steps := map[string]map[string]string{} // step, unit it belongs to: state
	for _, i := range a.Items {
		items[i.GetState()]++
		email := i.GetRecipient().GetEmail()
		if of[email] == nil {
			of[email] = map[string]int{}
		}
		of[email][i.GetState()]++
		for _, s := range i.GetSteps() {
			if steps[s.GetName()] == nil {
				steps[s.GetName()] = map[string]string{}
			}
			steps[s.GetName()][unit(i, s.GetName())] = s.GetState()
		}
	}
	v.count("the distribution's items", d.GetItems(), items)
	deliveries := map[string]int{}
	for _, r := range a.Recipients {
		deliveries[r.GetDelivery().GetState()]++
		v.count("the items of "+r.GetEmail(), r.GetItems(), of[r.GetEmail()])
	}
	v.deliveries(d.GetRecipients(), deliveries)
	for _, s := range d.GetSteps() {
		states := map[string]int{}
		for _, state := range steps[s.GetName()] {
			states[state]++
		}
		for _, c := range []struct {
			state string
			n     int32
		}{
			{"pending", s.GetPending()},
			{"ready", s.GetReady()},
			{"running", s.GetRunning()},
			{"retrying", s.GetRetrying()},
			{"done", s.GetDone()},
			{"failed", s.GetFailed()},
			{"skipped", s.GetSkipped()},
			{"cancelled", s.GetCancelled()},
		} {
			if int(c.n) != states[c.state] {
				v.add("step %s: the counter says %d %s, the listing %d", s.GetName(), c.n, c.state, states[c.state])
			}
		}
	}
}

func (v *Verdict) count(what string, c *distributionv1.ItemCounts, listed map[string]int) {
	total := 0
	for _, n := range listed {
		total += n
	}
	for _, p := range []struct {
		state string
		n     int32
		want  int
	}{
		{"in all", c.GetTotal(), total},
		{"pending", c.GetPending(), listed["pending"]},
		{"running", c.GetRunning(), listed["running"]},
		{"done", c.GetDone(), listed["done"]},
		{"failed", c.GetFailed(), listed["failed"]},
		{"skipped", c.GetSkipped(), listed["skipped"]},
		{"cancelled", c.GetCancelled(), listed["cancelled"]},
	} {
		if int(p.n) != p.want {
			v.add("%s: the counter says %d %s, the listing %d", what, p.n, p.state, p.want)
		}
	}
}

func (v *Verdict) deliveries(c *distributionv1.DeliveryCounts, listed map[string]int) {
	fields := c.ProtoReflect().Descriptor().Fields()
	sum := 0
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		n := int(c.ProtoReflect().Get(fields.Get(i)).Int())
		if name == "total" {
			continue
		}
		sum += n
		if n != listed[name] {
			v.add("recipients: the counter says %d %s, the listing %d", n, name, listed[name])
		}
	}
	if int(c.GetTotal()) != sum {
		v.add("recipients: the total is %d, its parts are %d", c.GetTotal(), sum)
	}
}

// unit is what a step of an item is about, as events name it: i2.7, f2 or r7.
func unit(i *distributionv1.Item, step string) string {
	parts := strings.Split(i.GetId(), ".")
	if len(parts) != 3 {
		return i.GetId()
	}
	switch step {
	case "prepare":
		return "f" + parts[1]
	case "link", "email", "push":
		return "r" + parts[2]
	}
	return "i" + parts[1] + "." + parts[2]
}
