package push

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"google.golang.org/grpc"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	pushv1 "github.com/filigreehq/filigree/proto/gen/filigree/push/v1"
	"github.com/filigreehq/filigree/services/push/internal/fcm"
)

// telling is the checkpoint's word for "the next thing sent may show on a device".
const telling = "push"

// sender tells one device. An error is an *fcm.Error, or the context's.
type sender interface {
	Send(context.Context, fcm.Message) error
	Close() error
}

// Deps is what a Server works with.
type Deps struct {
	Directory directoryv1.DirectoryServiceClient // whose devices there are
	Log       *slog.Logger
}

// Server implements pushv1.PushServiceServer. It is safe for concurrent use.
type Server struct {
	pushv1.UnimplementedPushServiceServer

	cfg       Config
	sender    sender // nil if none is configured
	directory directoryv1.DirectoryServiceClient
	log       *slog.Logger
}

var _ pushv1.PushServiceServer = (*Server)(nil)

// New returns a server. It connects to nothing before there is something to send.
func New(cfg Config, deps Deps) (*Server, error) {
	err := cfg.Validate()
	if err != nil {
		return nil, err
	}
	if deps.Directory == nil || deps.Log == nil {
		return nil, errors.New("push: a dependency is missing")
	}
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, directory: deps.Directory, log: deps.Log}
	if cfg.FCMCredentials == "" {
		return s, nil
	}
	settings, err := cfg.sender()
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	s.sender, err = fcm.New(settings)
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	return s, nil
}

// Register makes s known to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { pushv1.RegisterPushServiceServer(r, s) }

// Close gives up idle connections; what is under way is not disturbed.
func (s *Server) Close() error {
	if s.sender == nil {
		return nil
	}
	return s.sender.Close()
}

// Send tells the recipient's devices; the package says what the outcomes are. It is the handler of the function
// "push.Send", and works as a plain RPC, too.
func (s *Server) Send(ctx context.Context, req *pushv1.SendRequest) (*pushv1.SendResponse, error) {
	listed, err := s.directory.ListDevices(ctx, &directoryv1.ListDevicesRequest{Production: req.GetProduction(), Email: req.GetEmail()})
	if err != nil {
		return nil, err
	}
	devices := listed.GetDevices()
	if len(devices) == 0 {
		return &pushv1.SendResponse{}, nil
	}
	if s.sender == nil {
		return nil, fault.New(fault.Invalid, "PUSH_NOT_CONFIGURED", "the recipient has devices to notify, and this installation has no credentials of Firebase Cloud Messaging: set fcm-credentials")
	}
	devices = slices.DeleteFunc(devices, func(d *directoryv1.Device) bool { return d.GetToken() == "" })
	if len(devices) == 0 {
		return nil, fault.New(fault.Invalid, "KEY_UNKNOWN", "the tokens of the recipient's devices were sealed under a key that is not in the directory's key ring: add it")
	}
	err = worker.Checkpoint(ctx, telling)
	if err != nil {
		return nil, err
	}
	result := s.tell(ctx, req, devices)
	s.forget(ctx, req.GetProduction(), result.gone)
	for _, e := range result.failed {
		s.log.WarnContext(ctx, "device not notified", "production", req.GetProduction(), "delivery", req.GetDelivery(), "err", e)
	}
	if result.interrupted != nil {
		return nil, result.interrupted
	}
	err = s.outcome(result)
	if err != nil {
		return nil, err
	}
	worker.Bytes(ctx, 0, int64(result.notified)*int64(len(req.GetTitle())+len(req.GetText())))
	s.log.DebugContext(ctx, "devices notified", "production", req.GetProduction(), "delivery", req.GetDelivery(), "notified", result.notified, "gone", len(result.gone))
	return &pushv1.SendResponse{Notified: int32(result.notified), Gone: int32(len(result.gone))}, nil
}

// result is how it went with all devices.
type result struct {
	notified    int
	gone        []string // ids
	failed      []*fcm.Error
	interrupted error
}

// tell notifies devices, some at a time. It begins with none after an answer that concerns all of them.
func (s *Server) tell(ctx context.Context, req *pushv1.SendRequest, devices []*directoryv1.Device) result {
	var mu sync.Mutex
	var r result
	stopped := false
	var told sync.WaitGroup
	slots := make(chan struct{}, s.cfg.Parallel)
	for _, d := range devices {
		slots <- struct{}{}
		mu.Lock()
		stop := stopped
		mu.Unlock()
		if stop {
			break
		}
		told.Go(func() {
			defer func() { <-slots }()
			err := s.sender.Send(ctx, message(req, d.GetToken()))
			mu.Lock()
			defer mu.Unlock()
			var e *fcm.Error
			switch {
			case err == nil:
				r.notified++
			case !errors.As(err, &e):
				r.interrupted, stopped = err, true
			case e.Outcome == fcm.Gone:
				r.gone = append(r.gone, d.GetId())
			default:
				r.failed = append(r.failed, e)
				stopped = stopped || e.Outcome != fcm.Rejected
			}
		})
	}
	told.Wait()
	return r
}

func message(req *pushv1.SendRequest, token string) fcm.Message {
	return fcm.Message{
		Token: token, Title: req.GetTitle(), Text: req.GetText(), Collapse: collapse(req.GetProduction(), req.GetDelivery()),
		Data: map[string]string{"distribution": req.GetDistribution()},
	}
}

// collapse names a delivery to devices, and tells them nothing else of it.
func collapse(production, delivery string) string {
	sum := sha256.Sum256([]byte(production + "\x00" + delivery))
	return hex.EncodeToString(sum[:16])
}

// forget removes devices that are gone. What is not removed now is found gone again by the next notification.
func (s *Server) forget(ctx context.Context, production string, gone []string) {
	for _, id := range gone {
		_, err := s.directory.RemoveDevice(ctx, &directoryv1.RemoveDeviceRequest{Production: production, Device: id})
		if err != nil {
			s.log.WarnContext(ctx, "a device that is gone was not removed", "production", production, "device", id, "err", err)
		}
	}
}

// outcome is the fault that r amounts to. Whatever can be repeated is, since it shows once; a device that is refused
// while another was told is no failure.
func (s *Server) outcome(r result) error {
	var worst *fcm.Error
	for _, e := range r.failed {
		if worst == nil || weight[e.Outcome] > weight[worst.Outcome] {
			worst = e
		}
	}
	if worst == nil || worst.Outcome == fcm.Rejected && r.notified > 0 {
		return nil
	}
	var f *fault.Error
	switch worst.Outcome {
	case fcm.Throttled:
		f = fault.New(fault.Exhausted, "PUSH_THROTTLED", "Firebase Cloud Messaging asks to send less: %s", worst.Words())
	case fcm.Unauthorized:
		f = fault.New(fault.Unavailable, "PUSH_AUTH", "Firebase Cloud Messaging does not accept our credentials, or Apple's or a browser's push service the project's, so nothing can be sent until they are put right: %s", worst.Words())
	case fcm.Rejected:
		return fault.New(fault.Invalid, "PUSH_REJECTED", "Firebase Cloud Messaging refuses the notification: %s", worst.Words()).Because(worst)
	default:
		f = fault.New(fault.Unavailable, "PUSH_UNAVAILABLE", "Firebase Cloud Messaging could not be reached or is in trouble: %s", worst.Words())
	}
	f.RetryAfter = worst.RetryAfter
	return f.Because(worst)
}

// weight orders outcomes by how much they say about the next attempt.
var weight = map[fcm.Outcome]int{fcm.Rejected: 0, fcm.Unavailable: 1, fcm.Unauthorized: 2, fcm.Throttled: 3}
