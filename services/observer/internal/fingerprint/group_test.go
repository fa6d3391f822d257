package fingerprint_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/filigreehq/filigree/services/observer/internal/fingerprint"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// sentences are five kinds of failures, with places for what differs.
var sentences = []struct{ function, code, text string }{
	{"email.Send", "EMAIL_REJECTED", "the mail server refuses this recipient: 550 5.1.1 <person%[1]d@d%[2]d.example.com> no such person"},
	{"email.Send", "EMAIL_DEFERRED", "the mail server asks to try later: 451 4.7.1 try again in %[1]d seconds"},
	{"watermark.Stamp", "PDF_BROKEN", `"script %[1]d.pdf" is broken at object %[2]d`},
	{"link.Create", "STORE_UNAVAILABLE", "10.0.0.%[2]d:6379 does not answer for %[1]dms"},
	{"thumbnail.Render", "PICTURE_UNSUPPORTED", "page %[1]d of 01HZX3V9J6N3T8W2Q5R7Y1K4MB.%[2]d.7 cannot be drawn"},
}

func tenThousand() []fingerprint.Attempt {
	var out []fingerprint.Attempt
	for i := range 10_000 {
		s := sentences[i%len(sentences)]
		out = append(out, fingerprint.Attempt{
			Production: "default", Distribution: fmt.Sprint("d", i%7), Unit: fmt.Sprint("i1.", i), Step: strings.ToLower(s.function[:4]), Function: s.function,
			Number: 1, Worker: fmt.Sprint("w", i%3), At: noon.Add(time.Duration(i) * time.Millisecond), Code: s.code,
			Message: fmt.Sprintf(s.text, i, i%200), Recipient: i + 1, Recipients: 10_000, Open: true,
			Name: fmt.Sprint("Person ", i), Email: fmt.Sprintf("person%d@d%d.example.com", i, i%200),
		})
	}
	return out
}

// Ten thousand failures of five kinds are five groups, soon.
func TestTenThousand(t *testing.T) {
	t.Parallel()
	all := tenThousand()
	began := time.Now()
	groups := fingerprint.Groups(all, nil)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v, want less than a second on a quiet machine, and 20 on any", took)
	} else {
		t.Logf("10,000 failures in %v", took)
	}
	if len(groups) != 5 {
		for _, g := range groups[:min(20, len(groups))] {
			t.Log(g.Signature)
		}
		t.Fatalf("%d groups, want 5", len(groups))
	}
	for _, g := range groups {
		if g.Count != 2000 || g.Recipients != 2000 || g.Distributions != 7 || g.Open != 2000 || len(g.Hurt) != 20 {
			t.Errorf("%s: %d failures, %d open, %d recipients, %d distributions, %d named", g.Code, g.Count, g.Open, g.Recipients, g.Distributions, len(g.Hurt))
		}
	}
}

// In whatever order failures are told, the groups are the same.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	all := tenThousand()[:500]
	want := fingerprint.Groups(slices.Clone(all), nil)
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		other := slices.Clone(all)
		r.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		got := fingerprint.Groups(other, nil)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(fingerprint.Group{})); diff != "" {
			t.Fatalf("seed %d: other groups (-want +got):\n%s", seed, diff)
		}
	}
}

// Ids, numbers, names and addresses do not make another group, and another code or function does.
func TestWhatDiffers(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		letters := func(of string, most int) string {
			b := make([]byte, 1+r.IntN(most))
			for i := range b {
				b[i] = of[r.IntN(len(of))]
			}
			return string(b)
		}
		say := func() string {
			const az = "abcdefghijklmnopqrstuvwxyz"
			return fmt.Sprintf("stamp %x%016x of %q for %s@%s.example.com at 10.1.2.%d failed after %d tries", r.Uint64()|1<<63, r.Uint64(),
				letters(az, 12), letters(az, 12), letters(az, 12), r.IntN(256), r.IntN(1<<40))
		}
		a, b := fingerprint.Signature(say()), fingerprint.Signature(say())
		if a != b {
			t.Fatalf("seed %d: two signatures:\n%s\n%s", seed, a, b)
		}
		if fingerprint.ID("f", "C", a) == fingerprint.ID("f", "D", a) || fingerprint.ID("f", "C", a) == fingerprint.ID("g", "C", a) {
			t.Fatal("another code or function has the same fingerprint")
		}
	}
}

