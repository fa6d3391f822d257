package removal

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, content string
		want          []string
	}{
		{"operands of all types", "q 1 -.5 0 +1 0 0cm/F1 12 Tf[(a)-3<6 2>]TJ", []string{"q", "1 -.5 0 +1 0 0 cm", "/F1 12 Tf", "[ <61> -3 <62> ] TJ"}},
		{"strings with brackets and escapes", `(a(b)c) Tj (\)\(\\) Tj (\101\n\
x) '`, []string{"<6128622963> Tj", "<29285c> Tj", "<410a78> '"}},
		{"dictionaries and names", "/Artifact<</A/B#43 /D<<>>/E[1 2]>>BDC EMC", []string{"/Artifact << /A /BC /D << >> /E [ 1 2 ] >> BDC", "EMC"}},
		{"comments", "q % (not text\nQ", []string{"q", "Q"}},
		{"an inline image with EI in it", "BI /W 1 /H 1 ID EI\x01 xEI \xff\nEI Q", []string{"/W 1 /H 1 BI EI\x01 xEI \xff\n", "Q"}},
		{"operands alone at the end", "q 1 2", []string{"q"}},
		{"what is not closed", "[1 2 (abc", nil},
		{"what makes no sense", ") } ] > q", []string{") } ] > q"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, o := range parse([]byte(tt.content)) {
				got = append(got, o.text())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestUnbalanced(t *testing.T) {
	got := string(join(unbalanced(parse([]byte("Q 1 w q BT q Q ET /A BMC q")))))
	want := "Q q /A BMC q"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whatever is read, instructions put together again are the content up to the last of them.
func FuzzParse(f *testing.F) {
	f.Add([]byte("q 1 0 0 1 0 0 cm BI /W 1 ID x EI [(a)] TJ <</A[>> Q"))
	f.Add([]byte("( ( \\"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ops := parse(data)
		whole := string(join(ops))
		if whole != string(data[:len(whole)]) {
			t.Errorf("%q is not the beginning of %q", whole, data)
		}
		for _, o := range ops {
			_ = o.text() // must not panic
		}
	})
}
