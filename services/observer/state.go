package observer

import (
	"sync"
	"time"

	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// lastState keeps what was heard last of who is there, so that not each answer costs Redis another two calls.
type lastState struct {
	mu sync.Mutex
	st readside.State
	at time.Time
}

func (l *lastState) get(age time.Duration) (readside.State, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := time.Since(l.at)
	st := l.st
	if l.at.IsZero() || since > age {
		return st, false
	}
	st.Now = st.Now.Add(since)
	return st, true
}

func (l *lastState) set(st readside.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.st, l.at = st, time.Now()
}
