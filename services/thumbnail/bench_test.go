package thumbnail_test

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRender is a recipient's thumbnail from request to stored picture: the mark set, drawn, encoded, written. What
// Go's own encoder would take of that is in internal/raster's BenchmarkMark.
func BenchmarkRender(b *testing.B) {
	colour := document(1)
	grey := bytes.Replace(colour, []byte("1 0 0 rg"), []byte("0 g     "), 1)
	for _, c := range []struct {
		name  string
		data  []byte
		width int32
		cold  bool
	}{
		{"warm/240/grey", grey, 240, false}, {"warm/240/colour", colour, 240, false},
		{"warm/400/grey", grey, 400, false}, {"warm/400/colour", colour, 400, false},
		{"warm/480/grey", grey, 480, false}, {"warm/480/colour", colour, 480, false},
		{"cold/480/grey", grey, 480, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := setup(b, letters(1))
			i := 0
			file := s.upload(b, c.data)
			req := request(file, "warm")
			req.Width = c.width
			_, err := s.server.Render(b.Context(), req)
			if err != nil {
				b.Fatal(err)
			}
			var bytes int64
			before := processorTime(b)
			for b.Loop() {
				i++
				if c.cold {
					b.StopTimer()
					file = s.upload(b, append(c.data, fmt.Sprintf("%%%d\n", i)...))
					b.StartTimer()
				}
				req := request(file, fmt.Sprintf("Recipient %d", i))
				req.Width = c.width
				resp, err := s.server.Render(b.Context(), req)
				if err != nil {
					b.Fatal(err)
				}
				bytes += resp.GetArtifact().GetSize()
			}
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(bytes)/float64(b.N), "bytes/op")
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
