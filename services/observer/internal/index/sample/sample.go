// Package sample makes up distributions to measure and test the index with, always the same.
package sample

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/index"
)

// First and Last are what people are called, words what titles and files are.
var (
	First = strings.Fields("Ada Grace Alan Edsger Barbara Donald Margaret Katherine Dorothy Mary Annie Hedy Radia Frances Jean Betty Kathleen Marlyn Ruth Adele")
	Last  = strings.Fields("Lovelace Hopper Turing Dijkstra Liskov Knuth Hamilton Johnson Vaughan Jackson Easley Lamarr Perlman Allen Bartik Holberton Antonelli Meltzer Teitelbaum Goldstine")
	words = strings.Fields("Rehearsal Shooting Callsheet Script Lamplighters Harbour Winter Night Morning Studio Location Wardrobe Camera Second Unit Pickup Final Draft Revision Blue")
)

// People are how many recipients every other distribution has, Productions in how many productions distributions are by turns,
// and Domains at how many domains people are.
const (
	People      = 20
	Productions = 7
	Domains     = 40
)

// begun is when the first was created; one follows every 90 seconds.
var begun = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// body is a message of 500 bytes in a field that nobody knows.
func body() []byte { return append([]byte{0xfa, 0x7f, 0xf0, 0x03}, make([]byte, 496)...) }

// Sample knows what can be found.
type Sample struct {
	n int
	// IDs are of all, Names, Mails and Messages of the first recipient of each that has some.
	IDs, Names, Mails, Messages []string
}

// New is a sample of n distributions; what it knows is known when it was put into an index.
func New(n int) *Sample { return &Sample{n: n} }

// Production is the name of the one with a number.
func Production(i int) string { return fmt.Sprint("production-", i) }

// Fill puts all of them into x.
func (s *Sample) Fill(ctx context.Context, x *index.Index) error {
	return s.each(func(batch []index.Seen) error { return x.Take(ctx, batch, nil) })
}

// Know makes up what there is without putting it anywhere.
func (s *Sample) Know() error { return s.each(func([]index.Seen) error { return nil }) }

func (s *Sample) each(take func([]index.Seen) error) error {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	var batch []index.Seen
	for i := range s.n {
		created := begun.Add(time.Duration(i) * 90 * time.Second)
		d := index.Seen{Distribution: event.Distribution{
			Production: Production(i % Productions), ID: ulid.MustNew(ulid.Timestamp(created), rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(i >> 16)})).String(),
			Title: pick(words) + " " + pick(words) + " " + strconv.Itoa(i), State: "completed", Definition: "send-documents", Version: 3,
			Created: created, Ended: created.Add(time.Minute), Deadline: created.Add(time.Hour), Items: 20, ItemsDone: 20,
			Files: []event.File{{SHA256: fmt.Sprintf("%064x", i), Name: fmt.Sprintf("%s %s v%d.pdf", pick(words), pick(words), i%50)}},
		}, Body: body()}
		if i%100 == 98 {
			d.State = "failed"
			d.Events = []event.Event{{ID: "1-0", Time: created, Kind: "attempt", Unit: "r1", Step: "email", State: "failed", Code: "MAIL_REFUSED",
				Message: "550 no such user " + strconv.Itoa(i), Worker: "email-1"}}
		}
		if i%2 == 0 {
			for p := range People {
				name := pick(First) + " " + pick(Last)
				mail := fmt.Sprintf("%s%d@unit%d.example.com", strings.ToLower(strings.ReplaceAll(name, " ", ".")), r.IntN(5000), i%Domains)
				message := fmt.Sprintf("%d.%d@mail.example", i, p)
				d.Recipients = append(d.Recipients, event.Recipient{Number: p + 1, Name: name, Email: mail, State: "sent", MessageID: message, SentAt: created})
				if p == 0 {
					s.Names, s.Mails, s.Messages = append(s.Names, name), append(s.Mails, mail), append(s.Messages, message)
				}
			}
			d.Distribution.Recipients = People
		}
		s.IDs = append(s.IDs, d.ID)
		batch = append(batch, d)
		if len(batch) == 200 || i == s.n-1 {
			err := take(batch)
			if err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}
