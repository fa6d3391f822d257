package email

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	"github.com/filigreehq/filigree/services/email/internal/message"
	"github.com/filigreehq/filigree/services/email/internal/smtp"
)

// dot is the checkpoint's word for "the next thing sent makes the server take the message".
const dot = "dot"

// Deps is what a Server works with.
type Deps struct {
	Blobs *blob.Bucket // where attachments are; the caller closes it
	Log   *slog.Logger
}

// Server sends messages. It is safe for concurrent use.
type Server struct {
	emailv1.UnimplementedEmailServiceServer

	cfg   Config
	from  message.Address
	pool  *smtp.Pool
	blobs *blob.Bucket
	log   *slog.Logger
}

var _ emailv1.EmailServiceServer = (*Server)(nil)

// New makes a server. It does not connect before there is something to send.
func New(cfg Config, deps Deps) (*Server, error) {
	err := cfg.Validate()
	if err != nil {
		return nil, fmt.Errorf("email: %w", err)
	}
	cfg = cfg.withDefaults()
	from, err := message.ParseAddress(cfg.FromName, cfg.From)
	if err != nil {
		return nil, fmt.Errorf("email: from: %w", err)
	}
	settings, err := cfg.pool()
	if err != nil {
		return nil, fmt.Errorf("email: %w", err)
	}
	return &Server{cfg: cfg, from: from, pool: smtp.New(settings), blobs: deps.Blobs, log: deps.Log}, nil
}

// Register makes the service reachable at r.
func (s *Server) Register(r grpc.ServiceRegistrar) { emailv1.RegisterEmailServiceServer(r, s) }

// Close takes leave of the mail server; messages under way are not disturbed.
func (s *Server) Close() error { return s.pool.Close() }

// Send composes the message and hands it to the mail server; the package says what the outcomes are. It is the handler
// of the function "email.Send", and works as a plain RPC, too.
func (s *Server) Send(ctx context.Context, req *emailv1.SendRequest) (*emailv1.SendResponse, error) {
	task, _ := worker.TaskFrom(ctx)
	maybeDuplicate := task.Checkpoint == dot
	letter, err := s.letter(ctx, req)
	if err != nil {
		return nil, err
	}
	if maybeDuplicate {
		letter.Attempt = task.Attempt
	}
	msg, err := message.Compose(letter)
	if errors.Is(err, message.ErrNoSubject) {
		return nil, fault.New(fault.Invalid, "EMAIL_SUBJECT_INVALID", "the subject has no readable character; give the message a subject").Because(err)
	}
	if err != nil {
		return nil, err
	}
	if msg.Size() > s.cfg.MaxSize {
		return nil, tooBig("the configuration (max-size)")
	}
	reply, err := s.pool.Send(ctx,
		smtp.Envelope{
			From: s.from.Mailbox(), To: letter.To.Mailbox(), Size: msg.Size(),
			UTF8: letter.To.NeedsUTF8() || s.from.NeedsUTF8() || letter.ReplyTo != nil && letter.ReplyTo.NeedsUTF8(),
		},
		func(w io.Writer) error {
			_, err := msg.WriteTo(w)
			return err
		},
		func(ctx context.Context) error { return worker.Checkpoint(ctx, dot) },
	)
	if err != nil {
		err = s.outcome(err)
		// Not the error itself: the server's words may name the recipient.
		s.log.DebugContext(ctx, "mail not accepted", "production", req.GetProduction(), "delivery", req.GetDelivery(), "reason", fault.From(err).Reason)
		return nil, err
	}
	s.log.DebugContext(ctx, "mail accepted", "production", req.GetProduction(), "delivery", req.GetDelivery(), "bytes", msg.Size())
	return &emailv1.SendResponse{
		MessageId: letter.ID, Reply: reply, AcceptedAt: timestamppb.Now(), MaybeDuplicate: maybeDuplicate,
	}, nil
}

func (s *Server) letter(ctx context.Context, req *emailv1.SendRequest) (message.Letter, error) {
	to, err := address("recipient", req.GetTo())
	if err != nil {
		return message.Letter{}, err
	}
	l := message.Letter{
		ID:   message.ID(req.GetProduction(), req.GetDelivery(), s.from.Domain()),
		From: s.from, To: to, Date: time.Now(),
		Subject: req.GetSubject(), Text: req.GetText(), Production: req.GetProductionName(),
		Documents: s.documents(ctx, req.GetAttachments()), Missing: req.GetMissing(), Locked: req.GetLocked(),
	}
	if req.GetReplyTo() != nil {
		replyTo, err := address("reply-to", req.GetReplyTo())
		if err != nil {
			return message.Letter{}, err
		}
		l.ReplyTo = &replyTo
	}
	return l, nil
}

// address parses one, strictly: a wrong one can only be corrected by people.
func address(role string, a *emailv1.Address) (message.Address, error) {
	parsed, err := message.ParseAddress(a.GetName(), a.GetEmail())
	if err != nil {
		return message.Address{}, fault.New(fault.Invalid, "EMAIL_ADDRESS_INVALID", "the %s address %q cannot be used: %v; correct it and send again", role, a.GetEmail(), err)
	}
	return parsed, nil
}
