package stamp_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/stamp"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

func write(tb testing.TB, t *template.Template, r stamp.Recipe) (*stamp.Copy, []byte) {
	tb.Helper()
	c, err := stamp.New(t, r)
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	n, err := c.WriteTo(&b)
	if err != nil || n != c.Size() || int64(b.Len()) != n {
		tb.Fatalf("wrote %d of %d bytes, was told %d: %v", b.Len(), c.Size(), n, err)
	}
	return c, b.Bytes()
}

func locked(tb testing.TB, r stamp.Recipe) stamp.Recipe {
	tb.Helper()
	var err error
	r.Lock, err = stamp.NewLock("correct horse", [16]byte{7})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// golden are the SHA-256 of copies that this version of the engine writes, on every architecture and release of Go. If
// they change, stamp.Engine must.
var golden = map[string]string{
	"plain":  "5faddc8b357a1fec124b0815b8da0a9747e7c133a1ad70cbce69cd09d3de9750",
	"locked": "d7d9d7ef9ceb03eeffbef78654e440e5ce40386d520da34d81d6ef5e00d39ed4",
}

func TestTheEngineWritesWhatItsVersionSays(t *testing.T) {
	if stamp.Engine != "filigree-2" {
		t.Errorf("the engine is %s now: write down what it writes", stamp.Engine)
	}
	source := compiled(t, script(3))
	plain := recipe(t, letters45)
	for name, r := range map[string]stamp.Recipe{"plain": plain, "locked": locked(t, plain)} {
		_, data := write(t, source, r)
		sum := sha256.Sum256(data)
		if got := hex.EncodeToString(sum[:]); got != golden[name] {
			t.Errorf("%s: got %s, want %s", name, got, golden[name])
		}
	}
}

func TestACopyIsTheSameEachTimeAndSideBySide(t *testing.T) {
	source := compiled(t, script(20))
	r := locked(t, recipe(t, letters45))
	c, want := write(t, source, r)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			var again bytes.Buffer
			_, err := c.WriteTo(&again)
			if err != nil || !bytes.Equal(again.Bytes(), want) {
				t.Errorf("written again it differs: %v", err)
			}
			_, other := write(t, source, r)
			if !bytes.Equal(other, want) {
				t.Error("made again it differs")
			}
		})
	}
	all.Wait()
}

func TestCopiesShareNoSecrets(t *testing.T) {
	source := compiled(t, script(2))
	a, b := recipe(t, letters45), recipe(t, letters45)
	b.Seed[0]++
	_, one := write(t, source, locked(t, a))
	_, two := write(t, source, locked(t, b))
	// Of two copies with one password and all else alike, no block of ciphertext is the same.
	seen := map[string]bool{}
	at := bytes.Index(one, []byte("stream\n")) + len("stream\n")
	for i := at; i+16 <= at+2000; i += 16 {
		seen[string(one[i:i+16])] = true
	}
	for i := at; i+16 <= at+2000; i += 16 {
		if seen[string(two[i:i+16])] {
			t.Fatalf("both have the same block at %d", i)
		}
	}
}

func TestARangeIsMadeOfTheStreamsItTouches(t *testing.T) {
	source := compiled(t, script(30))
	for name, r := range map[string]stamp.Recipe{"plain": recipe(t, letters45), "locked": locked(t, recipe(t, letters45))} {
		t.Run(name, func(t *testing.T) {
			c, whole := write(t, source, r)
			size := c.Size()
			random := rand.New(rand.NewPCG(5, 6))
			for range 300 {
				from := random.Int64N(size + 10)
				n := random.Int64N(5000)
				before := c.Encrypted()
				var part bytes.Buffer
				err := c.Range(&part, from, n)
				if err != nil {
					t.Fatal(err)
				}
				want := whole[min(from, size):min(from+n, size)]
				if !bytes.Equal(part.Bytes(), want) {
					t.Fatalf("bytes %d to %d: got %d bytes, want others, %d", from, from+n, part.Len(), len(want))
				}
				// The largest stream is a form, some 12 kB.
				if spent := c.Encrypted() - before; spent > n+30_000 || r.Lock == nil && spent > 0 {
					t.Errorf("%d bytes were encrypted for %d", spent, n)
				}
			}
			if c.Range(&bytes.Buffer{}, -1, 5) == nil {
				t.Error("a range before the copy was taken")
			}
		})
	}
}

func TestASizeIsWithinWhatIsPromised(t *testing.T) {
	const pages = 120
	source := compiled(t, script(pages))
	r := recipe(t, letters45)
	_, marked := write(t, source, r)
	r.Unmarked = true
	_, plain := write(t, source, r)
	if most := len(plain) + 1024*pages + 16<<10; len(marked) > most {
		t.Errorf("a copy has %d bytes, the document alone %d: want at most %d", len(marked), len(plain), most)
	}
	t.Logf("%d bytes, %d without the mark: %d a page", len(marked), len(plain), (len(marked)-len(plain))/pages)
}

// Whatever a template says that is one by its sum, a copy of it is made or refused, and is as long as it was announced.
func FuzzTemplate(f *testing.F) {
	var b bytes.Buffer
	var d template.Deflater
	small := &template.Template{
		PDF: "1.7", Root: 1, Packed: 1, PerStream: 1, First: 2, Prefix: "F", Entries: d.Piece(make([]byte, 2*template.EntrySize)),
		Runs: []template.Run{{Count: 1, Page: mark.Page{Box: [4]float64{0, 0, 9, 9}, Unit: 1}}},
		Streams: []template.Stream{
			{Pieces: []template.Piece{{Kind: template.Kept, Bytes: []byte("x")}}},
			{Pieces: []template.Piece{d.Piece([]byte("q")), {Kind: template.Strokes}, {Kind: template.Picture}, {Kind: template.Top}}},
			{Pieces: []template.Piece{{Kind: template.Kept, Bytes: []byte("o")}}},
		},
	}
	err := template.Write(&b, small)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	r := locked(f, recipe(f, "Ada"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < sha256.Size {
			return
		}
		body := data[:len(data)-sha256.Size]
		sum := sha256.Sum256(body)
		source, err := template.Parse(append(bytes.Clone(body), sum[:]...))
		if err != nil || source.Pages() > 1000 {
			return
		}
		write(t, source, r)
		r := r
		r.Lock = nil
		write(t, source, r)
	})
}
