package thumbnail_test

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"
	"time"
)

func BenchmarkRender(b *testing.B) {
	gray, colour := document(1), document(1)
	gray = bytes.Replace(gray, []byte("1 0 0 rg"), []byte("0 g     "), 1)
	for _, c := range []struct {
		name string
		data []byte
		cold bool
	}{{"warm grey", gray, false}, {"warm colour", colour, false}, {"cold", gray, true}} {
		b.Run(c.name, func(b *testing.B) {
			s := setup(b, letters(1))
			i := 0
			file := s.upload(b, c.data)
			_, err := s.server.Render(b.Context(), request(file, "warm"))
			if err != nil {
				b.Fatal(err)
			}
			before := processorTime(b)
			for b.Loop() {
				i++
				if c.cold {
					b.StopTimer()
					file = s.upload(b, append(c.data, fmt.Sprintf("%%%d\n", i)...))
					b.StartTimer()
				}
				_, err := s.server.Render(b.Context(), request(file, fmt.Sprintf("Recipient %d", i)))
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// processorTime is what this process and its children have used: on a machine with other work it says more than the
// clock.
func processorTime(b *testing.B) (used time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		err := syscall.Getrusage(who, &u)
		if err != nil {
			b.Fatal(err)
		}
		used += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return used
}
