package observer

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/rule"
)

// Config sets an observer up. The zero value of a field means its default.
type Config struct {
	// Rebuild begins the index anew, from events and records; what is asked meanwhile finds only what is read again.
	Rebuild bool `help:"Make the index anew from events and records, as if its file were lost."`
	// Look is how often it looks who is there: workers, limits, pauses, orchestrators.
	Look time.Duration `help:"How often it looks who is there, what is paused or full, and whether rules find anything." default:"2s"`
	// Rules is a file of rules beside those that there are and that people put.
	Rules string `placeholder:"FILE" help:"Rules in YAML, beside those that are there from the start and those that are put by API; see docs/operations.md."`
	// EgressOpen are networks that webhooks may be in although they are not public.
	EgressOpen []string `name:"egress-open" placeholder:"CIDR" help:"Networks that addresses of alerts may be in although they are not of the public Internet, such as 10.1.0.0/16 of a chat server of your own."`
	// PublicURL is where people reach the console, for links in alerts, and shared distributions.
	PublicURL string `name:"public-url" placeholder:"URL" help:"Where people reach the gateway and its console; alerts lead there, and so do the addresses of shared distributions."`
	// KeepLogs, KeepCopies and KeepArchives are how long things are kept after a distribution's end, by production; "*" is of
	// those that are not named. Not named, or 0, is for ever.
	KeepLogs     map[string]time.Duration `name:"keep-logs" placeholder:"PRODUCTION=HOURSh" help:"How long after its end the log lines of a distribution are kept, by production, such as dune=720h; * is of all others. Without it for ever."`
	KeepCopies   map[string]time.Duration `name:"keep-copies" placeholder:"PRODUCTION=HOURSh" help:"How long after a distribution's end its copies and their pictures are kept: links lead to nothing then, and nothing can be sent again."`
	KeepArchives map[string]time.Duration `name:"keep-archives" placeholder:"PRODUCTION=HOURSh" help:"How long after its end a distribution is kept at all, once the orchestrator has forgotten it; figures by week stay."`
}

// DefaultConfig is what the flags' defaults are.
func DefaultConfig() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	if c.Look == 0 {
		c.Look = 2 * time.Second
	}
	return c
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Look < 100*time.Millisecond || c.Look > time.Minute {
		errs = append(errs, errors.New("--look must be between 100ms and 1m"))
	}
	return errors.Join(append(errs, c.validKeep())...)
}

// rules reads the rules file.
func (c Config) rules() ([]*rule.Compiled, error) {
	if c.Rules == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(c.Rules)
	if err != nil {
		return nil, fmt.Errorf("--rules: %w", err)
	}
	rules, err := rule.Parse(string(raw))
	if err != nil {
		return nil, fmt.Errorf("--rules %s: %w", c.Rules, err)
	}
	for _, r := range rules {
		r.Source = "file"
	}
	return rules, nil
}
