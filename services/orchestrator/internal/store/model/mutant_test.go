package model_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutants are ways to break the scripts, each in one place.
var mutants = []struct{ name, script, from, to string }{
	{"fence off", "settle", "if a > 0 and (tonumber(r[f.a]) ~= a or r[f.by] ~= op.w) then", "if false then"},
	{"attempt not looked at", "settle", "(tonumber(r[f.a]) ~= a or r[f.by] ~= op.w)", "(r[f.by] ~= op.w)"},
	{"checkpoint after cancel", "checkpoint", "if redis.call('HGET', dist, 'cancel') then", "if false then"},
	{"joins one early", "settle", "(tonumber(r[f.w]) or 1) - 1", "(tonumber(r[f.w]) or 1) - 2"},
	{"limits let in one more", "claim", "g.taken >= g.most", "g.taken > g.most"},
	{"keys are not exclusive", "claim", "if string.sub(name, 1, 2) == 'k/' then\n    g.most = 1", "if string.sub(name, 1, 2) == 'k/' then\n    g.most = 0"},
	{"a paused production goes on", "claim", "paused('p ' .. production)", "false"},
	{"a paused function goes on", "claim", "if paused('f ' .. fn) then", "if false then"},
	{"nothing is swept", "sweep", "    if key then\n", "    if false then\n"},
	{"a counter that is not moved", "claim", "count(dist, 's:' .. s .. ':running', step.started)", "count(dist, 's:' .. s .. ':running', 0)"},
	{"deliveries do not move with items", "claim", "count(dist, 'm:sending', made)", "count(dist, 'm:sending', 0)"},
	{"places are not given back", "settle", "free(member, g, f.key and r[f.key])", ""},
	{"who waits for a place is not told", "settle", "queue(fn, next[2], waiting)", ""},
	{"a studio limit lets in one more", "permit", "taken >= most", "taken > most"},
	{"priority is upside down", "settle", "g.rank + deadline", "deadline - g.rank"},
	{"a child's end wakes nobody", "settle", "call('ZADD', later, now, end_at[2])", "local nobody = nil"},
	{"what has ended counts against the quota", "settle", "if end_at[3] == '1' then", "if false then"},
	{"a file's end is counted twice", "settle", "if heard and r[heard] then", "if false then"},
	{"joins of all do not wait for wishes", "settle", "local last = left <= 0 and not (u == 'd' and asking())", "local last = left <= 0"},
	{"what waited for a wish waits on", "settle", "if r[s] == 'pending' and r[f.w] == '0' then", "if false then"},
	{"joins of all do not wait again", "revive", "if hears or g.wanted then", "if g.wanted then"},
	{"what is asked for again does not count", "revive", "if size[1] == '0' then", "if false then"},
	{"cancelled steps are put back", "settle", "if cancelled and op.alt then", "if false then"},
}

// Each way to break the scripts is found by the random histories. FILIGREE_MUTANTS=1 asks for it (make mutants): the test
// builds itself once for each.
func TestMutants(t *testing.T) {
	if os.Getenv("FILIGREE_MUTANTS") == "" {
		t.Skip("FILIGREE_MUTANTS is not set: make mutants")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			path, err := filepath.Abs("../lua/" + m.script + ".lua")
			if err != nil {
				t.Fatal(err)
			}
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(string(source), m.from) != 1 {
				t.Fatalf("%s.lua has %q %d times, want once", m.script, m.from, strings.Count(string(source), m.from))
			}
			dir := t.TempDir()
			broken, overlay := filepath.Join(dir, "broken.lua"), filepath.Join(dir, "overlay.json")
			err = os.WriteFile(broken, []byte(strings.Replace(string(source), m.from, m.to, 1)), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
			if err != nil {
				t.Fatal(err)
			}
			err = os.WriteFile(overlay, raw, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-overlay", overlay, "-run", "TestModel$", ".")
			cmd.Env = append(os.Environ(), "FILIGREE_TRANSITIONS=20000", "FILIGREE_MUTANTS=")
			out, err := cmd.CombinedOutput()
			_, why, found := strings.Cut(string(out), "operation ")
			if err == nil || !found {
				t.Fatalf("the model finds nothing wrong: %v\n%s", err, out)
			}
			why, _, _ = strings.Cut(why, "\n")
			t.Logf("found after operation %.150s", why)
		})
	}
}
