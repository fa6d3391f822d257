package email

import (
	"context"
	"io"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/telemetry"
	"github.com/filigreehq/filigree/services/email/internal/ses"
	"github.com/filigreehq/filigree/services/email/internal/smtp"
)

// sender hands messages to somebody who brings them to people.
type sender interface {
	// send hands m over and returns the answer. It asks checkpoint when nothing is left to do but what makes the other
	// side take the message, and stops if that returns an error. Its errors are faults, or checkpoint's or m's own; only
	// with Uncertain may the message have been taken.
	send(ctx context.Context, m mail, checkpoint func(context.Context) error) (reply string, err error)
	Close() error
}

// mail is a message and who sends it to whom.
type mail struct {
	from, to string // bare mailboxes
	utf8     bool   // an address has letters before the @ that are not ASCII
	size     int64
	write    func(io.Writer) error
}

// newSender makes the sender that a valid c with its defaults names.
func newSender(ctx context.Context, c Config) (sender, error) {
	if c.SMTP.isSES() {
		settings, err := c.service()
		if err != nil {
			return nil, err
		}
		client, err := ses.New(ctx, settings)
		if err != nil {
			return nil, err
		}
		return viaSES{client, c}, nil
	}
	settings, err := c.pool()
	if err != nil {
		return nil, err
	}
	return viaSMTP{smtp.New(settings), c}, nil
}

type viaSMTP struct {
	pool *smtp.Pool
	cfg  Config
}

func (v viaSMTP) send(ctx context.Context, m mail, checkpoint func(context.Context) error) (string, error) {
	ctx, span := telemetry.Begin(ctx, telemetry.Called, "SMTP message", "server.address", v.pool.Server(), "filigree.bytes", m.size)
	defer span.End()
	reply, err := v.pool.Send(ctx, smtp.Envelope{From: m.from, To: m.to, Size: m.size, UTF8: m.utf8}, m.write, checkpoint)
	if err != nil {
		outcome := smtpOutcome(err, v.cfg.RetryAfter)
		span.Fail(fault.From(outcome).Reason)
		return "", outcome
	}
	telemetry.Event(ctx, string(smtp.Dot))
	return reply, nil
}

func (v viaSMTP) Close() error { return v.pool.Close() }

type viaSES struct {
	client *ses.Client
	cfg    Config
}

func (v viaSES) send(ctx context.Context, m mail, checkpoint func(context.Context) error) (string, error) {
	if m.utf8 {
		return "", unsupported()
	}
	ctx, span := telemetry.Begin(ctx, telemetry.Called, "SES message", "filigree.bytes", m.size)
	defer span.End()
	reply, err := v.client.Send(ctx, ses.Envelope{From: m.from, To: m.to, Size: m.size}, m.write, checkpoint)
	if err != nil {
		outcome := sesOutcome(err, v.cfg.RetryAfter)
		span.Fail(fault.From(outcome).Reason)
		return "", outcome
	}
	return reply, nil
}

func (v viaSES) Close() error { return nil }