// A summary says what failures have in common and what changed just before.
func TestSummary(t *testing.T) {
	t.Parallel()
	attempt := func(second int, worker, email, code string) fingerprint.Attempt {
		return fingerprint.Attempt{Production: "default", Distribution: "d1", Unit: fmt.Sprint("r", second), Step: "email", Function: "email.Send",
			Number: 1, Worker: worker, At: noon.Add(time.Duration(second) * time.Second), Code: code, Message: code,
			Recipient: second, Recipients: 100, Email: email, Open: code != ""}
	}
	for _, c := range []struct {
		name     string
		attempts []fingerprint.Attempt
		changes  []fingerprint.Change
		want     string
	}{
		{"one domain", []fingerprint.Attempt{attempt(1, "w1", "a@good.example", ""), attempt(2, "w1", "b@bad.example", "NO"),
			attempt(3, "w2", "c@bad.example", "NO"), attempt(4, "w2", "d@good.example", "")}, nil,
			"Since 12:00:02 UTC, on all 2 workers, only at bad.example; just before: worker w2 began at 12:00:03 UTC."},
		{"one worker that came", []fingerprint.Attempt{attempt(1, "w1", "a@x.example", ""), attempt(60, "w2", "b@x.example", "NO"),
			attempt(61, "w1", "c@y.example", "")}, nil,
			"Since 12:01:00 UTC, only on the worker w2, only at x.example; just before: worker w2 began at 12:01:00 UTC."},
		{"everything, after a change", []fingerprint.Attempt{attempt(1, "w1", "a@x.example", ""), attempt(60, "w1", "b@x.example", "NO"),
			attempt(61, "w1", "c@y.example", "NO")},
			[]fingerprint.Change{{Time: noon.Add(50 * time.Second), Sentence: "the limit smtp was set to 1"}, {Time: noon.Add(-time.Hour), Sentence: "long ago"}},
			"Since 12:01:00 UTC, on its one worker, w1, at all 2 domains, nothing of email.Send has gone well since; just before: the limit smtp was set to 1 at 12:00:50 UTC."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := fingerprint.Groups(c.attempts, c.changes)
			if len(got) != 1 {
				t.Fatalf("%d groups, want 1", len(got))
			}
			want := c.want
			if c.name == "one domain" {
				// Who came after the first failure is not why.
				want = strings.Replace(want, "; just before: worker w2 began at 12:00:03 UTC", "", 1)
			}
			if got[0].Summary != want {
				t.Errorf("got  %s\nwant %s", got[0].Summary, want)
			}
		})
	}
}

// A failure of a file hurts everybody whose copy is made of it.
func TestHurt(t *testing.T) {
	t.Parallel()
	groups := fingerprint.Groups([]fingerprint.Attempt{
		{Distribution: "a", Unit: "f1", Code: "PDF_BROKEN", Recipients: 40, Open: true},
		{Distribution: "a", Unit: "i1.3", Code: "PDF_BROKEN", Recipient: 3, Recipients: 40},
		{Distribution: "b", Unit: "i1.3", Code: "PDF_BROKEN", Recipient: 3, Recipients: 5, Open: true},
	}, nil)
	if len(groups) != 1 || groups[0].Recipients != 41 || groups[0].Distributions != 2 || groups[0].Open != 2 {
		t.Fatalf("got %+v", groups[0])
	}
	if numbers, all := groups[0].Numbers("a", false); !all || len(numbers) != 1 {
		t.Errorf("of a: %v, all %v", numbers, all)
	}
	if numbers, all := groups[0].Numbers("b", true); all || len(numbers) != 1 {
		t.Errorf("of b: %v, all %v", numbers, all)
	}
}
