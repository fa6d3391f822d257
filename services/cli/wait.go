package cli

import (
	"fmt"
	"time"

	"github.com/alecthomas/kong"
)

// waitFlag is --wait[=DURATION]: whether to wait for the end, and how long at most.
type waitFlag struct {
	limit time.Duration // 0: do not wait
}

const defaultWait = 10 * time.Minute

// IsBool tells kong that the flag stands without a value.
func (waitFlag) IsBool() bool { return true }

// Decode reads the value after "=", if there is one.
func (w *waitFlag) Decode(ctx *kong.DecodeContext) error {
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		w.limit = defaultWait
		return nil
	}
	switch v := ctx.Scan.Pop().Value.(type) {
	case bool:
		if v {
			w.limit = defaultWait
		}
		return nil
	case string:
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return fmt.Errorf("%q is not a time to wait: write 30s, 10m or 1h", v)
		}
		w.limit = d
		return nil
	default:
		return fmt.Errorf("%v is not a time to wait", v)
	}
}
