package watermark

import (
	"sync"

	"github.com/filigreehq/filigree/pkg/keyring"
	"github.com/filigreehq/filigree/services/watermark/internal/stamp"
)

// locks keeps the slow part of encryption by owner of a password, so that it is done once for all files of a recipient.
// It is safe for concurrent use.
type locks struct {
	mu    sync.Mutex
	known map[[32]byte]*lock
}

type lock struct {
	once sync.Once
	lock *stamp.Lock
	err  error
}

// maxLocks bounds what is kept, at half a kilobyte each.
const maxLocks = 1 << 13

func newLocks() *locks { return &locks{known: map[[32]byte]*lock{}} }

// get returns the lock of p under key number n of the ring.
func (l *locks) get(keys *keyring.Ring, n int, p password) (*stamp.Lock, error) {
	// By the owner, so that two people with one password do not show it.
	salts, err := keys.Derive(n, keyring.Stamp, append([]string{"salts", p.text}, p.owner...)...)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	known := l.known[[32]byte(salts)]
	if known == nil {
		if len(l.known) >= maxLocks {
			clear(l.known)
		}
		known = &lock{}
		l.known[[32]byte(salts)] = known
	}
	l.mu.Unlock()
	known.once.Do(func() { known.lock, known.err = stamp.NewLock(p.text, [16]byte(salts)) })
	return known.lock, known.err
}
