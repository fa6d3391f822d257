package orchestrator

import (
	"cmp"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
)

// Config sets an orchestrator up. The zero value of a field means its default.
type Config struct {
	// Shards is over how many hash tags productions are spread. It is fixed at the very first start; 1 until a Redis
	// Cluster is to carry more than one node can.
	Shards int `help:"Over how many Redis hash tags productions are spread; fixed at the very first start." default:"1"`
	// Sweep is how often queues are held against records; what Redis lost of its queues comes back within one round.
	Sweep time.Duration `help:"How often queues are rebuilt from records." default:"10s"`
	// Tick is how often retries that are due and leases that ran out are looked for, and how long a wake-up that got lost
	// can delay a task.
	Tick time.Duration `help:"How often due retries and lost leases are looked for." default:"100ms"`
	// Retention is how long what has ended can be looked at. Then records and events are deleted.
	Retention time.Duration `help:"How long distributions that have ended are kept." default:"2160h"`
	// MaxOpenItems is how many items of distributions that have not ended a production may have; -1 is any number. One that
	// has a quota of its own goes by that.
	MaxOpenItems int `help:"How many items a production may have open that has no quota of its own; -1: any number." default:"1000000"`
	// MaxPerMinute is how many distributions a production may create in any minute, likewise.
	MaxPerMinute int `help:"How many distributions a production may create in a minute that has no quota of its own; -1: any number." default:"6000"`
	// MaxAttached is how many bytes of documents, as uploaded, one mail carries; -1 is any number. Of more everybody gets a link:
	// a mail grows by 37 %, and few servers take more than 10 MB without a murmur.
	MaxAttached int64 `help:"Most bytes of documents, as uploaded, that go to one person as attachments; what is more goes by link. -1: any number." default:"7340032"`
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Shards < 1 || c.Shards > 1024 {
		errs = append(errs, errors.New("--shards must be between 1 and 1024"))
	}
	if c.Sweep < time.Second {
		errs = append(errs, errors.New("--sweep must be at least 1s"))
	}
	if c.Tick < 10*time.Millisecond || c.Tick > 5*time.Second {
		errs = append(errs, errors.New("--tick must be between 10ms and 5s"))
	}
	if c.Retention < 0 {
		errs = append(errs, errors.New("--retention must not be negative"))
	}
	if c.MaxOpenItems < -1 || c.MaxOpenItems > 1<<30 {
		errs = append(errs, errors.New("--max-open-items must be -1, for any number, or between 1 and 1073741824"))
	}
	if c.MaxPerMinute < -1 || c.MaxPerMinute > 1<<20 {
		errs = append(errs, errors.New("--max-per-minute must be -1, for any number, or between 1 and 1048576"))
	}
	if c.MaxAttached < -1 {
		errs = append(errs, errors.New("--max-attached must be -1, for any number, or a number of bytes"))
	}
	return errors.Join(errs...)
}

// attached is MaxAttached, or its default.
func (c Config) attached() int64 { return cmp.Or(c.MaxAttached, 7<<20) }

// Deps is what an orchestrator needs from others.
type Deps struct {
	Redis     redis.UniversalClient
	Directory directoryv1.DirectoryServiceClient
	Files     filev1.FileServiceClient
	// Credentials keeps the secrets of webhooks.
	Credentials credentialv1.CredentialServiceClient
	// Links ends links that are revoked or replaced; nil when there is no link service.
	Links linkv1.LinkServiceClient
	Log   *slog.Logger
	// Name tells this replica from others; empty: one is made up.
	Name string
	// Metrics takes what is counted; nil: nothing is.
	Metrics prometheus.Registerer
	// Stopping, when closed, ends calls that wait: workers ask another replica. nil: they wait as long as they like.
	Stopping <-chan struct{}
	// Draw gives the jitter of back-offs, in [0,1); nil means math/rand.
	Draw func() float64
}

func (d Deps) draw() float64 {
	if d.Draw == nil {
		return rand.Float64()
	}
	return d.Draw()
}
