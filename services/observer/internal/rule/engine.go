package rule

import (
	"slices"
	"strings"
	"time"
)

// Alert is one thing that is wrong, however many rows say so.
type Alert struct {
	ID, Rule, Title, Severity string
	Sentence                  string
	Production, Group         string
	Since, LastAt             time.Time
	ResolvedAt                time.Time // zero while it is open
	AcknowledgedBy            string
	Count                     int // findings that are one with it
	Row                       Row // the last finding, for the actions
}

// State is an alert, or what may become one: it is kept between looks, and over restarts.
type State struct {
	Alert
	Open bool // long enough for the rule; before that nobody hears of it
}

// Memory is all that rules remember, by rule and group.
type Memory struct {
	States map[string]*State
	// Matched is when a rule that waits for an absence was last satisfied, by rule.
	Matched map[string]time.Time
}

// NewMemory remembers nothing.
func NewMemory() *Memory {
	return &Memory{States: map[string]*State{}, Matched: map[string]time.Time{}}
}

// Change is an alert that opened, or was resolved.
type Change struct {
	Alert
	Opened bool // else resolved
}

// quiet is how long an event must not have happened again for its alert to be over.
const quiet = 15 * time.Minute

// Look holds a rule against rows: all there are of its kind, or the events since the last look. It moves m on and says
// what opened and what is over. newID names an alert. What cannot be judged is an error; the others are.
func (m *Memory) Look(c *Compiled, rows []Row, now time.Time, newID func() string) ([]Change, error) {
	if c.Disabled {
		return m.Forget(c.Name, now), nil
	}
	var finds []found
	var first error
	for _, r := range rows {
		f, hit, err := c.look(r, now)
		if err != nil && first == nil {
			first = err
		}
		if hit {
			finds = append(finds, f)
		}
	}
	if c.Absent > 0 {
		finds = m.missing(c, finds, now)
	}
	seen := map[string]bool{}
	var changes []Change
	for _, f := range finds {
		key := c.Name + " " + f.group
		s := m.States[key]
		if f.blind {
			seen[key] = true
			continue
		}
		if s == nil {
			s = &State{Alert: Alert{Rule: c.Name, Production: f.production, Group: f.group, Since: now}}
			m.States[key] = s
		}
		if !seen[key] && (c.On != "event" || c.Absent > 0) {
			s.Count = 0 // rows are counted as they stand, events as they come
		}
		seen[key] = true
		s.Count++
		s.Title, s.Severity, s.Sentence, s.LastAt, s.Row = c.Title, c.Severity, f.sentence, now, f.row
		if !s.Open && now.Sub(s.Since) >= c.For {
			s.Open, s.ID = true, newID()
			changes = append(changes, Change{s.Alert, true})
		}
	}
	for key, s := range m.States {
		if s.Rule != c.Name || seen[key] || c.On == "event" && c.Absent == 0 && now.Sub(s.LastAt) < quiet {
			continue
		}
		changes = append(changes, m.end(key, now)...)
	}
	for i := range changes {
		if changes[i].Opened {
			changes[i].Alert = m.States[c.Name+" "+changes[i].Group].Alert // with all that was counted
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Group, b.Group) })
	return changes, first
}

// missing turns findings around: none for too long is the finding.
func (m *Memory) missing(c *Compiled, finds []found, now time.Time) []found {
	last, known := m.Matched[c.Name]
	if len(finds) > 0 || !known {
		m.Matched[c.Name], last = now, now // what nobody could have seen yet is not missing
	}
	silent := now.Sub(last)
	if silent < c.Absent {
		return nil
	}
	row := Row{}
	for _, f := range c.kind.fields {
		row[f.name] = ""
	}
	sentence := c.Rule.Sentence
	if sentence == c.kind.tells {
		sentence = "what rule " + c.Name + " expects has not happened for " + silent.Round(time.Second).String()
	}
	f := found{group: "absent", sentence: Fill(sentence, row), row: row}
	if len(c.Productions) == 1 {
		f.production = c.Productions[0]
	}
	return []found{f}
}

func (m *Memory) end(key string, now time.Time) []Change {
	s := m.States[key]
	delete(m.States, key)
	if !s.Open {
		return nil
	}
	s.ResolvedAt = now
	return []Change{{s.Alert, false}}
}

// Forget ends all of a rule that is gone.
func (m *Memory) Forget(rule string, now time.Time) []Change {
	var changes []Change
	for key, s := range m.States {
		if s.Rule == rule {
			changes = append(changes, m.end(key, now)...)
		}
	}
	delete(m.Matched, rule)
	return changes
}

// Kinds are the words that a rule may have in `on`.
func Kinds() []string {
	var out []string
	for k := range kinds {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Reference describes, as Markdown, what rules can look at.
func Reference() string {
	var b strings.Builder
	for _, k := range Kinds() {
		b.WriteString("`" + k + "`: " + kinds[k].says + ". One alert for each `" + kinds[k].group + "`.\n\n")
		for _, f := range kinds[k].fields {
			b.WriteString("- `" + f.name + "` " + typeName(f) + "")
			if f.says != "" {
				b.WriteString(": " + f.says)
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func typeName(f field) string { return "(" + f.kind.String() + ")" }
