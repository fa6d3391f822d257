package orchestrator

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/mail"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// mostItems bounds files × recipients of one distribution.
const mostItems = 200_000

// CreateDistribution implements distributionv1.DistributionServiceServer.
func (s *Server) CreateDistribution(ctx context.Context, req *distributionv1.CreateDistributionRequest) (*distributionv1.CreateDistributionResponse, error) {
	key, err := idempotencyKey(ctx, req)
	if err != nil {
		return nil, err
	}
	hash, err := hashOf(req)
	if err != nil {
		return nil, err
	}
	d, err := s.create(ctx, req, key, hash)
	if err != nil {
		return nil, err
	}
	return &distributionv1.CreateDistributionResponse{Distribution: d}, nil
}

// create makes the distribution that req asks for, or finds the one that key and hash made before.
func (s *Server) create(ctx context.Context, req *distributionv1.CreateDistributionRequest, key, hash string) (*distributionv1.Distribution, error) {
	if len(req.GetLists())+len(req.GetPeople()) > 0 {
		// What was made by the key goes to whoever was in the lists then, whatever has become of them since.
		made, of, err := s.store.Made(ctx, req.GetProduction(), key)
		if err != nil {
			return nil, unavailable(err)
		}
		if made != "" && of == hash {
			return s.view(ctx, req.GetProduction(), made)
		}
	}
	n, err := s.planned(ctx, req)
	if err != nil {
		return nil, err
	}
	n.Key, n.Hash = key, hash
	id, err := s.store.Create(ctx, n)
	if errors.Is(err, store.ErrConflict) {
		return nil, fault.New(fault.Conflict, "IDEMPOTENCY_CONFLICT", "this Idempotency-Key was used for another distribution; take a new key for a new one")
	}
	var beyond *store.Beyond
	if errors.As(err, &beyond) {
		return nil, beyondQuota(req.GetProduction(), beyond)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	s.kickChores()
	s.deps.Log.InfoContext(ctx, "distribution accepted", "distribution", id, "production", req.GetProduction(),
		"files", n.Size.Files, "recipients", n.Size.Recipients)
	return s.view(ctx, req.GetProduction(), id)
}

// planned is what create would store, without a key. It refuses what cannot be sent, and stores nothing.
func (s *Server) planned(ctx context.Context, req *distributionv1.CreateDistributionRequest) (store.New, error) {
	production, err := s.deps.Directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: req.GetProduction()})
	if err != nil {
		return store.New{}, err
	}
	to, err := s.resolve(ctx, req)
	if err != nil {
		return store.New{}, err
	}
	req = to.req
	recipients, err := recipients(req, to.inline)
	if err != nil {
		return store.New{}, err
	}
	err = checkMark(newLook(req), recipients)
	if err != nil {
		return store.New{}, err
	}
	files, bytes, err := s.files(ctx, req)
	if err != nil {
		return store.New{}, err
	}
	if s.byLink(req, bytes) {
		req = proto.CloneOf(req)
		req.Mode = "link"
	}
	size := plan.Size{Files: len(files), Recipients: len(recipients)}
	if size.Items() > mostItems {
		return store.New{}, fault.New(fault.Invalid, "TOO_MANY_ITEMS", "%d files to %d recipients are %d items; at most %d go into one distribution",
			size.Files, size.Recipients, size.Items(), mostItems)
	}
	sp := newSpec(ctx, req, production.GetProduction(), files)
	raw, err := json.Marshal(sp)
	if err != nil {
		return store.New{}, err
	}
	fresh := &distribution{production: req.GetProduction(), spec: sp}
	err = fresh.checkMarks(ctx, sp.look(), numbered(recipients), "Correct them and send again; nothing was sent")
	if err != nil {
		return store.New{}, err
	}
	id := ulid.Make().String()
	def, err := s.definitions.choose(ctx, req.GetProduction(), req.GetDefinition(), int(req.GetDefinitionVersion()), id)
	if err != nil {
		return store.New{}, err
	}
	steps, err := def.For(fresh.view())
	if err != nil {
		return store.New{}, fault.New(fault.Invalid, "DEFINITION_UNFIT",
			"version %d of definition %q says nothing for this distribution: %v", def.Version, def.Name, err)
	}
	n := store.New{
		ID: id, Production: req.GetProduction(),
		Definition: steps, Size: size, Spec: raw, Recipients: recipients, HoldFor: req.GetHoldFor().AsDuration(),
		Priority: int(req.GetPriority()), Parent: parentFrom(ctx), Quota: s.cfg.quota(),
	}
	if req.GetDeadline() != nil {
		n.Deadline = req.GetDeadline().AsTime()
	}
	return n, nil
}

