package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"time"

	"github.com/redis/go-redis/v9"
)

// MaxDevices is how many devices a person has at most.
const MaxDevices = 100

// Device is a device's record.
type Device struct {
	ID       string
	Email    string // whose it is; the caller has brought it into the one form in which addresses are compared
	Platform string
	Token    string // sealed
	// Registered is when it was recorded or refreshed last.
	Registered time.Time
}

var deviceID = regexp.MustCompile(`^dev_[0-9a-f]{32}$`)

// DeviceID is the id of the device with this token, which it does not give away.
func DeviceID(platform, token string) string {
	sum := sha256.Sum256([]byte(platform + "\x00" + token))
	return "dev_" + hex.EncodeToString(sum[:16])
}

// person names an address in keys, which hold nothing that somebody typed.
func person(email string) string {
	sum := sha256.Sum256([]byte(email))
	return hex.EncodeToString(sum[:16])
}

// PutDevice records d, or refreshes it, and returns since when it is registered. If it was another person's, it is no
// more. Of more than MaxDevices of one person, those go that were refreshed longest ago.
func (t Tenant) PutDevice(ctx context.Context, d Device) (time.Time, error) {
	who := person(d.Email)
	keys := []string{productionKey(t.production), deviceKey(t.production, d.ID), devicesKey(t.production, who)}
	r, err := t.s.run(ctx, t.s.scripts.devicePut, 1, keys,
		d.ID, who, d.Email, d.Platform, d.Token, MaxDevices, devicesKey(t.production, ""), deviceKey(t.production, ""))
	if err != nil {
		return time.Time{}, fmt.Errorf("record device %s: %w", d.ID, err)
	}
	switch r.code {
	case "put":
		return millis(r.more[0])
	case "no_production":
		return time.Time{}, ErrNoProduction
	}
	return time.Time{}, r.unexpected()
}

// RemoveDevice removes a device; removing what is not there is no error.
func (t Tenant) RemoveDevice(ctx context.Context, id string) error {
	if !deviceID.MatchString(id) {
		return nil // there is none
	}
	r, err := t.s.run(ctx, t.s.scripts.deviceRemove, 0, []string{deviceKey(t.production, id)}, id, devicesKey(t.production, ""))
	if err != nil {
		return fmt.Errorf("remove device %s: %w", id, err)
	}
	switch r.code {
	case "removed", "absent":
		return nil
	}
	return r.unexpected()
}

// Devices returns a person's devices, the one refreshed last first.
func (t Tenant) Devices(ctx context.Context, email string) ([]Device, error) {
	ids, err := t.s.redis.ZRevRange(ctx, devicesKey(t.production, person(email)), 0, MaxDevices-1).Result()
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	read := make([]*redis.MapStringStringCmd, len(ids))
	_, err = t.s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			read[i] = p.HGetAll(ctx, deviceKey(t.production, id))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var found []Device
	for i, id := range ids {
		record := read[i].Val()
		if record["email"] != email {
			continue // removed since, or somebody else's
		}
		registered, err := millis(record["registered"])
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", id, err)
		}
		found = append(found, Device{ID: id, Email: record["email"], Platform: record["platform"], Token: record["token"], Registered: registered})
	}
	return found, nil
}
