package blob

import (
	"errors"
	"strings"
	"syscall"
)

// Full reports whether err says that there is no room left where blobs are kept.
func Full(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	if err == nil {
		return false
	}
	// Servers that speak like S3 say so by a code; what they wrote to is a disk, too.
	text := err.Error()
	for _, code := range []string{"XMinioStorageFull", "QuotaExceeded", "InsufficientCapacity", "no space left on device"} {
		if strings.Contains(text, code) {
			return true
		}
	}
	return false
}
