package directory

import (
	"context"
	"strings"

	"golang.org/x/text/unicode/norm"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	"github.com/filigreehq/filigree/services/directory/internal/store"
)

// RegisterDevice makes a device a person's, or refreshes it.
func (s *Server) RegisterDevice(ctx context.Context, req *directoryv1.RegisterDeviceRequest) (*directoryv1.RegisterDeviceResponse, error) {
	t, p, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	email := mailbox(req.GetEmail())
	local, domain, found := strings.Cut(email, "@")
	if !found || local == "" || domain == "" || email != visible(email) {
		return nil, fault.New(fault.Invalid, "EMAIL_ADDRESS_INVALID", "%q is no e-mail address, and a device belongs to a person by theirs", visible(req.GetEmail()))
	}
	if !printable(req.GetToken()) {
		return nil, fault.New(fault.Invalid, "DEVICE_TOKEN_INVALID", "the device's token has characters that none has: send the registration token as the app got it")
	}
	d := store.Device{ID: store.DeviceID(req.GetPlatform(), req.GetToken()), Email: email, Platform: req.GetPlatform()}
	d.Token, err = s.vault.Seal(req.GetToken(), deviceContext(p.ID, d.ID)...)
	if err != nil {
		return nil, err
	}
	d.Registered, err = t.PutDevice(ctx, d)
	if err != nil {
		return nil, answer(err, req.GetProduction())
	}
	return &directoryv1.RegisterDeviceResponse{Device: deviceMessage(d)}, nil
}

// RemoveDevice ends notifications of a device.
func (s *Server) RemoveDevice(ctx context.Context, req *directoryv1.RemoveDeviceRequest) (*directoryv1.RemoveDeviceResponse, error) {
	t, _, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	err = t.RemoveDevice(ctx, req.GetDevice())
	if err != nil {
		return nil, err
	}
	return &directoryv1.RemoveDeviceResponse{}, nil
}

// ListDevices lists a person's devices; their tokens are told to services only.
func (s *Server) ListDevices(ctx context.Context, req *directoryv1.ListDevicesRequest) (*directoryv1.ListDevicesResponse, error) {
	t, p, err := s.tenant(ctx, req.GetProduction())
	if err != nil {
		return nil, err
	}
	devices, err := t.Devices(ctx, mailbox(req.GetEmail()))
	if err != nil {
		return nil, err
	}
	withTokens := rpc.PrincipalFrom(ctx).GetRole() == accessv1.Role_ROLE_SERVICE
	resp := &directoryv1.ListDevicesResponse{}
	for _, d := range devices {
		m := deviceMessage(d)
		resp.Devices = append(resp.Devices, m)
		if !withTokens {
			continue
		}
		m.Token, err = s.vault.Open(d.Token, deviceContext(p.ID, d.ID)...)
		if err != nil {
			// The person's other devices can do without this one; it works again once its app registers it again.
			s.log.ErrorContext(ctx, "a device's token cannot be opened: is its key missing in the key ring?", "production", p.ID, "device", d.ID, "err", err)
		}
	}
	return resp, nil
}

// deviceContext is where a device's sealed token belongs.
func deviceContext(production, device string) []string { return []string{"device", production, device} }

// mailbox is an address in the one form in which people's addresses are compared.
func mailbox(email string) string { return strings.ToLower(norm.NFC.String(strings.TrimSpace(email))) }

// printable reports whether s is ASCII without spaces and controls.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func deviceMessage(d store.Device) *directoryv1.Device {
	return &directoryv1.Device{Id: d.ID, Email: d.Email, Platform: d.Platform, RegisteredAt: timestamppb.New(d.Registered)}
}
