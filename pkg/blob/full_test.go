package blob_test

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/filigreehq/filigree/pkg/blob"
)

func TestFull(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("connection refused"), false},
		{fmt.Errorf("store: %w", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}), true},
		{fmt.Errorf("store: %w", syscall.EDQUOT), true},
		{errors.New("operation error S3: PutObject, https response error StatusCode: 507, api error XMinioStorageFull"), true},
	} {
		if got := blob.Full(c.err); got != c.want {
			t.Errorf("Full(%v) is %v, want %v", c.err, got, c.want)
		}
	}
}
