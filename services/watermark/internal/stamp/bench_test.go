package stamp_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/stamp"
)

// BenchmarkCopy makes further copies of a script of 120 pages, beside what hashing its bytes alone costs.
func BenchmarkCopy(b *testing.B) {
	t := compiled(b, script(120))
	base := recipe(b, letters45)
	run := func(name string, change func(r *stamp.Recipe, i int)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			var size int64
			for b.Loop() {
				r := base
				var err error
				r.Mark, err = mark.Compose(mark.Spec{Template: "{name}"}, map[string]string{"name": letters45})
				if err != nil {
					b.Fatal(err)
				}
				i++
				change(&r, i)
				c, err := stamp.New(t, r)
				if err != nil {
					b.Fatal(err)
				}
				h := sha256.New()
				size, err = c.WriteTo(h)
				if err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(size)
		})
	}
	run("plain", func(*stamp.Recipe, int) {})
	lock := func(i int) *stamp.Lock {
		l, err := stamp.NewLock(fmt.Sprintf("%016d", i), [16]byte{byte(i), byte(i >> 8)})
		if err != nil {
			b.Fatal(err)
		}
		return l
	}
	known := lock(0)
	run("locked, password known", func(r *stamp.Recipe, _ int) { r.Lock = known })
	run("locked, password new", func(r *stamp.Recipe, i int) { r.Lock = lock(i) })
	b.Run("hashes of a password", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			lock(i)
		}
	})
	b.Run("compose", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := mark.Compose(mark.Spec{Template: "{name}"}, map[string]string{"name": letters45})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, err := stamp.New(t, base)
			if err != nil {
				b.Fatal(err)
			}
			_, err = c.WriteTo(io.Discard)
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sha-256", func(b *testing.B) {
		c, err := stamp.New(t, base)
		if err != nil {
			b.Fatal(err)
		}
		data := make([]byte, c.Size())
		b.SetBytes(c.Size())
		for b.Loop() {
			sha256.Sum256(data)
		}
	})
}
