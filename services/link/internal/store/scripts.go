package store

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/claim.lua
var claimLua string

//go:embed lua/join.lua
var joinLua string

//go:embed lua/put.lua
var putLua string

//go:embed lua/revoke_id.lua
var revokeIDLua string

//go:embed lua/revoke_distribution.lua
var revokeDistributionLua string

//go:embed lua/revoke_link.lua
var revokeLinkLua string

//go:embed lua/open.lua
var openLua string

//go:embed lua/access.lua
var accessLua string

// scripts are link's transitions, by what they do.
type scripts struct {
	claim, join, put, revokeID, revokeDistribution, revokeLink, open, access *redis.Script
}

func newScripts() scripts {
	return scripts{
		claim:              redis.NewScript(claimLua),
		join:               redis.NewScript(joinLua),
		put:                redis.NewScript(putLua),
		revokeID:           redis.NewScript(revokeIDLua),
		revokeDistribution: redis.NewScript(revokeDistributionLua),
		revokeLink:         redis.NewScript(revokeLinkLua),
		open:               redis.NewScript(openLua),
		access:             redis.NewScript(accessLua),
	}
}

// reply is what every script returns: a code, and what the script's header says goes with it.
type reply struct {
	code string
	more []string
}

// run runs a script whose reply has more further values.
func (s *Store) run(ctx context.Context, script *redis.Script, more int, keys []string, args ...any) (reply, error) {
	values, err := script.Run(ctx, s.redis, keys, args...).StringSlice()
	if err != nil {
		return reply{}, err
	}
	if len(values) != 1+more {
		return reply{}, fmt.Errorf("a script answered %q, which it never does", values)
	}
	return reply{code: values[0], more: values[1:]}, nil
}

// unexpected is the error for a code that the script's header does not list.
func (r reply) unexpected() error {
	return fmt.Errorf("a script answered with the code %q, which it never does", r.code)
}
