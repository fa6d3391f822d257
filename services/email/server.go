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
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	"github.com/filigreehq/filigree/services/email/internal/message"
)

// dot is the checkpoint's word for "the next thing sent makes the server take the message".
const dot = "dot"

// Deps is what a Server works with.
type Deps struct {
	Blobs *blob.Bucket // where attachments are; the caller closes it
	// Links tells the addresses of recipients' links; nil when nobody is sent any.
	Links linkv1.LinkServiceClient
	Log   *slog.Logger
}

// Server sends messages. It is safe for concurrent use.
type Server struct {
	emailv1.UnimplementedEmailServiceServer

	cfg   Config
	from  message.Address
	out   sender
	blobs *blob.Bucket
	links linkv1.LinkServiceClient
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
	out, err := newSender(context.Background(), cfg) // it only reads files
	if err != nil {
		return nil, fmt.Errorf("email: %w", err)
	}
	return &Server{cfg: cfg, from: from, out: out, blobs: deps.Blobs, links: deps.Links, log: deps.Log}, nil
}

// Register makes the service reachable at r.
func (s *Server) Register(r grpc.ServiceRegistrar) { emailv1.RegisterEmailServiceServer(r, s) }

// Close takes leave of the mail server; messages under way are not disturbed.
func (s *Server) Close() error { return s.out.Close() }

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
	reply, err := s.out.send(ctx,
		mail{
			from: s.from.Mailbox(), to: letter.To.Mailbox(), size: msg.Size(),
			utf8: letter.To.NeedsUTF8() || s.from.NeedsUTF8() || letter.ReplyTo != nil && letter.ReplyTo.NeedsUTF8(),
			write: func(w io.Writer) error {
				_, err := msg.WriteTo(w)
				return err
			},
		},
		func(ctx context.Context) error { return worker.Checkpoint(ctx, dot) },
	)
	if err != nil {
		// Not the error itself: the server's words may name the recipient.
		s.log.DebugContext(ctx, "mail not accepted", "production", req.GetProduction(), "delivery", req.GetDelivery(), "reason", fault.From(err).Reason)
		return nil, err
	}
	var attached int64
	for _, a := range req.GetAttachments() {
		attached += a.GetSize()
	}
	worker.Bytes(ctx, attached, msg.Size())
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
	link, err := s.link(ctx, req)
	if err != nil {
		return message.Letter{}, err
	}
	l := message.Letter{
		ID:   message.ID(req.GetProduction(), req.GetDelivery(), s.from.Domain()),
		From: s.from, To: to, Date: time.Now(),
		Subject: req.GetSubject(), Text: req.GetText(), Production: req.GetProductionName(),
		Documents: s.documents(ctx, req.GetAttachments()), Missing: req.GetMissing(), Locked: req.GetLocked(),
		Link: link, Linked: req.GetLinked(),
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

// link asks for the address of the recipient's link; it is kept nowhere but in the message.
func (s *Server) link(ctx context.Context, req *emailv1.SendRequest) (string, error) {
	if req.GetLink() == "" {
		return "", nil
	}
	if s.links == nil {
		return "", fault.New(fault.Unavailable, "EMAIL_LINK_UNAVAILABLE", "the message needs a link and this service knows no link service; set --link")
	}
	got, err := s.links.Urls(ctx, &linkv1.UrlsRequest{Production: req.GetProduction(), Links: []string{req.GetLink()}})
	if err != nil {
		return "", err
	}
	url := got.GetUrls()[req.GetLink()]
	if url == "" {
		return "", fault.New(fault.Invalid, "EMAIL_LINK_ENDED", "the recipient's link has expired or was revoked, so there is nothing to send")
	}
	return url, nil
}

// address parses one, strictly: a wrong one can only be corrected by people.
func address(role string, a *emailv1.Address) (message.Address, error) {
	parsed, err := message.ParseAddress(a.GetName(), a.GetEmail())
	if err != nil {
		return message.Address{}, fault.New(fault.Invalid, "EMAIL_ADDRESS_INVALID", "the %s address %q cannot be used: %v; correct it and send again", role, a.GetEmail(), err)
	}
	return parsed, nil
}
