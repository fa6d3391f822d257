package samples

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// A kind of element of a screenplay decides its margins.
type kind int

const (
	heading kind = iota
	action
	cue
	parenthetical
	dialogue
	transition
)

// An element is one paragraph of a screenplay.
type element struct {
	kind kind
	text string
}

// companions are who may meet, by act; most scenes have two of them.
var companions = [][][]string{
	1: {{"MAREN", "TOBY", "EZRA"}, {"EZRA", "MAREN", "TOBY"}, {"INES", "HALLORAN", "EZRA"}, {"DUFFY", "MAREN", "EZRA"}, {"TOBY", "EZRA", "DUFFY"}, {"HALLORAN", "MAREN", "INES"}},
	2: {{"MAREN", "INES", "EZRA"}, {"INES", "MAREN", "DUFFY"}, {"EZRA", "LINDQVIST", "AGNES"}, {"DUFFY", "HALLORAN", "INES"}, {"TOBY", "INES", "MAREN"}, {"MAREN", "EZRA", "TOBY"}, {"AGNES", "DUFFY", "MAREN"}, {"HALLORAN", "INES", "DUFFY"}},
	3: {{"MAREN", "INES", "DUFFY"}, {"INES", "DUFFY", "MAREN"}, {"DUFFY", "MAREN", "INES"}, {"AGNES", "LINDQVIST", "EZRA"}, {"MAREN", "AGNES", "DUFFY"}, {"LINDQVIST", "INES", "AGNES"}},
}

// fillers is how many invented scenes follow each scene of the spine, by act.
var fillers = []int{1: 9, 2: 11, 3: 8}

// full names, for the first time somebody is seen.
var full = map[string]string{
	"HALLORAN": "CAPTAIN HALLORAN, 55, harbour master", "AGNES": "SISTER AGNES, 60, who has nursed three wars",
	"LINDQVIST": "DR. PETRA LINDQVIST, 48", "DUFFY": "CORMAC DUFFY, 39, fisherman",
}

type writer struct {
	rng       *rand.Rand
	exchanges map[string]*bag[block]
	places    *bag[block]
	looks     map[string]*bag[string]
	beats     *bag[string]
	groups    []*bag[[]string]
	met       map[string]bool
	away      string // who cannot be met
	out       []element
}

func newWriter() *writer {
	rng := rand.New(rand.NewPCG(1887, 61))
	w := &writer{
		rng: rng, exchanges: make(map[string]*bag[block]), looks: make(map[string]*bag[string]),
		met: map[string]bool{"MAREN": true, "EZRA": true, "TOBY": true, "INES": true},
	}
	byAct := make(map[string][]block)
	for _, b := range blocks(exchangeText, "==") {
		byAct[b.head] = append(byAct[b.head], b)
	}
	for act, bs := range byAct {
		w.exchanges[act] = newBag(rng, bs)
	}
	places := blocks(placeText, "==")
	w.places = newBag(rng, places)
	for _, p := range places {
		w.looks[p.head] = newBag(rng, p.lines)
	}
	w.beats = newBag(rng, blocks("@ all\n"+beatText, "@")[0].lines)
	for _, g := range companions {
		w.groups = append(w.groups, newBag(rng, g))
	}
	return w
}

func (w *writer) add(k kind, text string) { w.out = append(w.out, element{k, text}) }

// write returns the whole screenplay.
func (w *writer) write() []element {
	w.add(action, "FADE IN:")
	act := 1
	for _, scene := range blocks(spineText, "@") {
		next := int(scene.head[0] - '0')
		if next != act {
			w.add(transition, "FADE TO BLACK.")
			act = next
		}
		w.add(heading, scene.head[2:])
		for _, line := range scene.lines {
			w.line(line, nil)
			if strings.HasPrefix(line, "Toby, unconscious") {
				w.away = "TOBY"
			}
		}
		w.fill(act, scene.head[2:])
	}
	// What follows the last scene of the spine is cut: it ends on the flame.
	for w.out[len(w.out)-1].text != "She opens the glass. We hold on the flame until it is all there is." {
		w.out = w.out[:len(w.out)-1]
	}
	w.add(transition, "FADE OUT.")
	w.add(action, "                        THE END")
	return w.out
}

