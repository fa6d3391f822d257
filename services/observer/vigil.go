package observer

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/rule"
)

const (
	// leadFor is how long another observer waits for the one that looks before it does itself.
	leadFor = 10 * time.Second
	// keptAlerts is how many alerts are kept once they are over, and keptFor how long.
	keptAlerts = 500
	keptFor    = 30 * 24 * time.Hour
	// tries is how often an action is tried.
	tries = 12
	// mostSeen bounds events that wait to be looked at.
	mostSeen = 100_000
)

// vigil looks at rules and keeps alerts. One observer looks at a time; while Redis does not answer each looks for itself,
// from what it kept in its own folder: to be told twice is better than not at all.
type vigil struct {
	mu      sync.Mutex
	file    []*rule.Compiled          // rules of the rules file
	put     map[string]*rule.Compiled // rules that people put
	version string                    // of put
	memory  *rule.Memory
	alerts  map[string]*kept
	broken  map[string]string // rules that cannot be looked at, with why
	events  []rule.Row
	titles  map[string]string // by distribution
	leads   bool
	// taken says that what the one before kept was taken over; unkept are alerts, and unforgotten those that are gone, of which
	// Redis does not know yet, since it did not answer.
	taken               bool
	unkept, unforgotten map[string]bool

	// keeping is held while alerts are written down: of two who do at once, the one with the older text must not be the last.
	keeping sync.Mutex
}

// kept is an alert as it is kept.
type kept struct {
	rule.Alert
	Done []done
	Todo []todo
	Asks int // numbers what is to be done
}

// done is what was done about an alert.
type done struct {
	Time   time.Time
	Action string
	Error  string
	Tries  int
}

// todo is what is still to be done.
type todo struct {
	ID     int
	Action rule.Action
	Over   bool // it is told that the alert is over
	Tries  int
	Next   time.Time
	doing  bool
}

func newVigil(rules []*rule.Compiled) *vigil {
	return &vigil{file: rules, put: map[string]*rule.Compiled{}, memory: rule.NewMemory(), alerts: map[string]*kept{}, broken: map[string]string{}, titles: map[string]string{},
		unkept: map[string]bool{}, unforgotten: map[string]bool{}}
}

// rules are those in force: people's before the file's before those that are there from the start.
func (v *vigil) rules() []*rule.Compiled {
	all := map[string]*rule.Compiled{}
	for _, r := range slices.Concat(rule.Builtin(), v.file) {
		all[r.Name] = r
	}
	maps.Copy(all, v.put)
	return slices.SortedFunc(maps.Values(all), func(a, b *rule.Compiled) int { return cmp.Compare(a.Name, b.Name) })
}

// lately is how old an event may be for rules: what an index that is made anew reads is over.
const lately = 10 * time.Minute

// mostTitles bounds the titles that are known for events.
const mostTitles = 5000

// name notes what a distribution is called.
func (v *vigil) name(id, title string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.titles) >= mostTitles {
		clear(v.titles) // it is told again with the next change
	}
	v.titles[id] = title
}

// saw hands events to rules that look at them. Of more than can be looked at the oldest are left out.
func (s *Server) saw(events []event.Event) {
	v, now := s.vigil, s.deps.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range events {
		if now.Sub(events[i].Time) < lately {
			v.events = append(v.events, eventRow(events[i], v.titles[events[i].Distribution]))
		}
	}
	v.events = v.events[max(0, len(v.events)-mostSeen):]
}

// failing are the distributions, by id and production, whose failures alerts are open about.
func (v *vigil) failing() (all [][2]string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, st := range v.memory.States {
		id, _ := st.Row["distribution"].(string)
		if _, group := st.Row["fingerprint"]; group && id != "" {
			all = append(all, [2]string{id, st.Production})
		}
	}
	return all
}

// watchRules is the loop.
func (s *Server) watchRules(ctx context.Context) error {
	leads, err := s.store.Lead(ctx, s.name, leadFor)
	if err != nil {
		leads = true // nobody can say who does
	} else {
		err = s.loadRules(ctx)
	}
	v := s.vigil
	v.mu.Lock()
	v.leads = leads
	v.taken = v.taken && leads
	taken := v.taken
	if !leads {
		v.events = nil // the other one looks at them
	}
	v.mu.Unlock()
	if err == nil && !taken {
		err = s.loadAlerts(ctx)
	}
	if !leads {
		return err
	}
	if err == nil {
		err = s.heedAcks(ctx)
	}
	return errors.Join(err, s.lookAtRules(ctx))
}

