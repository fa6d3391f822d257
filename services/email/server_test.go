package email_test

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	emailv1 "github.com/filigreehq/filigree/proto/gen/filigree/email/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/email"
)

// relay is a mail server that answers RCPT and the dot as it is told.
type relay struct {
	mu    sync.Mutex
	to    []string
	mails []string
	rcpt  error
	dot   error
	cut   bool // hangs up after the dot
}

type session struct {
	relay *relay
	conn  *gosmtp.Conn
	to    string
}

func (r *relay) NewSession(c *gosmtp.Conn) (gosmtp.Session, error) {
	return &session{relay: r, conn: c}, nil
}
func (s *session) Reset()                                 {}
func (s *session) Logout() error                          { return nil }
func (s *session) Mail(string, *gosmtp.MailOptions) error { return nil }
func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	s.to = to
	return s.relay.rcpt
}
func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	if s.relay.cut {
		_ = s.conn.Conn().Close()
	}
	if s.relay.dot != nil {
		return s.relay.dot
	}
	s.relay.to, s.relay.mails = append(s.relay.to, s.to), append(s.relay.mails, string(b))
	return nil
}

type bundle struct {
	server *email.Server
	relay  *relay
	blobs  *blob.Bucket
	cfg    email.Config
}

func setup(t *testing.T, r *relay) bundle {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := gosmtp.NewServer(r)
	s.Domain, s.ErrorLog = "relay.example", slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	done := make(chan error, 1)
	go func() { done <- s.Serve(lis) }()
	blobs, err := blob.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cfg := email.Config{SMTP: email.URL("smtp://" + lis.Addr().String()), From: "copies@films.example", RetryAfter: 7 * time.Second, MaxSize: 1 << 20}
	server, err := email.New(cfg, email.Deps{Blobs: blobs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Close()
		_ = lis.Close()
		_ = s.Close()
		<-done
		_ = blobs.Close()
	})
	return bundle{server, r, blobs, cfg}
}

func request() *emailv1.SendRequest {
	return &emailv1.SendRequest{
		Production: "default", Delivery: "d1.r7", To: &emailv1.Address{Name: "Ada", Email: "ada@example.com"},
		Subject: "Scripts", Text: "Please read.", ProductionName: "The Engine",
	}
}

