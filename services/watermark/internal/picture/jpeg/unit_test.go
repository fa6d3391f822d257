package jpeg

import (
	"math"
	"math/rand/v2"
	"testing"
)

// cosines is the transform as T.81, A.3.3 defines it.
func cosines(b *[blockSize]int32) (out [blockSize]float64) {
	scale := func(k int) float64 {
		if k == 0 {
			return math.Sqrt2 / 4
		}
		return 0.5
	}
	for v := range 8 {
		for u := range 8 {
			sum := 0.0
			for y := range 8 {
				for x := range 8 {
					sum += float64(b[8*y+x]) * math.Cos(float64(2*x+1)*float64(u)*math.Pi/16) * math.Cos(float64(2*y+1)*float64(v)*math.Pi/16)
				}
			}
			out[8*v+u] = scale(u) * scale(v) * sum
		}
	}
	return out
}

func TestTransforms(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var b [blockSize]int32
		for i := range b {
			b[i] = int32(r.IntN(256) - 128)
		}
		want, samples := cosines(&b), b
		forward(&b)
		for i, v := range b {
			if math.Abs(float64(v)/8-want[i]) > 0.5 {
				t.Fatalf("coefficient %d is %.2f, want %.2f", i, float64(v)/8, want[i])
			}
		}
		for i, v := range want {
			b[i] = int32(math.Round(v))
		}
		inverse(&b)
		for i, v := range b {
			if v-samples[i] > 2 || samples[i]-v > 2 {
				t.Fatalf("sample %d is %d, want %d", i, v, samples[i])
			}
		}
	}
}

// Codes are no longer than 16 bits however rare a symbol is, can be read, and are as short as can be where that is known.
func TestBestCode(t *testing.T) {
	t.Parallel()
	var steep, even [256]int
	for i := range 40 {
		steep[i] = 1 << i
	}
	for i := range even {
		even[i] = 5
	}
	for name, frequencies := range map[string]*[256]int{"steep": &steep, "even": &even, "none": {}} {
		c := bestCode(frequencies, acSymbols)
		d, err := newDecoder(c)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e := newEncoder(c)
		if !e.covers(acSymbols) {
			t.Errorf("%s: symbols are missing", name)
		}
		for s, entry := range e {
			n := entry & 0xFF
			if n == 0 {
				continue
			}
			if entry>>8 == 1<<n-1 {
				t.Errorf("%s: the code of %#x is ones only", name, s)
			}
			symbol, length := d.find(entry >> 8 << (16 - n))
			if n > 16 || int(symbol) != s || length != int(n) {
				t.Errorf("%s: the code of %#x, of %d bits, is read as %#x, of %d", name, s, n, symbol, length)
			}
		}
		if name == "steep" && e[39]&0xFF != 1 {
			t.Errorf("the most frequent symbol has %d bits", e[39]&0xFF)
		}
	}
}