// byLink says whether documents of so many bytes are too much for a mail, so that what was asked to be attached goes by link.
func (s *Server) byLink(req *distributionv1.CreateDistributionRequest, bytes int64) bool {
	most := s.cfg.attached()
	return cmp.Or(req.GetMode(), "attachment") == "attachment" && most >= 0 && bytes > most
}

// idempotencyKey is the request's key, from its field or from the header of the same meaning.
func idempotencyKey(ctx context.Context, req *distributionv1.CreateDistributionRequest) (string, error) {
	key := req.GetIdempotencyKey()
	md, _ := metadata.FromIncomingContext(ctx)
	header := md.Get("idempotency-key")
	if key == "" && len(header) > 0 {
		key = header[0]
	}
	if key == "" || len(key) > 128 {
		return "", fault.New(fault.Invalid, "IDEMPOTENCY_KEY_MISSING",
			"send a header Idempotency-Key of 1 to 128 characters with it, so that repeating the request cannot start a second distribution")
	}
	return key, nil
}

// hashOf is the digest of what the caller asked for, whatever it was keyed with.
func hashOf(req *distributionv1.CreateDistributionRequest) (string, error) {
	bare := proto.CloneOf(req)
	bare.IdempotencyKey = ""
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(bare)
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16]), err
}

func newSpec(ctx context.Context, req *distributionv1.CreateDistributionRequest, p *directoryv1.Production, files []file) spec {
	title := req.GetTitle()
	if title == "" {
		title = titleOf(files)
	}
	s := spec{
		Title: title, Mode: cmp.Or(req.GetMode(), "attachment"), LinkLifetime: int64(req.GetLinkLifetime().AsDuration().Seconds()), ProductionName: p.GetName(), Files: files,
		OpenRestricted: p.GetOpenRestricted(), Locked: req.GetPassword() == "generate",
		Subject: req.GetMessage().GetSubject(), Text: req.GetMessage().GetText(), ReplyTo: req.GetMessage().GetReplyTo(),
		OnFailure: req.GetPolicy().GetOnFailure(), OnUncertain: req.GetPolicy().GetOnUncertain(),
		By: rpc.PrincipalFrom(ctx).GetSubject(), At: time.Now().UTC(), Priority: int(req.GetPriority()),
		Tolerate: tolerated(req.GetPolicy().GetTolerate(), len(files)*len(req.GetRecipients())),
	}
	s.setLook(newLook(req))
	if s.Subject == "" {
		s.Subject = title
	}
	return s
}

// tolerated is how many of n items may fail; nil for any number.
func tolerated(t *distributionv1.Tolerance, n int) *int {
	var most *int
	if t != nil && t.Items != nil {
		most = new(int(t.GetItems()))
	}
	if t != nil && t.Percent != nil {
		share := n * int(t.GetPercent()) / 100
		if most == nil || share < *most {
			most = &share
		}
	}
	return most
}

// titleOf is what a distribution is called that was given no title: its first file, and how many more.
func titleOf(files []file) string {
	const most = 200
	title := withoutEnding(files[0].Name)
	if len(title) > most {
		title = strings.ToValidUTF8(title[:most], "") + "…"
	}
	switch n := len(files) - 1; n {
	case 0:
	case 1:
		title += " and one more"
	default:
		title += " and " + strconv.Itoa(n) + " more"
	}
	return title
}