func (b bundle) attach(t *testing.T, key string, content []byte) *emailv1.Attachment {
	t.Helper()
	size, digest, err := b.blobs.Create(t.Context(), key, "application/pdf", bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return &emailv1.Attachment{Name: "Script.pdf", Key: key, Sha256: digest, Size: size, MediaType: "application/pdf"}
}

func TestSendHandsOverOneMail(t *testing.T) {
	t.Parallel()
	b := setup(t, &relay{})
	req := request()
	req.Attachments = []*emailv1.Attachment{b.attach(t, "art/default/1", bytes.Repeat([]byte("pdf "), 50_000))}
	resp, err := b.server.Send(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.GetReply() != "250 2.0.0 OK: queued" || resp.GetMaybeDuplicate() || resp.GetAcceptedAt() == nil {
		t.Errorf("response %v", resp)
	}
	diff := cmp.Diff([]string{"ada@example.com"}, b.relay.to)
	if diff != "" {
		t.Fatal(diff)
	}
	msg, err := mail.ReadMessage(strings.NewReader(b.relay.mails[0]))
	if err != nil {
		t.Fatal(err)
	}
	if msg.Header.Get("Message-ID") != "<"+resp.GetMessageId()+">" || msg.Header.Get("Auto-Submitted") != "auto-generated" || msg.Header.Get("X-Filigree-Attempt") != "" {
		t.Errorf("headers %v", msg.Header)
	}
}

func TestWhatWentWrongIsSaid(t *testing.T) {
	t.Parallel()
	type want struct {
		Reason, Delivery     string
		Transient, Uncertain bool
		RetryAfter           time.Duration
	}
	refuse := func(code int, enhanced gosmtp.EnhancedCode) error {
		return &gosmtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: "words of the server"}
	}
	later := want{Reason: "EMAIL_DEFERRED", Transient: true, RetryAfter: 7 * time.Second}
	for name, c := range map[string]struct {
		relay  *relay
		change func(*testing.T, bundle, *emailv1.SendRequest)
		want   want
	}{
		"unknown mailbox":      {relay: &relay{rcpt: refuse(550, gosmtp.EnhancedCode{5, 1, 1})}, want: want{Reason: "EMAIL_REJECTED", Delivery: "bounced"}},
		"blocked":              {relay: &relay{rcpt: refuse(550, gosmtp.EnhancedCode{5, 7, 1})}, want: want{Reason: "EMAIL_REJECTED", Delivery: "blocked"}},
		"spam":                 {relay: &relay{dot: refuse(554, gosmtp.EnhancedCode{5, 7, 1})}, want: want{Reason: "EMAIL_REJECTED", Delivery: "blocked"}},
		"too big":              {relay: &relay{dot: refuse(552, gosmtp.EnhancedCode{5, 3, 4})}, want: want{Reason: "EMAIL_TOO_BIG", Delivery: "bounced"}},
		"greylisted":           {relay: &relay{rcpt: refuse(451, gosmtp.EnhancedCode{4, 7, 1})}, want: later},
		"mailbox full":         {relay: &relay{rcpt: refuse(452, gosmtp.EnhancedCode{4, 2, 2})}, want: later},
		"busy at the dot":      {relay: &relay{dot: refuse(450, gosmtp.EnhancedCode{4, 2, 1})}, want: later},
		"broken after the dot": {relay: &relay{cut: true}, want: want{Reason: "EMAIL_UNCERTAIN", Transient: true, Uncertain: true}},
		"address": {change: func(_ *testing.T, _ bundle, r *emailv1.SendRequest) {
			r.To.Email = "ada@example.com\r\nBcc: eve@example.com"
		},
			want: want{Reason: "EMAIL_ADDRESS_INVALID"}},
		"reply-to": {change: func(_ *testing.T, _ bundle, r *emailv1.SendRequest) { r.ReplyTo = &emailv1.Address{Email: "office"} },
			want: want{Reason: "EMAIL_ADDRESS_INVALID"}},
		"address of other letters": {change: func(_ *testing.T, _ bundle, r *emailv1.SendRequest) { r.To.Email = "zoë@example.com" },
			want: want{Reason: "EMAIL_ADDRESS_UNSUPPORTED"}},
		"subject": {change: func(_ *testing.T, _ bundle, r *emailv1.SendRequest) { r.Subject = "\r\n" }, want: want{Reason: "EMAIL_SUBJECT_INVALID"}},
		"larger than allowed": {change: func(t *testing.T, b bundle, r *emailv1.SendRequest) {
			r.Attachments = []*emailv1.Attachment{b.attach(t, "big", make([]byte, 800<<10))}
		}, want: want{Reason: "EMAIL_TOO_BIG"}},
		"another document under the key": {change: func(t *testing.T, b bundle, r *emailv1.SendRequest) {
			a := b.attach(t, "a", []byte("somebody else's copy"))
			sum := sha256.Sum256([]byte("this person's copy!!"))
			a.Sha256 = hex.EncodeToString(sum[:])
			r.Attachments = []*emailv1.Attachment{a}
		}, want: want{Reason: "EMAIL_ATTACHMENT_DAMAGED", Transient: true}},
		"half a document": {change: func(t *testing.T, b bundle, r *emailv1.SendRequest) {
			a := b.attach(t, "a", []byte("half"))
			a.Size = 8
			r.Attachments = []*emailv1.Attachment{a}
		}, want: want{Reason: "EMAIL_ATTACHMENT_DAMAGED", Transient: true}},
		"no document": {change: func(_ *testing.T, _ bundle, r *emailv1.SendRequest) {
			r.Attachments = []*emailv1.Attachment{{Name: "a.pdf", Key: "nowhere", Size: 1}}
		}, want: want{Reason: "EMAIL_ATTACHMENT_MISSING", Transient: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, stdcmp.Or(c.relay, &relay{}))
			req := request()
			if c.change != nil {
				c.change(t, b, req)
			}
			_, err := b.server.Send(t.Context(), req)
			f := fault.From(err)
			if f == nil {
				t.Fatal("accepted")
			}
			got := want{f.Reason, f.Delivery, f.Transient(), f.Uncertain, f.RetryAfter}
			diff := cmp.Diff(c.want, got)
			if diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
			answered := b.relay.rcpt != nil || b.relay.dot != nil
			if answered && !strings.Contains(f.Message, "words of the server") {
				t.Errorf("%q does not say what the server said", f.Message)
			}
			b.relay.mu.Lock()
			defer b.relay.mu.Unlock()
			if len(b.relay.mails) > 0 && !b.relay.cut {
				t.Errorf("something was sent: %q", b.relay.mails)
			}
		})
	}
}

// tasks is an orchestrator that hands out one task.
type tasks struct {
	taskv1.TaskServiceClient
	task    *taskv1.Task
	verdict taskv1.Verdict
	results chan *taskv1.Result

	mu          sync.Mutex
	handed      bool
	checkpoints []string
}

