// Package former is what stays of a copy that is kept no longer: whose it was, so that it can be traced by its number for as long as
// the store lives. It lies beside where the copy lay, under the copy's key and ".gone", as JSON.
package former

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/filigreehq/filigree/pkg/blob"
)

// suffix is behind the key of the copy.
const suffix = ".gone"

// most bounds what is read of one.
const most = 64 << 10

// A Copy says whose a copy was.
type Copy struct {
	Production   string `json:"production"`
	Distribution string `json:"distribution"`
	Item         string `json:"item"`
	Name         string `json:"name"`
	Email        string `json:"email"`
}

// Key returns the key of the copy that key is of; false: key is of something else.
func Key(key string) (string, bool) { return strings.CutSuffix(key, suffix) }

// Keep keeps whose the copy under key was; once, another time what was kept stays.
func Keep(ctx context.Context, b *blob.Bucket, key string, c Copy) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, _, err = b.Create(ctx, key+suffix, "application/json", bytes.NewReader(raw))
	if err != nil && !errors.Is(err, blob.ErrExists) {
		return err
	}
	return nil
}

// Read returns whose the copy under key was. Without a word of it the error is blob.ErrNotFound.
func Read(ctx context.Context, b *blob.Bucket, key string) (c Copy, err error) {
	r, err := b.Read(ctx, key+suffix)
	if err != nil {
		return c, err
	}
	defer func() { _ = r.Close() }() // it was only read
	raw, err := io.ReadAll(io.LimitReader(r, most))
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		return c, fmt.Errorf("read %s: %w", key+suffix, err)
	}
	return c, nil
}
