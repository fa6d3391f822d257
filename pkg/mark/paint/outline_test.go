package paint

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/filigreehq/filigree/pkg/mark"
)

func TestOutlinesAreReadStrictly(t *testing.T) {
	t.Parallel()
	got, err := parse([]byte("0 0 m\n1000 0 l\n1000 500 250 500 0 -1000 c\nh\n"))
	if err != nil || len(got.segments) != 4 || got.segments[1].at[0] != (point{1, 0}) || got.segments[2].at[2] != (point{0, -1}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got.min != (point{0, -1}) || got.max != (point{1, 0.5}) {
		t.Errorf("the box is from %v to %v", got.min, got.max)
	}
	for _, bad := range []string{"1 m", "1 2 3 l", "x y m", "1 2 re", "m", "1 2 v", "1.5 2 m", "1 h", "99999999999 0 m"} {
		_, err = parse([]byte(bad + "\n"))
		if err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// An outline is taken apart once, and forgotten with it.
func TestOutlinesAreRememberedAsLongAsTheyLive(t *testing.T) {
	key := func() weak.Pointer[mark.Outline] {
		o := &mark.Outline{Path: []byte("0 0 m\n1000 0 l\n0 1000 l\nh\n")}
		first := outlineOf(o)
		if outlineOf(o) != first {
			t.Error("it was taken apart twice")
		}
		_, known := outlines.Load(weak.Make(o))
		if !known {
			t.Error("it is not remembered")
		}
		return weak.Make(o)
	}()
	for range 100 {
		runtime.GC()
		_, known := outlines.Load(key)
		if !known {
			return
		}
		time.Sleep(time.Millisecond) // cleanups run in a goroutine of the runtime's, which tells nobody
	}
	t.Error("it is still remembered after its end")
}
