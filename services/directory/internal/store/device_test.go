package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/services/directory/internal/store"
)

func put(t *testing.T, in store.Tenant, email, token string) store.Device {
	t.Helper()
	d := store.Device{ID: store.DeviceID("fcm", token), Email: email, Platform: "fcm", Token: "sealed " + token}
	var err error
	d.Registered, err = in.PutDevice(t.Context(), d)
	if err != nil || d.Registered.IsZero() {
		t.Fatal(err)
	}
	return d
}

func devicesOf(t *testing.T, in store.Tenant, email string) []store.Device {
	t.Helper()
	found, err := in.Devices(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func devices(t *testing.T, client redis.UniversalClient) {
	s := store.New(client)
	in, other := tenant(t, s, "devices"), tenant(t, s, "devices-elsewhere")
	phone, tablet := put(t, in, "ada@example.com", "phone"), put(t, in, "ada@example.com", "tablet")
	if got := devicesOf(t, in, "ada@example.com"); !slices.Equal(got, []store.Device{tablet, phone}) {
		t.Errorf("got %+v, want the tablet and the phone", got)
	}
	phone = put(t, in, "ada@example.com", "phone") // refreshed
	if got := devicesOf(t, in, "ada@example.com"); !slices.Equal(got, []store.Device{phone, tablet}) {
		t.Errorf("got %+v, want the phone first", got)
	}
	moved := put(t, in, "bob@example.com", "tablet")
	if got := devicesOf(t, in, "ada@example.com"); !slices.Equal(got, []store.Device{phone}) {
		t.Errorf("got %+v, want the phone alone", got)
	}
	if got := devicesOf(t, in, "bob@example.com"); !slices.Equal(got, []store.Device{moved}) {
		t.Errorf("got %+v, want the tablet", got)
	}
	put(t, other, "ada@example.com", "phone") // the same device in another production
	for range 2 {
		err := in.RemoveDevice(t.Context(), phone.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got := devicesOf(t, in, "ada@example.com"); len(got) != 0 {
			t.Errorf("got %+v, want none", got)
		}
	}
	for _, odd := range []string{"", "dev_", "*", "dev_" + strings.Repeat("g", 32)} {
		err := in.RemoveDevice(t.Context(), odd)
		if err != nil {
			t.Errorf("%q: %v, want no error", odd, err)
		}
	}
	if len(devicesOf(t, other, "ada@example.com")) != 1 || len(devicesOf(t, in, "bob@example.com")) != 1 {
		t.Error("a device went that was not removed")
	}
	keys, err := client.Keys(t.Context(), "{p:devices}:device*").Result()
	if err != nil || len(keys) != 2 { // the tablet, and the index of Bob
		t.Errorf("left are %q, %v", keys, err)
	}
	for _, key := range keys {
		if strings.Contains(key, "@") {
			t.Errorf("the key %q holds an address", key)
		}
	}
	err = client.Del(t.Context(), "{p:devices-elsewhere}:production").Err()
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.PutDevice(t.Context(), phone)
	if !errors.Is(err, store.ErrNoProduction) {
		t.Errorf("got %v, want ErrNoProduction", err)
	}
}

func deviceBound(t *testing.T, client redis.UniversalClient) {
	in := tenant(t, store.New(client), "bound")
	var wg sync.WaitGroup
	for i := range store.MaxDevices {
		wg.Go(func() { put(t, in, "ada@example.com", fmt.Sprint(i)) })
	}
	wg.Wait()
	all := devicesOf(t, in, "ada@example.com")
	if len(all) != store.MaxDevices {
		t.Fatalf("%d devices, want %d", len(all), store.MaxDevices)
	}
	oldest := all[len(all)-1]
	newest := put(t, in, "ada@example.com", "one more")
	all = devicesOf(t, in, "ada@example.com")
	gone := !slices.ContainsFunc(all, func(d store.Device) bool { return d.ID == oldest.ID })
	if len(all) != store.MaxDevices || all[0].ID != newest.ID || !gone {
		t.Errorf("%d devices, the first is %s, the oldest is gone: %t", len(all), all[0].ID, gone)
	}
	keys, err := client.Keys(t.Context(), "{p:bound}:device:*").Result()
	if err != nil || len(keys) != store.MaxDevices {
		t.Errorf("%d records are left, %v", len(keys), err)
	}
}
