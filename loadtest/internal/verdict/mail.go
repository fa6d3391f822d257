package verdict

import (
	"slices"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/loadtest/internal/ledger"
)

// copies: no two items have the same bytes.
func (v *Verdict) copies(a Account) {
	whose := map[string]string{}
	for _, i := range a.Items {
		switch first := whose[i.GetSha256()]; {
		case i.GetSha256() == "" && i.GetState() == "done":
			v.add("item %s is done and has no digest", i.GetId())
		case i.GetSha256() == "":
		case first != "":
			v.add("items %s and %s have one and the same copy", first, i.GetId())
		default:
			whose[i.GetSha256()] = i.GetId()
		}
	}
}

// mails: everybody has their mail if the API says so and nobody else has one; in it are that person's copies, all that
// were made and nothing else; a second one is the same mail again, and only where the API says that it may be.
func (v *Verdict) mails(a Account) {
	made := map[string][]string{} // by address: digests of the copies that were made
	for _, i := range a.Items {
		if i.GetSha256() != "" && madeIt(i) {
			made[i.GetRecipient().GetEmail()] = append(made[i.GetRecipient().GetEmail()], i.GetSha256())
		}
	}
	by := map[string][]ledger.Mail{}
	for _, m := range a.Mails {
		by[m.To] = append(by[m.To], m)
	}
	for _, r := range a.Recipients {
		got := by[r.GetEmail()]
		delete(by, r.GetEmail())
		v.recipient(r, got)
		want := slices.Sorted(slices.Values(made[r.GetEmail()]))
		for _, m := range got {
			var digests []string
			for _, at := range m.Attachments {
				digests = append(digests, at.SHA256)
			}
			slices.Sort(digests)
			if !slices.Equal(digests, want) {
				v.add("mail %s to %s holds %d copies that are not exactly the %d made for that person", m.Where, r.GetEmail(), len(digests), len(want))
			}
			if m.MessageID != got[0].MessageID {
				v.add("mails to %s differ in Message-ID: %s and %s", r.GetEmail(), got[0].MessageID, m.MessageID)
			}
			if id := r.GetDelivery().GetMessageId(); id != "" && m.MessageID != id {
				v.add("mail %s to %s has Message-ID %s, the API says %s", m.Where, r.GetEmail(), m.MessageID, id)
			}
		}
	}
	for to, list := range by {
		v.add("%d mails went to %q, whom nobody ordered", len(list), to)
	}
	ids := map[string]string{}
	for _, m := range a.Mails {
		other, ok := ids[m.MessageID]
		if ok && other != m.To {
			v.add("mails to %s and %s share the Message-ID %s", other, m.To, m.MessageID)
		}
		ids[m.MessageID] = m.To
	}
}

func (v *Verdict) recipient(r *distributionv1.Recipient, got []ledger.Mail) {
	d := r.GetDelivery()
	v.Twice += max(0, len(got)-1)
	if d.GetMaybeDuplicate() {
		v.Flagged++
	}
	switch state := d.GetState(); {
	case slices.Contains(reached, state):
		if len(got) == 0 {
			v.add("%s is %s, and no mail to them is in the ledger: lost", r.GetEmail(), state)
		}
		if d.GetMessageId() == "" || d.GetSentAt() == nil {
			v.add("%s is %s without Message-ID or time", r.GetEmail(), state)
		}
	case slices.Contains(unsent, state):
		// A mail that may have got through before is what the flag tells.
		if len(got) > 0 && !d.GetMaybeDuplicate() {
			v.add("%s is %s, and %d mails to them are in the ledger", r.GetEmail(), state, len(got))
		}
	case state == "uncertain":
		if !d.GetMaybeDuplicate() {
			v.add("%s is uncertain and not flagged", r.GetEmail())
		}
	default:
		v.add("the delivery to %s is %q, which is not final", r.GetEmail(), state)
	}
	if len(got) > 1 && !d.GetMaybeDuplicate() {
		v.add("%s has %d mails and is not flagged as perhaps having them twice", r.GetEmail(), len(got))
	}
	for n, m := range got {
		if n > 0 && m.Attempt == 0 {
			v.add("mail %s to %s is a repeat and does not say so", m.Where, r.GetEmail())
		}
	}
	if slices.Contains(reached, d.GetState()) && r.GetItems().GetDone() == 0 {
		v.add("%s was sent a mail, and none of their items is done", r.GetEmail())
	}
}

// madeIt reports whether the item's own step is done: whether there is a copy.
func madeIt(i *distributionv1.Item) bool {
	for _, s := range i.GetSteps() {
		if s.GetName() == "watermark" {
			return s.GetState() == "done"
		}
	}
	return false
}
