package orchestrator

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

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
	return errors.Join(errs...)
}

// Deps is what an orchestrator needs from others.
type Deps struct {
	Redis     redis.UniversalClient
	Directory directoryv1.DirectoryServiceClient
	Files     filev1.FileServiceClient
	// Links ends links that are revoked or replaced; nil when there is no link service.
	Links linkv1.LinkServiceClient
	Log   *slog.Logger
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
