package trace

import "github.com/filigreehq/filigree/services/watermark/internal/hidden"

// Outcome is what a trace comes to, and what one piece of evidence does.
type Outcome string

const (
	// Match: one copy of ours, and which.
	Match Outcome = "match"
	// Ambiguous: parts of several copies, each told with its pages; or one number that several known copies have.
	Ambiguous Outcome = "ambiguous"
	// Forged: an id that is whole, and that nobody made who has the key it names.
	Forged Outcome = "forged"
	// Damaged: something has the shape of an id and does not say whose.
	Damaged Outcome = "damaged"
	// UnknownKey: an id that is whole and names a key that is not in the ring.
	UnknownKey Outcome = "unknown_key"
	// None: nothing of ours.
	None Outcome = "none"
)

// Channel is a way in which a copy carries its id.
type Channel string

const (
	Metadata Channel = "metadata" // sealed in the information dictionary
	Strokes  Channel = "strokes"  // strips in the pages' content
	Ribbon   Channel = "ribbon"   // in the large mark
	Glyphs   Channel = "glyphs"   // how the large mark's letters are placed
)

// Result is what a suspect turned out to be.
type Result struct {
	Outcome Outcome `json:"outcome"`
	// Pages of the suspect.
	Pages int `json:"pages"`
	// Copies are those whose ids verified. A match has one.
	Copies []Copy `json:"copies,omitempty"`
	// Doubts is what was found besides and verified as nothing.
	Doubts []Evidence `json:"doubts,omitempty"`
	// Cut says that the suspect was too large to look at all of it.
	Cut bool `json:"cut,omitempty"`
}

// Copy is a copy of ours of which the suspect has at least a part.
type Copy struct {
	// Number is the first 12 hex digits of the artifact's id.
	Number string `json:"number"`
	// Who it was made for: nobody if no record of it is at hand, several if they share the number.
	Who []hidden.About `json:"who,omitempty"`
	// Evidence is what led here.
	Evidence []Evidence `json:"evidence"`
}

// Evidence is what one channel says.
type Evidence struct {
	Channel Channel `json:"channel"`
	// Outcome is Match, Forged, Damaged or UnknownKey.
	Outcome Outcome `json:"outcome"`
	// Number that is claimed, if any can be read.
	Number string `json:"number,omitempty"`
	// Key is the number modulo 256 of the key that is claimed.
	Key uint8 `json:"key,omitempty"`
	// Pages, from 1, on which it says so; none for what belongs to the document.
	Pages []int `json:"pages,omitempty"`
}
