package watermark

import (
	"errors"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/watermark/internal/compile"
	"github.com/filigreehq/filigree/services/watermark/internal/engine"
	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
)

// explain makes of an error of the engine a fault: what the source or the mark is refused for stays so for ever, what
// this machine could not do now may do better later. Anything else stays as it is, and is a defect of ours.
func explain(err error) error {
	var refusal *compile.Error
	if errors.As(err, &refusal) {
		return fault.New(fault.Invalid, refusal.Reason, "%s", refusal.Message).Because(err)
	}
	var unmarked *mark.Error
	if errors.As(err, &unmarked) {
		return fault.New(fault.Invalid, unmarked.Reason, "%s", unmarked.Message)
	}
	var unseen *preflight.Error
	if errors.As(err, &unseen) {
		return fault.New(fault.Invalid, unseen.Reason, "%s", unseen.Message).Because(err)
	}
	if errors.Is(err, engine.ErrDisk) {
		return fault.New(fault.Unavailable, "DISK_UNAVAILABLE", "no temporary file could be made or filled; it will be tried again").Because(err)
	}
	var unsound *preflight.Unsound
	if errors.As(err, &unsound) {
		return fault.New(errUnsound.Kind, errUnsound.Reason, "%s", errUnsound.Message).Because(err)
	}
	var ended *sandbox.Error
	if !errors.As(err, &ended) {
		return err
	}
	switch ended.Kind {
	case sandbox.Time, sandbox.Killed:
		return fault.New(fault.Unavailable, "WATERMARK_OVERLOADED", "this machine had too little time or memory for the copy; it will be tried again").Because(err)
	case sandbox.Unavailable:
		return fault.New(fault.Unavailable, "SANDBOX_UNAVAILABLE", "the sandbox in which PDFs are opened could not be started on this machine; it will be tried again").Because(err)
	}
	return fault.New(fault.Internal, "INTERNAL", "the copy could not be made; it was logged and will be tried again").Because(err)
}