// withoutEnding is a file's name without what tells its type, such as ".pdf"; "Draft 1.2" stays what it is.
func withoutEnding(name string) string {
	const longest = 5
	ending := path.Ext(name)
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
	if len(ending) > 1+longest || !strings.ContainsFunc(ending, letter) || strings.Contains(ending, " ") {
		return name
	}
	return strings.TrimSuffix(name, ending)
}

// files looks up what is to be sent. A file that was refused when it was inspected is let through: its items fail and
// say why, and the others go on.
func (s *Server) files(ctx context.Context, req *distributionv1.CreateDistributionRequest) (out []file, bytes int64, err error) {
	seen := map[string]bool{}
	for _, f := range req.GetFiles() {
		if seen[f.GetSha256()] {
			return nil, 0, fault.New(fault.Invalid, "FILE_DUPLICATE", "file %s is there twice; send each file once", f.GetSha256())
		}
		seen[f.GetSha256()] = true
		got, err := s.deps.Files.GetFile(ctx, &filev1.GetFileRequest{Production: req.GetProduction(), File: f.GetSha256()})
		if err != nil {
			return nil, 0, err
		}
		name := f.GetName()
		if name == "" {
			name = got.GetFile().GetName()
		}
		bytes += got.GetFile().GetSize()
		out = append(out, file{SHA256: f.GetSha256(), Name: name})
	}
	return out, bytes, nil
}

// recipients checks the addresses of all recipients and reports everything that is wrong with them at once. The first inline of
// them are those that the request named itself, none twice in any case; the directory has nobody twice already.
func recipients(req *distributionv1.CreateDistributionRequest, inline int) ([]store.Recipient, error) {
	good, wrong := goodRecipients(req, inline)
	if len(wrong) > 0 {
		var words []string
		for _, w := range wrong[:min(len(wrong), 20)] {
			words = append(words, "recipient "+strconv.Itoa(w.number)+": "+w.reason)
		}
		text := strings.Join(words, "; ")
		if len(wrong) > len(words) {
			text += "; and " + strconv.Itoa(len(wrong)-len(words)) + " more"
		}
		return nil, fault.New(fault.Invalid, "RECIPIENT_INVALID", "%s. Correct them and send again; nothing was sent", text)
	}
	out := make([]store.Recipient, len(good))
	for i, r := range good {
		out[i] = r.Recipient
	}
	return out, nil
}

// wrongRecipient is a recipient that cannot be sent to, and why.
type wrongRecipient struct {
	number int
	reason string
}

// goodRecipients parts the recipients that can be sent to from the others.
func goodRecipients(req *distributionv1.CreateDistributionRequest, inline int) (good []addressee, wrong []wrongRecipient) {
	first := map[string]int{}
	for i, r := range req.GetRecipients() {
		n := i + 1
		address, err := mail.ParseAddress(r.GetEmail())
		if err != nil || address.Name != "" || address.Address != r.GetEmail() {
			wrong = append(wrong, wrongRecipient{n, strconv.Quote(r.GetEmail()) + " is not an e-mail address"})
			continue
		}
		key := strings.ToLower(r.GetEmail())
		if first[key] > 0 && i < inline {
			wrong = append(wrong, wrongRecipient{n, strconv.Quote(r.GetEmail()) + " is recipient " + strconv.Itoa(first[key]) + " already"})
			continue
		}
		first[key] = n
		good = append(good, addressee{n, store.Recipient{Name: r.GetName(), Email: r.GetEmail(), Fields: r.GetFields()}})
	}
	return good, wrong
}

// fieldsOf lists the fields that every recipient has: a mark may use only those.
func fieldsOf(recipients []store.Recipient) []string {
	count := map[string]int{}
	for _, r := range recipients {
		for name := range r.Fields {
			count[name]++
		}
	}
	known := []string{"file"}
	for name, n := range count {
		if n == len(recipients) {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	return known
}
