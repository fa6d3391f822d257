package picture_test

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"image"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/picture"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew; Engine must change with it once copies are out")

const golden = "testdata/golden.txt"

// Templates and copies are the same bytes everywhere, as long as Engine is the same. Those of copies change with what
// package mark draws, too.
func TestGolden(t *testing.T) {
	t.Parallel()
	sources := pngs()
	maps.Copy(sources, testdata(t, "*0.jpg"))
	maps.Copy(sources, testdata(t, "ycck.jpg"))
	sources["page"] = rawPNG(page(620, 877))
	m := compose(t, mark.Spec{})
	lines := []string{"engine " + picture.Engine}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		var out bytes.Buffer
		_, err := picture.Compile(bytes.NewReader(sources[name]), &out, picture.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		tpl, err := picture.Open(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		copied := stamp(t, tpl, m, picture.Copy{ID: []byte("golden")})
		lines = append(lines, fmt.Sprintf("%s template %x copy %x", name, sha256.Sum256(out.Bytes()), sha256.Sum256(copied)))
	}
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		err := os.WriteFile(golden, []byte(got), 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	for i, line := range strings.Split(strings.TrimSpace(string(want)), "\n") {
		if i >= len(lines) || lines[i] != line {
			t.Errorf("want %s", line)
		}
	}
}

// rawPNG is m as a PNG that no release of Go compresses in another way.
func rawPNG(m *image.RGBA) []byte {
	return raw{
		width: m.Rect.Dx(), height: m.Rect.Dy(), depth: 8, color: 2,
		sample: func(x, y, s int) int { return int(m.Pix[m.PixOffset(x, y)+s]) },
	}.encode()
}
