package directory_test

import (
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
)

const registration = "fXq-canary:APA91bH_registration"

func deviceLife(t *testing.T, r *rig) {
	ctx := r.production(t, "devices")
	register := func(email, token string) *directoryv1.Device {
		t.Helper()
		resp, err := r.directory.RegisterDevice(ctx, &directoryv1.RegisterDeviceRequest{Production: "devices", Email: email, Platform: "fcm", Token: token})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetDevice()
	}
	made := register(" Ada@Example.com", registration)
	if made.GetEmail() != "ada@example.com" || made.GetPlatform() != "fcm" || made.GetToken() != "" || !made.GetRegisteredAt().IsValid() {
		t.Errorf("got %v", made)
	}
	if strings.Contains(made.GetId(), "canary") || len(made.GetId()) > 64 {
		t.Errorf("id %q", made.GetId())
	}
	again := register("ada@example.com", registration)
	if again.GetId() != made.GetId() || again.GetRegisteredAt().AsTime().Before(made.GetRegisteredAt().AsTime()) {
		t.Errorf("got %v, then %v, want it refreshed", made, again)
	}
	list := &directoryv1.ListDevicesRequest{Production: "devices", Email: "ADA@example.com"}
	for role, token := range map[accessv1.Role]string{
		accessv1.Role_ROLE_COORDINATOR: "", accessv1.Role_ROLE_ONCALL: "", accessv1.Role_ROLE_ADMIN: "", accessv1.Role_ROLE_SERVICE: registration,
	} {
		resp, err := r.directory.ListDevices(as(t, role, "devices"), list)
		if err != nil || len(resp.GetDevices()) != 1 || resp.GetDevices()[0].GetToken() != token || resp.GetDevices()[0].GetId() != made.GetId() {
			t.Errorf("%s: got %v, %v", role, resp, err)
		}
	}
	register("bob@example.com", registration)
	for email, want := range map[string]int{"ada@example.com": 0, "bob@example.com": 1, "": -1} {
		resp, err := r.directory.ListDevices(ctx, &directoryv1.ListDevicesRequest{Production: "devices", Email: email})
		if want < 0 {
			wantFault(t, err, fault.Invalid, "INVALID", "email")
		} else if err != nil || len(resp.GetDevices()) != want {
			t.Errorf("%s: got %v, %v, want %d", email, resp, err, want)
		}
	}
	if strings.Contains(r.dump(t), "canary") || strings.Contains(r.logged.String(), "canary") {
		t.Error("the registration token is in Redis or in the log")
	}
	for range 2 {
		_, err := r.directory.RemoveDevice(ctx, &directoryv1.RemoveDeviceRequest{Production: "devices", Device: made.GetId()})
		if err != nil {
			t.Fatal(err)
		}
	}
	resp, err := r.directory.ListDevices(ctx, &directoryv1.ListDevicesRequest{Production: "devices", Email: "bob@example.com"})
	if err != nil || len(resp.GetDevices()) != 0 {
		t.Errorf("got %v, %v, want none", resp, err)
	}
}

func badDevices(t *testing.T, r *rig) {
	ctx := r.production(t, "bad-devices")
	for _, c := range []struct{ email, platform, token, reason string }{
		{"nobody", "fcm", "t", "EMAIL_ADDRESS_INVALID"},
		{"@example.com", "fcm", "t", "EMAIL_ADDRESS_INVALID"},
		{"ada@", "fcm", "t", "EMAIL_ADDRESS_INVALID"},
		{"ada\u202e@example.com", "fcm", "t", "EMAIL_ADDRESS_INVALID"},
		{"ada@example.com", "fcm", "two words", "DEVICE_TOKEN_INVALID"},
		{"ada@example.com", "fcm", "t\n", "DEVICE_TOKEN_INVALID"},
		{"ada@example.com", "fcm", "", "INVALID"},
		{"ada@example.com", "fcm", strings.Repeat("x", 4097), "INVALID"},
		{"ada@example.com", "pigeon", "t", "INVALID"},
	} {
		_, err := r.directory.RegisterDevice(ctx, &directoryv1.RegisterDeviceRequest{Production: "bad-devices", Email: c.email, Platform: c.platform, Token: c.token})
		wantFault(t, err, fault.Invalid, c.reason)
	}
}
