package watermark

import (
	"fmt"

	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
)

// What identifies copies is made under keys derived for keyring.IDMAC with these contexts.
const (
	macContext  = "mac"
	sealContext = "seal"
)

// identify hides about, whose artifact is set, in a copy made under key number n of the ring.
func identify(keys *keyring.Ring, n int, about hidden.About, r *engine.Recipe) error {
	number, ok := hidden.NumberOf(about.Artifact)
	if !ok {
		return fmt.Errorf("artifact %q has no number", about.Artifact)
	}
	mac, err := keys.Derive(n, keyring.IDMAC, macContext)
	if err != nil {
		return err
	}
	seal, err := keys.Derive(n, keyring.IDMAC, sealContext)
	if err != nil {
		return err
	}
	r.ID = hidden.ID{Key: uint8(n), Number: number, MAC: hidden.MAC(mac, uint8(n), number)}
	r.Sealed = hidden.Seal(uint8(n), seal, r.Seed[:], about)
	return nil
}
