package watermark_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/pkg/need"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/watermark"
)

// replica is one of several servers over the same store.
type replica struct {
	*watermark.Server
	log *heardLog
}

// reads is how many children were started to read a source.
func (r replica) reads() int { return r.log.count("source read") }

func (b bench) replica(t *testing.T, change ...func(*watermark.Config)) replica {
	t.Helper()
	cfg := watermark.DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	l := &heardLog{said: map[string]int{}}
	s, err := watermark.New(cfg, watermark.Deps{Blobs: b.blobs, Keys: b.keys, Log: slog.New(l)})
	need.Working(t, "copies", err)
	return replica{s, l}
}

// heardLog counts what is logged, by message.
type heardLog struct {
	mu   sync.Mutex
	said map[string]int
}

func (l *heardLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *heardLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *heardLog) WithGroup(string) slog.Handler            { return l }
func (l *heardLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said[r.Message]++
	return nil
}

func (l *heardLog) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said[message]
}

// in uploads data to a production as directory does.
func (b bench) in(t *testing.T, production string, data []byte) *watermarkv1.File {
	t.Helper()
	sum := sha256.Sum256(data)
	f := &watermarkv1.File{Sha256: hex.EncodeToString(sum[:]), Name: "script.pdf"}
	_, _, err := b.blobs.Create(t.Context(), "src/"+production+"/"+f.GetSha256(), "application/pdf", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (b bench) read(t *testing.T, key string) []byte {
	t.Helper()
	r, err := b.blobs.Read(t.Context(), key)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close() // read to its end
	return data
}

func (b bench) list(t *testing.T, prefix string) []string {
	t.Helper()
	keys, err := b.blobs.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (b bench) drop(t *testing.T, key string) {
	t.Helper()
	err := b.blobs.Delete(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
}

// put makes data what is stored under key.
func (b bench) put(t *testing.T, key string, data []byte) {
	t.Helper()
	b.drop(t, key)
	_, _, err := b.blobs.Create(t.Context(), key, "application/octet-stream", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
}

func templateKey(f *watermarkv1.File) string { return "tpl/" + f.GetSha256() + "/" + watermark.Engine }

func order(f *watermarkv1.File, item string) *watermarkv1.StampRequest {
	return &watermarkv1.StampRequest{Production: production, File: f, Fields: somebody, Item: item, Revision: 1}
}

func stamped(t *testing.T, s replica, req *watermarkv1.StampRequest) *watermarkv1.Artifact {
	t.Helper()
	resp, err := s.Stamp(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetArtifact()
}

func TestATemplateIsMadeOnceForAllReplicas(t *testing.T) {
	b := newBench(t)
	one, two := b.replica(t), b.replica(t)
	f := b.upload(t, pages(3, "", "").bytes())
	a := stamped(t, one, order(f, "i1"))
	first := b.fetch(t, a)
	keys := b.list(t, "tpl/")
	if len(keys) != 1 || keys[0] != "tpl/"+f.GetSha256()+"/" {
		t.Errorf("under tpl/ are %q, want the file's only", keys)
	}
	keys = b.list(t, "tpl/"+f.GetSha256()+"/")
	if len(keys) != 2 || keys[0] != templateKey(f) || !strings.HasPrefix(keys[1], templateKey(f)+".") {
		t.Errorf("stored are %q, want a template and what was found out about the mark", keys)
	}
	b.drop(t, a.GetKey())
	again := stamped(t, two, order(f, "i1"))
	if diff := cmp.Diff(a, again, protocmp.Transform()); diff != "" {
		t.Errorf("the second replica's copy differs (-first +second)\n%s", diff)
	}
	if !bytes.Equal(first, b.fetch(t, again)) {
		t.Error("the second replica's copy has other bytes")
	}
	if one.reads() != 1 || two.reads() != 0 {
		t.Errorf("the source was read %d times by the first replica and %d times by the second, want once and never", one.reads(), two.reads())
	}
}

// Whatever replica reads a source, and whenever, it makes the same of it: also of one that has to be repaired first.
func TestReplicasMakeTheSameTemplate(t *testing.T) {
	needTools(t)
	whole := pages(2, "", "").bytes()
	for name, data := range map[string][]byte{"whole": whole, "to be repaired": displaced(whole)} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			f := b.upload(t, data)
			var made [][]byte
			for range 2 {
				r := b.replica(t)
				_, err := r.Prepare(t.Context(), &watermarkv1.PrepareRequest{Production: production, File: f})
				if err != nil {
					t.Fatal(err)
				}
				if r.reads() != 1 != (name == "to be repaired") {
					t.Errorf("the source was read %d times", r.reads())
				}
				made = append(made, b.read(t, templateKey(f)))
				b.drop(t, templateKey(f))
			}
			if !bytes.Equal(made[0], made[1]) {
				t.Errorf("two templates of %d and %d bytes differ", len(made[0]), len(made[1]))
			}
		})
	}
}

// displaced says of a document's catalogue that it is elsewhere, so that the document has to be repaired.
func displaced(data []byte) []byte {
	return bytes.Replace(data, []byte("0000000009"), []byte("0000009999"), 1)
}

func TestReplicasAtOnceEndWithOneTemplate(t *testing.T) {
	b := newBench(t)
	one, two := b.replica(t), b.replica(t)
	both := 0
	for round := range 3 {
		f := b.upload(t, pages(3+round, "", "").bytes())
		before := [2]int{one.reads(), two.reads()}
		var group sync.WaitGroup
		for _, r := range []replica{one, two} {
			for item := range 3 {
				group.Go(func() {
					_, err := r.Stamp(t.Context(), order(f, fmt.Sprint(item)))
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
		group.Wait()
		if one.reads() > before[0] && two.reads() > before[1] {
			both++
		}
		a := stamped(t, one, order(f, "0"))
		first := b.fetch(t, a)
		for _, r := range []replica{two, b.replica(t)} {
			b.drop(t, a.GetKey())
			if !bytes.Equal(first, b.fetch(t, stamped(t, r, order(f, "0")))) {
				t.Error("replicas give other bytes to the same copy")
			}
		}
	}
	t.Logf("in %d of 3 rounds both replicas read the source", both)
}

func TestADamagedTemplateIsMadeAnew(t *testing.T) {
	b := newBench(t)
	f := b.upload(t, pages(2, "", "").bytes())
	a := stamped(t, b.replica(t), order(f, "i"))
	want, good := b.fetch(t, a), b.read(t, templateKey(f))
	for name, change := range map[string]func([]byte) []byte{
		"empty":              func([]byte) []byte { return nil },
		"cut":                func(d []byte) []byte { return d[:len(d)/2] },
		"with more":          func(d []byte) []byte { return append(d, 0) },
		"of another version": func(d []byte) []byte { d[bytes.IndexAny(d[:16], "0123456789")]++; return d },
		"none":               func([]byte) []byte { return []byte("something that somebody put here") },
		"with a bit flipped": func(d []byte) []byte { d[len(d)/3] ^= 4; return d },
		"with no end":        func(d []byte) []byte { clear(d[len(d)-40:]); return d },
	} {
		t.Run(name, func(t *testing.T) {
			b.put(t, templateKey(f), change(bytes.Clone(good)))
			b.drop(t, a.GetKey())
			r := b.replica(t)
			if !bytes.Equal(want, b.fetch(t, stamped(t, r, order(f, "i")))) {
				t.Error("the copy is not what it was")
			}
			if r.reads() != 1 || !bytes.Equal(good, b.read(t, templateKey(f))) {
				t.Errorf("the source was read %d times, want once, and the template be the good one", r.reads())
			}
			next := b.replica(t)
			stamped(t, next, order(f, "i"))
			if next.reads() != 0 {
				t.Error("the next replica read the source, too")
			}
		})
	}
}

// A template is shared by all productions that have its source, and by no other.
func TestATemplateIsNoLeaveToHaveAFile(t *testing.T) {
	b := newBench(t)
	data := pages(1, "", "").bytes()
	f := b.upload(t, data)
	r := b.replica(t)
	stamped(t, r, order(f, "i"))
	req := order(f, "i")
	req.Production = "other"
	_, err := r.Stamp(t.Context(), req)
	wantFault(t, err, "FILE_MISSING")
	_, err = r.Prepare(t.Context(), &watermarkv1.PrepareRequest{Production: "other", File: f})
	wantFault(t, err, "FILE_MISSING")

	b.in(t, "other", data)
	stamped(t, r, req)
	if r.reads() != 1 {
		t.Errorf("the source was read %d times for two productions", r.reads())
	}
	b.drop(t, "src/other/"+f.GetSha256())
	_, err = r.Stamp(t.Context(), req)
	wantFault(t, err, "FILE_MISSING")
}

// One production takes documents with usage restrictions, the other does not, and both have the same.
func TestRestrictedSourcesByProduction(t *testing.T) {
	needTools(t)
	src, restricted := pages(2, "", "").write(t), filepath.Join(t.TempDir(), "restricted.pdf")
	_, err := tool(t, "qpdf", "--encrypt", "", "owner", "256", "--print=none", "--", src, restricted)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(restricted)
	if err != nil {
		t.Fatal(err)
	}
	for _, openFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("the one that does first: %t", openFirst), func(t *testing.T) {
			b := newBench(t)
			first, second := b.replica(t), b.replica(t)
			f := b.in(t, "open", data)
			b.in(t, "closed", data)
			try := func(r replica, open bool) {
				t.Helper()
				req := order(f, "i")
				req.Production = "closed"
				if open {
					req.Production = "open"
					req.File = proto.CloneOf(f)
					req.File.OpenRestricted = true
				}
				resp, err := r.Stamp(t.Context(), req)
				if !open {
					wantFault(t, err, "PDF_ENCRYPTED")
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				said, err := tool(t, "qpdf", "--check", write(t, b.fetch(t, resp.GetArtifact())))
				if err != nil {
					t.Errorf("%v %s", err, said)
				}
			}
			for _, r := range []replica{first, second, first} {
				try(r, openFirst)
				try(r, !openFirst)
			}
		})
	}
}

func TestPrepareRefusesAMarkThatCannotShow(t *testing.T) {
	needTools(t)
	b := newBench(t)
	r := b.replica(t)
	f := b.upload(t, buried().bytes())
	req := &watermarkv1.PrepareRequest{Production: production, File: f}
	for range 2 { // the second time from memory
		_, err := r.Prepare(t.Context(), req)
		wantFault(t, err, "PDF_MARK_HIDDEN")
		_, err = r.Stamp(t.Context(), order(f, "i"))
		wantFault(t, err, "PDF_MARK_HIDDEN")
	}
	if keys := b.list(t, "art/"); len(keys) > 0 {
		t.Errorf("stored are %q", keys)
	}
	if keys := b.list(t, "tpl/"+f.GetSha256()+"/"); len(keys) != 1 {
		t.Errorf("stored are %q, want the template only", keys)
	}
}

// How strong a mark must be is found out once for all replicas. That the record is used shows in one that says more
// than is true.
func TestLevelsAreFoundOutOnce(t *testing.T) {
	b := newBench(t)
	f := b.upload(t, pages(3, "", "").bytes())
	req := &watermarkv1.PrepareRequest{Production: production, File: f, Mark: &watermarkv1.Mark{Template: "{name}"}}
	want, err := b.replica(t).Prepare(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	key := b.list(t, templateKey(f)+".")[0]
	if got := string(b.read(t, key)); got != "[[3,0]]" {
		t.Errorf("the record is %s", got)
	}
	b.put(t, key, []byte("[[1,0],[2,1]]"))
	got, err := b.replica(t).Prepare(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	runs := got.GetPlacement().GetRuns()
	if len(runs) != 2 || runs[0].GetLevel() != 0 || runs[1].GetLevel() != 1 || runs[1].GetCount() != 2 {
		t.Errorf("placement %v is not what is stored", runs)
	}
	for _, record := range []string{"", "[]", "[[2,0]]", "[[4,0]]", "[[3,-1]]", "[[3,300]]", "{}", "[[3,0]", "[[-1,0],[4,0]]", "[[3,0],[0,0]]"} {
		b.put(t, key, []byte(record))
		got, err = b.replica(t).Prepare(t.Context(), req)
		if err != nil {
			t.Errorf("with %q: %v", record, err)
			continue
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("with %q (-want +got)\n%s", record, diff)
		}
		if now := string(b.read(t, key)); now != "[[3,0]]" {
			t.Errorf("%q was left as %q", record, now)
		}
	}
	// The default has a name and no name.
	before := len(b.list(t, templateKey(f)+"."))
	for _, m := range []*watermarkv1.Mark{nil, {}, {Template: mark.Default}, {Template: " ", Layout: "diagonal"}} {
		_, err = b.replica(t).Prepare(t.Context(), &watermarkv1.PrepareRequest{Production: production, File: f, Mark: m})
		if err != nil {
			t.Fatal(err)
		}
	}
	if keys := b.list(t, templateKey(f)+"."); len(keys) != before+1 {
		t.Errorf("stored are %q, want one more than %d for the default", keys, before)
	}
	// Another mark is another question.
	_, err = b.replica(t).Prepare(t.Context(), &watermarkv1.PrepareRequest{Production: production, File: f, Mark: &watermarkv1.Mark{Template: "{name}", Opacity: 30}})
	if err != nil {
		t.Fatal(err)
	}
	if keys := b.list(t, templateKey(f)+"."); len(keys) != before+2 {
		t.Errorf("stored are %q, want one for each mark", keys)
	}
}

func TestManyStampsOfANewFileReadItOnce(t *testing.T) {
	b := newBench(t)
	r := b.replica(t)
	f := b.upload(t, pages(4, "", "").bytes())
	var group sync.WaitGroup
	var failed atomic.Int64
	for i := range 50 {
		group.Go(func() {
			_, err := r.Stamp(t.Context(), order(f, fmt.Sprintf("i%d", i)))
			if err != nil {
				failed.Add(1)
				t.Log(err)
			}
		})
	}
	group.Wait()
	if r.reads() != 1 || failed.Load() > 0 || len(b.list(t, "art/"+production+"/")) != 50 {
		t.Errorf("the source was read %d times, %d copies failed, %d are there", r.reads(), failed.Load(), len(b.list(t, "art/"+production+"/")))
	}
}

func TestMemoryForTemplatesIsBounded(t *testing.T) {
	b := newBench(t)
	var files []*watermarkv1.File
	for i := range 4 { // the last is the largest
		files = append(files, b.upload(t, pages(8+i, "", "").bytes()))
		stamped(t, b.replica(t), order(files[i], "i"))
	}
	probe := b.replica(t)
	stamped(t, probe, order(files[3], "i"))
	one := probe.Held()
	if one < 1000 {
		t.Fatalf("a template takes %d bytes", one)
	}
	for _, bound := range []int64{2 * one, one / 2, 0} {
		r := b.replica(t, func(c *watermark.Config) { c.CacheBytes = bound })
		for range 2 {
			for _, f := range files {
				stamped(t, r, order(f, "i"))
				if r.Held() > bound {
					t.Errorf("%d bytes are held, want at most %d", r.Held(), bound)
				}
			}
		}
		if r.reads() > 0 {
			t.Errorf("with %d bytes sources were read %d times, though their templates are in the store", bound, r.reads())
		}
	}
}

// The slow part of a password's encryption is done once for a recipient's files, and shows that they are one person's.
// That two people have the same password shows nowhere.
func TestWhatCopiesWithPasswordsShare(t *testing.T) {
	b := newBench(t)
	r := b.replica(t)
	seen := map[string]int{}
	for i := range 5 {
		f := b.upload(t, pages(1+i, "", "").bytes())
		for _, who := range []string{"r1", "r2"} {
			req := order(f, "i"+who)
			req.Password = &watermarkv1.PasswordId{Recipient: who, Generation: 1}
			seen[entryU(t, b.fetch(t, stamped(t, r, req)))]++
		}
	}
	if len(seen) != 2 || r.Locks() != 2 {
		t.Errorf("two people's ten copies have %d different entries U, and %d slow hashes were made; want 2 and 2", len(seen), r.Locks())
	}
	for _, n := range seen {
		if n != 5 {
			t.Errorf("entries are shared like this: %v", seen)
		}
	}
	another := b.upload(t, pages(7, "", "").bytes())
	var same []string
	for _, who := range []string{"r1", "r2"} {
		data, err := r.Locked(t.Context(), order(another, who), "the same text", who)
		if err != nil {
			t.Fatal(err)
		}
		same = append(same, entryU(t, data))
	}
	for n := 10; n <= len(same[0]); n++ { // five bytes alike are no accident
		if part := same[0][n-10 : n]; strings.Contains(same[1], part) {
			t.Errorf("two people with one password share %s in %s and %s", part, same[0], same[1])
		}
	}
}

// entryU is the password's hash in a copy's encryption dictionary, which is plain.
func entryU(t *testing.T, data []byte) string {
	t.Helper()
	_, rest, ok := bytes.Cut(data, []byte("/U<"))
	if !ok {
		t.Fatal("no entry U")
	}
	u, _, _ := bytes.Cut(rest, []byte(">"))
	if len(u) != 96 {
		t.Fatalf("entry U is %q", u)
	}
	return string(u)
}

func TestRepeatsAreWhatTheyWere(t *testing.T) {
	b := newBench(t)
	one, two := b.replica(t), b.replica(t)
	req := order(b.upload(t, pages(2, "", "").bytes()), "i")
	req.Password = &watermarkv1.PasswordId{Recipient: "r", Generation: 1}
	a := stamped(t, one, req)
	data := b.fetch(t, a)
	for _, r := range []replica{one, two, one} {
		again := stamped(t, r, req)
		if !proto.Equal(a, again) || !bytes.Equal(data, b.fetch(t, again)) {
			t.Errorf("a repeat gives %v, the first was %v", again, a)
		}
		b.drop(t, a.GetKey()) // the next one has to write
	}
	_, err := b.blobs.Read(t.Context(), a.GetKey())
	if err == nil || !strings.Contains(err.Error(), blob.ErrNotFound.Error()) {
		t.Errorf("it is still there: %v", err)
	}
}