// heedAcks takes over who has which alert: whichever observer was told of it.
func (s *Server) heedAcks(ctx context.Context) error {
	acks, err := s.store.Acks(ctx)
	if err != nil {
		return err
	}
	v := s.vigil
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, by := range acks {
		k := v.alerts[id]
		if k == nil || k.AcknowledgedBy == by {
			continue
		}
		k.AcknowledgedBy = by
		k.Todo = nil // it is told no further
		v.unkept[id] = true
	}
	return nil
}

func (s *Server) loadRules(ctx context.Context) error {
	version, err := s.store.RulesVersion(ctx)
	if err != nil {
		return err
	}
	v := s.vigil
	v.mu.Lock()
	same := version == v.version
	v.mu.Unlock()
	if same {
		return nil
	}
	texts, version, err := s.store.Rules(ctx)
	if err != nil {
		return err
	}
	put, broken := map[string]*rule.Compiled{}, map[string]string{}
	for name, text := range texts {
		c, err := readRule(text)
		if err != nil {
			broken[name] = err.Error() // of another version, perhaps: told, and the others go on
			continue
		}
		put[name] = c
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.put, v.version, v.broken = put, version, broken
	return nil
}

func readRule(text string) (*rule.Compiled, error) {
	var r rule.Rule
	err := json.Unmarshal([]byte(text), &r)
	if err != nil {
		return nil, fmt.Errorf("read rule: %w", err)
	}
	return rule.Compile(r)
}

// loadAlerts takes over what the observer that looked before kept. What Redis was away for to hear of is this one's own.
func (s *Server) loadAlerts(ctx context.Context) error {
	texts, memory, err := s.store.Alerts(ctx)
	if err != nil {
		return err
	}
	m := rule.NewMemory()
	if memory != "" {
		err = json.Unmarshal([]byte(memory), m)
	}
	all := map[string]*kept{}
	for id, text := range texts {
		k := &kept{}
		err = errors.Join(err, json.Unmarshal([]byte(text), k))
		all[id] = k
	}
	if err != nil {
		return fmt.Errorf("read alerts: %w", err)
	}
	v := s.vigil
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.leads {
		v.taken = true
		for id := range v.unkept {
			all[id] = v.alerts[id]
		}
		for id := range v.unforgotten {
			delete(all, id)
		}
		if len(v.unkept) > 0 {
			m = v.memory
		}
	}
	v.memory, v.alerts = m, all
	return nil
}

// lookAtRules holds all rules against what is there, keeps what became of it, and has done what is to be done.
func (s *Server) lookAtRules(ctx context.Context) error {
	v := s.vigil
	v.mu.Lock()
	rules := v.rules()
	events := v.events
	v.events = nil
	v.mu.Unlock()
	rows, err := s.rows(itself(ctx), rules, events)
	now := s.deps.Now()
	changed := map[string]*kept{}
	v.mu.Lock()
	known := map[string]bool{}
	for _, r := range rules {
		known[r.Name] = true
		got, readable := rows[r.On]
		if !readable {
			continue // what cannot be seen is not over
		}
		changes, wrong := v.memory.Look(r, got, now, newAlertID)
		delete(v.broken, r.Name)
		if wrong != nil {
			v.broken[r.Name] = wrong.Error()
		}
		v.take(changes, r, changed)
	}
	for _, st := range v.memory.States {
		if !known[st.Rule] {
			v.take(v.memory.Forget(st.Rule, now), nil, changed)
		}
	}
	for _, st := range v.memory.States {
		k := v.alerts[st.ID]
		if st.Open && k != nil && (k.Count != st.Count || k.Sentence != st.Sentence) {
			k.Count, k.Sentence, k.LastAt = st.Count, st.Sentence, st.LastAt
			changed[k.ID] = k
		}
	}
	due := v.due(now)
	for _, id := range v.forget(now) {
		v.unforgotten[id] = true
	}
	for id := range changed {
		v.unkept[id] = true
	}
	v.mu.Unlock()
	err = errors.Join(err, s.keep(ctx))
	for _, d := range due {
		s.acting.Go(func() { s.act(ctx, d) })
	}
	return err
}

func newAlertID() string { return "al_" + rand.Text()[:16] }

// take makes alerts of changes.
func (v *vigil) take(changes []rule.Change, r *rule.Compiled, changed map[string]*kept) {
	for _, c := range changes {
		k := v.alerts[c.ID]
		if k == nil {
			k = &kept{}
			v.alerts[c.ID] = k
		}
		ack := k.AcknowledgedBy
		k.Alert = c.Alert
		k.AcknowledgedBy = ack
		changed[c.ID] = k
		if r == nil {
			continue
		}
		for _, a := range r.Actions {
			if c.Opened || a.Slack != nil || a.Webhook != nil || len(a.Mail) > 0 {
				k.Asks++
				k.Todo = append(k.Todo, todo{ID: k.Asks, Action: a, Over: !c.Opened})
			}
		}
	}
}

// job is an action to be done now.
type job struct {
	alert rule.Alert
	todo  todo
}

// due takes what is to be done now.
func (v *vigil) due(now time.Time) []job {
	var out []job
	for _, k := range v.alerts {
		for n := range k.Todo {
			t := &k.Todo[n]
			if t.doing || t.Next.After(now) || t.Over && !k.Todo[0].Over {
				continue // that it is over is told after that it began
			}
			t.doing = true
			out = append(out, job{k.Alert, *t})
		}
	}
	return out
}

// forget takes out alerts that have been over for long.
func (v *vigil) forget(now time.Time) []string {
	var over []*kept
	for _, k := range v.alerts {
		if !k.ResolvedAt.IsZero() && len(k.Todo) == 0 {
			over = append(over, k)
		}
	}
	slices.SortFunc(over, func(a, b *kept) int { return b.ResolvedAt.Compare(a.ResolvedAt) })
	var gone []string
	for i, k := range over {
		if i >= keptAlerts || now.Sub(k.ResolvedAt) > keptFor {
			gone = append(gone, k.ID)
			delete(v.alerts, k.ID)
		}
	}
	return gone
}

// keep writes down what is not kept yet, for all observers in Redis, and for this one while that is away.
func (s *Server) keep(ctx context.Context) error {
	v := s.vigil
	v.keeping.Lock()
	defer v.keeping.Unlock()
	v.mu.Lock()
	memory, err := json.Marshal(v.memory)
	texts := map[string]string{}
	for id := range v.unkept {
		if v.alerts[id] == nil {
			delete(v.unkept, id)
			continue
		}
		text, errText := json.Marshal(v.alerts[id])
		err = errors.Join(err, errText)
		texts[id] = string(text)
	}
	forget := slices.Collect(maps.Keys(v.unforgotten))
	var all []byte
	if len(texts) > 0 || len(forget) > 0 {
		puts := map[string]rule.Rule{}
		for name, r := range v.put {
			puts[name] = r.Rule
		}
		var errAll error
		all, errAll = json.Marshal(backup{Rules: puts, Alerts: v.alerts, Memory: v.memory})
		err = errors.Join(err, errAll)
	}
	v.mu.Unlock()
	if err != nil {
		return fmt.Errorf("keep alerts: %w", err)
	}
	if all != nil {
		err = writeFile(s.backupPath(), all)
	}
	errPut := s.store.PutAlerts(ctx, texts, forget, string(memory))
	if errPut == nil {
		v.mu.Lock()
		for id, text := range texts {
			now, errText := json.Marshal(v.alerts[id])
			if errText == nil && string(now) == text {
				delete(v.unkept, id) // else it changed meanwhile
			}
		}
		for _, id := range forget {
			delete(v.unforgotten, id)
		}
		v.mu.Unlock()
	}
	return errors.Join(err, errPut)
}

// backup is what an observer keeps of rules and alerts in its own folder.
type backup struct {
	Rules  map[string]rule.Rule
	Alerts map[string]*kept
	Memory *rule.Memory
}

func (s *Server) backupPath() string { return filepath.Join(s.deps.Dir, "alerts.json") }

// restoreAlerts begins with what the folder has: Redis may be away.
func (s *Server) restoreAlerts() error {
	raw, err := os.ReadFile(s.backupPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	b := backup{Memory: rule.NewMemory()}
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be read; it is made anew: %w", s.backupPath(), err)
	}
	for name, r := range b.Rules {
		c, err := rule.Compile(r)
		if err == nil {
			s.vigil.put[name] = c
		}
	}
	if b.Alerts != nil {
		s.vigil.alerts = b.Alerts
	}
	s.vigil.memory = b.Memory
	return nil
}

// writeFile puts data in the place of what is there, whole or not at all.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".alerts-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone when it was renamed
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
