package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Drive says where a link's copies lie in Google Drive.
type Drive struct {
	// IDs were handed out by Drive before anything was made under them: the folder's, then those of the files.
	IDs []string `json:"ids"`
	// URL is where the person finds them; empty until all is there.
	URL string `json:"url"`
}

// Reserve records the ids a link's copies will have in Drive, or returns what was recorded before.
func (s *Store) Reserve(ctx context.Context, hash string, ids []string, lifetime time.Duration) (Drive, error) {
	fresh := Drive{IDs: ids}
	data, err := json.Marshal(fresh)
	if err != nil {
		return Drive{}, fmt.Errorf("reserve ids: %w", err)
	}
	won, err := s.redis.SetNX(ctx, driveKey(hash), data, max(lifetime+retention, tombstone)).Result()
	if err != nil {
		return Drive{}, fmt.Errorf("reserve ids: %w", err)
	}
	if won {
		return fresh, nil
	}
	return s.Drive(ctx, hash)
}

// Drive returns what was recorded for the link under hash, the zero Drive if nothing was.
func (s *Store) Drive(ctx context.Context, hash string) (Drive, error) {
	data, err := s.redis.Get(ctx, driveKey(hash)).Bytes()
	if errors.Is(err, redis.Nil) {
		return Drive{}, nil
	}
	if err != nil {
		return Drive{}, fmt.Errorf("read a link's place in Drive: %w", err)
	}
	var d Drive
	err = json.Unmarshal(data, &d)
	if err != nil {
		return Drive{}, fmt.Errorf("read a link's place in Drive: %w", err)
	}
	return d, nil
}

// SetDrive records that all of a link's copies are there, or more ids for more of them.
func (s *Store) SetDrive(ctx context.Context, hash string, d Drive) error {
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("record a link's place in Drive: %w", err)
	}
	err = s.redis.SetXX(ctx, driveKey(hash), data, redis.KeepTTL).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("record a link's place in Drive: %w", err)
	}
	return nil
}
