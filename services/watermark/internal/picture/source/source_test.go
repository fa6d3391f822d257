package source_test

import (
	"testing"

	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

func TestOrientation(t *testing.T) {
	t.Parallel()
	for o := source.Orientation(1); o <= 8; o++ {
		if got := source.ReadOrientation(o.EXIF()); got != o {
			t.Errorf("orientation %d is read as %d", o, got)
		}
	}
	for _, bad := range []string{"", "II*\x00", "II*\x00\xff\xff\xff\xff", "XX*\x00\x08\x00\x00\x00\x01\x00", "II*\x00\x08\x00\x00\x00\xff\xff", "MM\x00*\x00\x00\x00\x00"} {
		if got := source.ReadOrientation([]byte(bad)); got != 1 {
			t.Errorf("%q: got %d", bad, got)
		}
	}
}

func FuzzReadOrientation(f *testing.F) {
	f.Add(source.Orientation(6).EXIF())
	f.Add([]byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"))
	f.Fuzz(func(t *testing.T, exif []byte) {
		if o := source.ReadOrientation(exif); o < 1 || o > 8 {
			t.Errorf("got %d", o)
		}
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	l := source.Default()
	for size, want := range map[[2]int]bool{{1, 1}: true, {20_000, 2_500}: true, {7_071, 7_071}: true, {20_001, 1}: false, {7_072, 7_072}: false, {0, 5}: false, {5, -1}: false, {1 << 40, 1 << 40}: false} {
		if err := l.Check(size[0], size[1]); (err == nil) != want {
			t.Errorf("%v: got %v", size, err)
		}
	}
}