// fill adds invented scenes of an act after the scene at slug.
func (w *writer) fill(act int, slug string) {
	previous := placeOf(slug)
	times := newBag(w.rng, [][]string{1: {"DAY", "DUSK", "NIGHT", "MORNING", "EVENING"}, 2: {"NIGHT", "DAY", "LATER", "DAWN", "EVENING"}, 3: {"NIGHT", "CONTINUOUS", "LATER", "MOMENTS LATER"}}[act])
	for range fillers[act] {
		place := w.places.take()
		for place.head == previous {
			place = w.places.take()
		}
		previous = place.head
		w.add(heading, place.head+" - "+times.take())
		w.scene(act, place.head)
		if w.rng.IntN(7) == 0 {
			w.add(transition, choose(w.rng, "{CUT TO:|CUT TO:|DISSOLVE TO:|SMASH CUT TO:}"))
		}
	}
}

func (w *writer) scene(act int, place string) {
	w.add(action, choose(w.rng, w.looks[place].take()))
	who := w.groups[act].take()
	for slices.Contains(who, w.away) {
		who = w.groups[act].take()
	}
	w.add(action, w.entrance(who[0], who[1]))
	talks := 1
	if w.rng.IntN(3) == 0 {
		talks = 2
	}
	for i := range talks {
		if i > 0 || w.rng.IntN(2) == 0 {
			w.line("* "+w.beats.take(), who)
		}
		from := fmt.Sprint(act)
		if w.rng.IntN(4) == 0 {
			from = "*"
		}
		w.talk(from, who)
	}
	if w.rng.IntN(2) == 0 {
		w.line("* "+w.beats.take(), who)
	}
}

// talk adds a conversation. What is chosen once, "Duffy" or "the pilot", is meant until its end.
func (w *writer) talk(from string, who []string) {
	e := w.exchanges[from].take()
	for strings.Contains(e.lines[0], "the boy") && slices.Contains(who, "TOBY") {
		e = w.exchanges[from].take()
	}
	for _, line := range strings.Split(choose(w.rng, strings.Join(e.lines, "\n")), "\n") {
		w.line(line, who)
	}
}

// entrance says who is there, in full the first time.
func (w *writer) entrance(a, b string) string {
	name := func(short string) string {
		if w.met[short] {
			return strings.ToUpper(short[:1]) + strings.ToLower(short[1:])
		}
		w.met[short] = true
		return full[short]
	}
	first, second := name(a), name(b)
	return choose(w.rng, "{"+strings.Join([]string{
		first + " and " + second + ", {mid-argument|not quite side by side|out of breath}.",
		first + " is already there. " + second + " {comes in|arrives} with the {cold|wind}.",
		second + " waits. " + first + " takes {a long time|care} over the last few steps.",
		first + ", {working|busy}. " + second + ", {watching|pretending to be}.",
		"In the middle of it, " + first + ". At the edge, " + second + ".",
		first + " {finds|nearly walks into} " + second + ".",
	}, "|")+"}")
}

var speech = regexp.MustCompile(`^([A-Z][A-Z ]*): (?:\(([^)]*)\) )?(.*)$`)

// line adds one line of a stock file; A, B and C are who.
func (w *writer) line(line string, who []string) {
	line = choose(w.rng, line)
	if strings.HasPrefix(line, "* ") {
		w.add(action, w.named(line[2:], who))
		return
	}
	m := speech.FindStringSubmatch(line)
	if m == nil {
		w.add(action, w.named(line, who))
		return
	}
	name := m[1]
	if len(name) == 1 {
		name = who[name[0]-'A']
	}
	w.add(cue, name)
	if m[2] != "" {
		w.add(parenthetical, "("+w.named(m[2], who)+")")
	}
	w.add(dialogue, m[3])
}

var role = regexp.MustCompile(`\b[ABC]\b`)

// named puts names in the place of A, B and C; the "A" that is a word is told by what follows it.
func (w *writer) named(text string, who []string) string {
	if who == nil {
		return text
	}
	return role.ReplaceAllStringFunc(text, func(r string) string {
		if r == "A" && articleA(text) {
			return r
		}
		name := who[r[0]-'A']
		return name[:1] + strings.ToLower(name[1:])
	})
}

// articleA says that a line begins with the article.
func articleA(text string) bool {
	for _, start := range []string{"A long ", "A smell ", "A reek ", "A gull ", "A beat", "A blue ", "A small "} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return strings.Contains(text, ". A blue ") || strings.Contains(text, ". A small ")
}

func placeOf(slug string) string {
	place, _, _ := strings.Cut(slug, " - ")
	return place
}
