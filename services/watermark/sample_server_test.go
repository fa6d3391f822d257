package watermark_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
	"github.com/filigreehq/filigree/services/watermark"
	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
)

// samples finds an item whose copy is one to be proved, and one whose is not.
func samples(t *testing.T, r replica, req *watermarkv1.StampRequest) (proved, other *watermarkv1.StampRequest) {
	t.Helper()
	for i := range 40 * watermark.Sampled {
		req = proto.CloneOf(req)
		req.Item = fmt.Sprintf("i%d", i)
		n, err := r.Number(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if n%watermark.Sampled == 0 {
			proved = req
		} else {
			other = req
		}
		if proved != nil && other != nil {
			return proved, other
		}
	}
	t.Fatal("no copy is proved")
	return nil, nil
}

func TestSampledCopiesAreProvedFirst(t *testing.T) {
	needTools(t)
	b := newBench(t)
	r := b.replica(t)
	var proofs atomic.Int64
	for _, locked := range []bool{false, true} {
		req := order(b.upload(t, pages(2, fmt.Sprintf("/X(%t)", locked), "").bytes()), "")
		if locked {
			req.Password = &watermarkv1.PasswordId{Recipient: "r", Generation: 1}
		}
		proved, other := samples(t, r, req)
		stamped(t, r, proved) // by the programs themselves
		b.drop(t, stamped(t, r, proved).GetKey())

		counting := b.replica(t)
		counting.SetProve(func(context.Context) error {
			proofs.Add(1)
			if keys := b.list(t, "art/"); len(keys) > 0 {
				t.Errorf("stored before they were proved: %q", keys)
			}
			return nil
		})
		a := stamped(t, counting, proved)
		if proofs.Swap(0) != 1 {
			t.Error("the copy was not proved")
		}
		b.drop(t, a.GetKey())
		b.drop(t, stamped(t, counting, other).GetKey())
		if proofs.Swap(0) != 0 {
			t.Error("every copy is proved")
		}
	}
}

// A copy that is unsound does not leave, and nor does any other of its file, from whatever replica.
func TestAnUnsoundCopyIsHeldBackWithAllOthers(t *testing.T) {
	b := newBench(t)
	one, two := b.replica(t), b.replica(t)
	data := pages(2, "", "").bytes()
	f := b.upload(t, data)
	b.in(t, "other", data)
	proved, other := samples(t, one, order(f, ""))
	b.drop(t, stamped(t, two, other).GetKey()) // it has all in memory
	one.SetProve(func(context.Context) error {
		return fmt.Errorf("proof: %w", &preflight.Unsound{By: "qpdf", Detail: "object 7 is elsewhere"})
	})
	_, err := one.Stamp(t.Context(), proved)
	wantFault(t, err, "COPY_UNSOUND")
	if one.log.count("a copy is unsound: all copies of its source are held back") != 1 {
		t.Error("the log says nothing")
	}
	elsewhere := proto.CloneOf(other)
	elsewhere.Production = "other"
	for _, r := range []replica{one, two, b.replica(t)} {
		for _, req := range []*watermarkv1.StampRequest{proved, other, elsewhere} {
			_, err = r.Stamp(t.Context(), req)
			wantFault(t, err, "COPY_UNSOUND")
		}
		_, err = r.Prepare(t.Context(), &watermarkv1.PrepareRequest{Production: production, File: f})
		wantFault(t, err, "COPY_UNSOUND")
	}
	if keys := b.list(t, "art/"); len(keys) > 0 {
		t.Errorf("stored are %q", keys)
	}
	// Another file is another matter.
	stamped(t, two, order(b.upload(t, pages(3, "", "").bytes()), "i"))

	// It is lifted by removing the record, everywhere at once.
	b.drop(t, templateKey(f)+".unsound")
	stamped(t, two, proved)
	stamped(t, one, other)
}

// A proof that could not be had says nothing of the copy; it is tried again.
func TestAProofThatFailsIsNoVerdict(t *testing.T) {
	b := newBench(t)
	r := b.replica(t)
	proved, _ := samples(t, r, order(b.upload(t, pages(2, "", "").bytes()), ""))
	dir := t.TempDir()
	broken := b.replica(t, func(c *watermark.Config) { c.TempDir = dir })
	_, err := broken.Number(t.Context(), proved) // so that nothing but the proof is to be done
	if err != nil {
		t.Fatal(err)
	}
	err = os.Remove(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = broken.Stamp(t.Context(), proved)
	wantTransient(t, err, "DISK_UNAVAILABLE")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Stamp(ctx, proved)
	wantTransient(t, err, "TIMEOUT", "STORE_UNAVAILABLE")
	for _, key := range b.list(t, "tpl/"+proved.GetFile().GetSha256()+"/") {
		if strings.HasSuffix(key, ".unsound") {
			t.Error("the file's copies are held back")
		}
	}
	if len(b.list(t, "art/")) > 0 {
		t.Error("a copy is stored that nobody proved")
	}
	b.fetch(t, stamped(t, r, proved))
}

// The verdict on a copy must come to where other replicas see it, or it is given again.
func TestAnUnsoundCopyAndAStoreThatFails(t *testing.T) {
	f := newFaultyStore(t)
	r := f.replica(t)
	file := f.upload(t, pages(2, "", "").bytes())
	proved, other := samples(t, r, order(file, ""))
	r.SetProve(func(context.Context) error { return &preflight.Unsound{By: "qpdf"} })
	f.set(refuse("PUT", "tpl/"))
	_, err := r.Stamp(t.Context(), proved)
	f.set(nil)
	wantTransient(t, err, "STORE_UNAVAILABLE")
	_, err = r.Stamp(t.Context(), proved)
	wantFault(t, err, "COPY_UNSOUND")
	_, err = f.replica(t).Stamp(t.Context(), other)
	wantFault(t, err, "COPY_UNSOUND")
}

// What the programs hold against a copy they find in a real one that is damaged.
func TestProofsFindDamage(t *testing.T) {
	needTools(t)
	b := newBench(t)
	r := b.replica(t)
	data := b.fetch(t, stamped(t, r, order(b.upload(t, pages(3, "", "").bytes()), "i")))
	for name, change := range map[string]func([]byte) []byte{
		"nothing":       func(d []byte) []byte { return d },
		"cut":           func(d []byte) []byte { return d[:len(d)-300] },
		"a byte more":   func(d []byte) []byte { return append(append(bytes.Clone(d[:400]), ' '), d[400:]...) },
		"a byte less":   func(d []byte) []byte { return append(bytes.Clone(d[:400]), d[401:]...) },
		"another start": func(d []byte) []byte { return bytes.Replace(d, []byte("startxref\n"), []byte("startxref\n1"), 1) },
	} {
		doc, err := os.Open(write(t, change(bytes.Clone(data))))
		if err != nil {
			t.Fatal(err)
		}
		err = preflight.Prove(t.Context(), doc, preflight.Want{Pages: 3}, preflight.Config{})
		_ = doc.Close() // only read
		if (err != nil) != (name != "nothing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A disk that is full says nothing of a copy.
func TestAFullDiskIsNoDamage(t *testing.T) {
	needTools(t)
	b := newBench(t)
	r := b.replica(t)
	req := order(b.upload(t, pages(60, "", "").bytes()), "i")
	req.Password = &watermarkv1.PasswordId{Recipient: "r", Generation: 1}
	password, err := b.keys.PasswordFor(b.keys.Active(), production, "r", 1)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.Open(write(t, b.fetch(t, stamped(t, r, req))))
	if err != nil {
		t.Fatal(err)
	}
	defer doc.Close()
	dir := small(t, 16<<10)
	err = preflight.Prove(t.Context(), doc, preflight.Want{Pages: 60, Password: password}, preflight.Config{TempDir: dir})
	var unsound *preflight.Unsound
	if err == nil || errors.As(err, &unsound) {
		t.Errorf("got %v, want it to be the disk's fault", err)
	}
}