func (o *tasks) Pull(ctx context.Context, _ *taskv1.PullRequest, _ ...grpc.CallOption) (*taskv1.PullResponse, error) {
	o.mu.Lock()
	first := !o.handed
	o.handed = true
	o.mu.Unlock()
	if first {
		return &taskv1.PullResponse{Tasks: []*taskv1.Task{o.task}}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (o *tasks) Checkpoint(_ context.Context, req *taskv1.CheckpointRequest, _ ...grpc.CallOption) (*taskv1.CheckpointResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.checkpoints = append(o.checkpoints, req.GetState())
	return &taskv1.CheckpointResponse{Verdict: o.verdict}, nil
}

func (o *tasks) Renew(context.Context, *taskv1.RenewRequest, ...grpc.CallOption) (*taskv1.RenewResponse, error) {
	return &taskv1.RenewResponse{}, nil
}

func (o *tasks) Report(_ context.Context, req *taskv1.ReportRequest, _ ...grpc.CallOption) (*taskv1.ReportResponse, error) {
	resp := &taskv1.ReportResponse{}
	for _, r := range req.GetResults() {
		resp.Verdicts = append(resp.Verdicts, taskv1.Verdict_VERDICT_OK)
		o.results <- r
	}
	return resp, nil
}

// runTask runs one attempt through a real worker.
func (b bundle) runTask(t *testing.T, attempt int32, checkpoint string, verdict taskv1.Verdict) (*tasks, *taskv1.Result) {
	t.Helper()
	request, err := protojson.Marshal(request())
	if err != nil {
		t.Fatal(err)
	}
	o := &tasks{results: make(chan *taskv1.Result, 1), verdict: verdict, task: &taskv1.Task{
		Id: fmt.Sprintf("t%d", attempt), Function: "email.Send", Attempt: attempt, Checkpoint: checkpoint, RequestJson: string(request),
	}}
	w := worker.New(worker.Config{Name: "test", Slots: 1}, o, slog.New(slog.DiscardHandler), worker.Func("email.Send", b.server.Send))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	select {
	case r := <-o.results:
		return o, r
	case <-time.After(2 * time.Second):
		return o, nil
	}
}

func TestTasksCheckpointAndFlagPossibleDuplicates(t *testing.T) {
	t.Parallel()
	b := setup(t, &relay{})
	o, first := b.runTask(t, 1, "", taskv1.Verdict_VERDICT_OK)
	diff := cmp.Diff([]string{"dot"}, o.checkpoints)
	if diff != "" {
		t.Fatal(diff)
	}
	_, second := b.runTask(t, 2, "dot", taskv1.Verdict_VERDICT_OK)
	var responses [2]emailv1.SendResponse
	for i, r := range []*taskv1.Result{first, second} {
		err := protojson.Unmarshal([]byte(r.GetOutputJson()), &responses[i])
		if err != nil {
			t.Fatalf("result %v: %v", r, err)
		}
	}
	if responses[0].GetMaybeDuplicate() || !responses[1].GetMaybeDuplicate() || responses[0].GetMessageId() != responses[1].GetMessageId() {
		t.Errorf("first %v, second %v", &responses[0], &responses[1])
	}
	for i, want := range []string{"", "2"} {
		msg, err := mail.ReadMessage(strings.NewReader(b.relay.mails[i]))
		if err != nil {
			t.Fatal(err)
		}
		if msg.Header.Get("X-Filigree-Attempt") != want || msg.Header.Get("Message-ID") != "<"+responses[0].GetMessageId()+">" {
			t.Errorf("headers of mail %d: %v", i, msg.Header)
		}
	}
}

func TestAFencedOrCancelledTaskSendsNothing(t *testing.T) {
	t.Parallel()
	for _, verdict := range []taskv1.Verdict{taskv1.Verdict_VERDICT_FENCED, taskv1.Verdict_VERDICT_CANCELLED} {
		t.Run(verdict.String(), func(t *testing.T) {
			t.Parallel()
			b := setup(t, &relay{})
			o, r := b.runTask(t, 1, "", verdict)
			if len(o.checkpoints) != 1 || r.GetOutputJson() != "" {
				t.Errorf("checkpoints %q, result %v", o.checkpoints, r)
			}
			b.relay.mu.Lock()
			defer b.relay.mu.Unlock()
			if len(b.relay.mails) != 0 {
				t.Error("a mail was sent all the same")
			}
		})
	}
}
