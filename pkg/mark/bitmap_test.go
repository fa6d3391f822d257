package mark_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is woven into pages as a small picture can be read, which is for a reviewer to judge.
func TestBitmaps(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, text := range []string{
		"Zoë Müller-Ångström", "zoe.mueller@example.com", "Nguyễn Thị Ậu", "Ёлка Ґалаґан", "محمد عبد الله", "דוד בן גוריון", "अमिताभ बच्चन", "สมชาย ใจดี",
		"张伟 田中さくら", "김철수", "བཀྲ་ཤིས", strings.Repeat("Long ", 12), "שלום " + strings.Repeat("ארוך ", 12), ".", "a" + strings.Repeat("\u0301", 20),
	} {
		m, err := one(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		b := m.Bitmap()
		stride := (b.Width + 7) / 8
		if b.Height < 10 || b.Height > 13 || b.Width < 1 || b.Width > 112 || len(b.Rows) != b.Height*stride {
			t.Errorf("%s: %d by %d in %d bytes", text, b.Width, b.Height, len(b.Rows))
			continue
		}
		fmt.Fprintf(&out, "%s\n", text)
		for y := range b.Height {
			for x := range stride * 8 {
				ink := b.Rows[y*stride+x/8]&(0x80>>(x%8)) != 0
				if x >= b.Width && ink {
					t.Errorf("%s: ink beyond the width", text)
				}
				if x < b.Width {
					out.WriteString(map[bool]string{true: "█", false: "·"}[ink])
				}
			}
			out.WriteByte('\n')
		}
	}
	const file = "testdata/bitmaps.txt"
	if *update {
		err := os.WriteFile(file, []byte(out.String()), 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func BenchmarkBitmap(b *testing.B) {
	for n := 0; b.Loop(); n++ {
		m, err := one(fmt.Sprintf("Zoë Müller %d", n)) // in letters whose pixels are known
		if err != nil {
			b.Fatal(err)
		}
		_ = m.Bitmap()
	}
}
