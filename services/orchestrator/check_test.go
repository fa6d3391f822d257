package orchestrator_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// anyRequest is a request in which each thing is right or wrong.
func anyRequest(r *rand.Rand) *distributionv1.CreateDistributionRequest {
	pick := func(odds int, from ...string) string { // the first mostly
		if r.IntN(odds) > 0 {
			return from[0]
		}
		return from[r.IntN(len(from))]
	}
	req := request(1+r.IntN(2), 0)
	for i := range r.IntN(4) {
		to := &distributionv1.RecipientInput{Name: pick(6, fmt.Sprint("Person ", i), "\U0010fffd", "Ünal Łuk", ""), Email: pick(5, fmt.Sprintf("p%d@example.com", i), "p0@example.com", "P0@EXAMPLE.com", "nobody", "x@gmial.com")}
		if r.IntN(4) > 0 {
			to.Fields = map[string]string{pick(8, "role", "Role", "date"): pick(5, "gaffer", "\U0010fffd")}
		}
		req.Recipients = append(req.Recipients, to)
	}
	req.Mark = pick(2, "", "{name}", "{name} {role}", "{name", "{nonsense}", "{file} {date}", "   ", "\U0010fffd")
	req.Mode = pick(8, "", "link", "attachment", "pigeon")
	if r.IntN(4) == 0 {
		req.Lists = append(req.Lists, pick(2, "crew", "cast", "odd", "none", "nobody"))
	}
	if r.IntN(8) == 0 {
		req.Lists = append(req.Lists, "odd")
	}
	if r.IntN(6) == 0 {
		req.People = append(req.People, pick(2, "per_a", "per_none"))
	}
	if r.IntN(8) == 0 {
		req.Files = append(req.Files, proto.CloneOf(req.GetFiles()[0]))
	}
	if r.IntN(8) == 0 {
		req.MarkStyle = &distributionv1.MarkStyle{Layout: pick(2, "tiled", "sideways"), Opacity: int32(r.IntN(150))}
	}
	req.Definition = pick(12, "", "none")
	return req
}

// What a check refuses is what is refused when it is created, whatever is asked for; and a check creates nothing.
func TestACheckRefusesWhatCreatingRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := rand.New(rand.NewPCG(7, 11))
	refused := 0
	for n := range 250 {
		req := anyRequest(r)
		checked, err := b.distributions.CheckDistribution(t.Context(), &distributionv1.CheckDistributionRequest{Production: "default", Distribution: req})
		if err != nil {
			t.Fatalf("%d: %v is not checked: %v", n, req, err)
		}
		_, err = b.distributions.CreateDistribution(t.Context(), req)
		if checked.GetRefused() != (err != nil) {
			t.Fatalf("%d: %v is refused by a check: %t, by creating it: %v", n, req, checked.GetRefused(), err)
		}
		says := slices.ContainsFunc(checked.GetFindings(), func(f *distributionv1.Finding) bool { return f.GetSeverity() == "refuses" })
		if says != (err != nil) {
			t.Fatalf("%d: %v: %v, and the findings are %v", n, req, err, checked.GetFindings())
		}
		if err == nil {
			continue
		}
		refused++
	}
	if refused < 40 || refused > 220 {
		t.Errorf("%d of 250 were refused: that tells too little", refused)
	}
}

func TestACheckNamesWhom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := len(b.redis.Client.Keys(t.Context(), "*:d:*").Val())
	req := request(1, 0)
	req.Mark = "{name} {unit}"
	req.Lists = []string{"crew"}
	for _, to := range [][3]string{{"Ada", "ada@gmial.com", "x"}, {"Bo", "nobody@gmail..com", "x"}, {"\U0010fffd", "cy@example.org", "x"}, {"Anna", "anna@example.com", ""}} {
		in := &distributionv1.RecipientInput{Name: to[0], Email: to[1], Fields: map[string]string{"unit": to[2]}}
		if to[2] == "" {
			in.Fields = nil
		}
		req.Recipients = append(req.Recipients, in)
	}
	got, err := b.distributions.CheckDistribution(t.Context(), &distributionv1.CheckDistributionRequest{Production: "default", Distribution: req})
	if err != nil || !got.GetRefused() || got.GetRecipients() != 7 || got.GetItems() != 7 {
		t.Fatalf("got %v, %v", got, err)
	}
	have := map[string]bool{}
	for _, f := range got.GetFindings() {
		have[f.GetSeverity()+" "+f.GetCode()+" "+f.GetName()] = true
	}
	for _, want := range []string{"warns ADDRESS_TYPO Ada", "refuses RECIPIENT_INVALID Bo", "tells RECIPIENT_MERGED Anna of the list", "refuses MARK_FIELD_UNKNOWN Anna", "refuses MARK_FIELD_UNKNOWN Cy"} {
		if !have[want] {
			t.Errorf("%q is not among %v", want, have)
		}
	}
	// With the fields there, the letters that no font has are found.
	req.Mark, req.Recipients[1].Email = "{name}", "bo@example.org"
	got, err = b.distributions.CheckDistribution(t.Context(), &distributionv1.CheckDistributionRequest{Production: "default", Distribution: req})
	if err != nil || !got.GetRefused() || !slices.ContainsFunc(got.GetFindings(), func(f *distributionv1.Finding) bool {
		return f.GetCode() == "MARK_GLYPH_MISSING" && f.GetEmail() == "cy@example.org"
	}) {
		t.Errorf("got %v, %v", got, err)
	}
	if now := len(b.redis.Client.Keys(t.Context(), "*:d:*").Val()); now != before {
		t.Errorf("there were %d records, and are %d", before, now)
	}
}

// What is too much for a mail goes by link, all or nothing, and a check says so before.
func TestWhatIsTooMuchForAMailGoesByLink(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tc := range []struct {
		name     string
		files    int
		mode     string
		goes     string
		foretold bool
	}{
		{"one", 1, "", "attachment", false},
		{"two", 2, "", "link", true},
		{"two, to be attached", 2, "attachment", "link", true},
		{"two, by link", 2, "link", "link", false},
	} {
		req := request(0, 2)
		req.Mode = tc.mode
		for n := range tc.files {
			req.Files = append(req.Files, &distributionv1.FileRef{Sha256: fmt.Sprintf("ee%062x", n)})
		}
		checked, err := b.distributions.CheckDistribution(t.Context(), &distributionv1.CheckDistributionRequest{Production: "default", Distribution: req})
		told := slices.ContainsFunc(checked.GetFindings(), func(f *distributionv1.Finding) bool { return f.GetCode() == "SENT_BY_LINK" })
		if err != nil || checked.GetRefused() || told != tc.foretold {
			t.Errorf("%s: checked %v, %v", tc.name, checked, err)
		}
		id := b.create(req)
		d := b.until(id, ended)
		if d.GetMode() != tc.goes || d.GetState() != "completed" || b.links[id+".r2"] != nil != (tc.goes == "link") {
			t.Errorf("%s: %v", tc.name, d)
		}
		if again := b.create(req); again != id {
			t.Errorf("%s: with the same key it is another one", tc.name)
		}
	}
}
