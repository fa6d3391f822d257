package stamp

import (
	"hash/adler32"
	"math/rand/v2"
	"testing"
)

func TestAdler(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		p := make([]byte, r.IntN(3000))
		for i := range p {
			p[i] = byte(r.IntN(256)) | byte(-r.IntN(2)) // often the largest there is
		}
		cut := r.IntN(len(p) + 1)
		want := adler32.Checksum(p)
		if got := adlerOf(p).sum; got != want {
			t.Fatalf("sum of %d bytes: got %08x, want %08x", len(p), got, want)
		}
		if got := adlerOf(p[:cut]).then(adlerOf(p[cut:])).sum; got != want {
			t.Fatalf("sum of %d and %d bytes: got %08x, want %08x", cut, len(p)-cut, got, want)
		}
	}
}

func BenchmarkAdler(b *testing.B) {
	p := make([]byte, 400)
	b.SetBytes(400)
	for b.Loop() {
		adlerOf(p)
	}
}
