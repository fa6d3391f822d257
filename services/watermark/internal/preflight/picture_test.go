package preflight_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/preflight"
)

func TestPictures(t *testing.T) {
	one := "P6\n2 1\n255\n\xff\xff\xff\x00\x00\x00"
	blue := "P6 1 2 255\n\x00\x00\xff\x0a\x0a\x0a"
	for _, c := range []struct {
		name, data string
		want       [][3]int
		err        error
	}{
		{"none", "", nil, io.EOF},
		{"two", one + blue, [][3]int{{2, 1, 255}, {1, 2, 29}}, io.EOF},
		{"pixels that look like white space", "P6\n1 1\n255\n\n\n\n" + one, [][3]int{{1, 1, 10}, {2, 1, 255}}, io.EOF},
		{"one that ends early", one + blue[:len(blue)-1], [][3]int{{2, 1, 255}}, io.ErrUnexpectedEOF},
		{"a header that ends early", one + "P6\n2 ", [][3]int{{2, 1, 255}}, io.ErrUnexpectedEOF},
		{"another kind", "P5\n2 1\n255\n\xff\xff", nil, preflight.ErrPicture},
		{"deeper", "P6\n2 1\n65535\n", nil, preflight.ErrPicture},
		{"too wide", "P6\n101 1\n255\n", nil, preflight.ErrPicture},
		{"too high", "P6\n1 101\n255\n", nil, preflight.ErrPicture},
		{"empty", "P6\n0 1\n255\n", nil, preflight.ErrPicture},
		{"no number", "P6\n-1 1\n255\n", nil, preflight.ErrPicture},
		{"a number without end", "P6\n999999999999999999999 1\n255\n", nil, preflight.ErrPicture},
		{"a large number", "P6\n18446744073 1\n255\n", nil, preflight.ErrPicture},
		{"words", "Syntax Error: may not illustrate a mark", nil, preflight.ErrPicture},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := preflight.ReadPictures(iotest.OneByteReader(bytes.NewReader([]byte(c.data))), 100)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if !errors.Is(err, c.err) {
				t.Errorf("got %v, want %v", err, c.err)
			}
		})
	}
}

func FuzzPictures(f *testing.F) {
	f.Add([]byte("P6\n2 1\n255\n\xff\xff\xff\x00\x00\x00P6 1 2 255\n\x00\x00\xff\x0a\x0a\x0a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		seen, err := preflight.ReadPictures(bytes.NewReader(data), 50)
		if err == nil {
			t.Fatal("no end")
		}
		for _, s := range seen {
			if s[0] < 1 || s[1] < 1 || s[0] > 50 || s[1] > 50 {
				t.Fatalf("got a picture of %d by %d", s[0], s[1])
			}
		}
	})
}

func TestBatches(t *testing.T) {
	page := func(number int, w, h float64) preflight.Expect {
		return preflight.Expect{Number: number, Page: mark.Page{Box: [4]float64{0, 0, w, h}}}
	}
	a4 := func(from, to int) (out []preflight.Expect) {
		for i := from; i <= to; i++ {
			out = append(out, page(i, 595, 842))
		}
		return out
	}
	for _, c := range []struct {
		name  string
		pages []preflight.Expect
		want  [][3]int
	}{
		{"none", nil, nil},
		{"pages of about one shape", []preflight.Expect{page(1, 595, 842), page(2, 612, 792), page(3, 842, 595), page(4, 14400, 14400)}, [][3]int{{1, 4, 616}}},
		{"a gap", append(a4(1, 3), a4(7, 8)...), [][3]int{{1, 3, 616}, {7, 8, 616}}},
		{"a slide in between", []preflight.Expect{page(1, 595, 842), page(2, 960, 540), page(3, 595, 842)}, [][3]int{{1, 1, 616}, {2, 2, 800}, {3, 3, 616}}},
		{"a line", []preflight.Expect{page(1, 1, 10000)}, [][3]int{{1, 1, 2400}}},
		{"no size at all", []preflight.Expect{page(1, 0, 0)}, [][3]int{{1, 1, 616}}},
		{"many", a4(1, 100), [][3]int{{1, 40, 616}, {41, 80, 616}, {81, 100, 616}}},
	} {
		got := preflight.Batches(c.pages)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
