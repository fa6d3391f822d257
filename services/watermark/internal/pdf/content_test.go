package pdf_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/watermark/internal/pdf"
)

func TestEncloseLeavesNothingOpen(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", "Q"},
		{"balanced", "q 1 0 0 1 0 0 cm Q", "q 1 0 0 1 0 0 cm Q Q"},
		{"state left open", "q q 1 w", "q q 1 w Q Q Q"},
		{"state closed too often", "Q q Q Q 1 w", "q Q 1 w Q"},
		{"text left open", "BT /F 1 Tf", "BT /F 1 Tf ET Q"},
		{"marked content left open", "/P <</MCID 0>> BDC /Q BMC", "/P <</MCID 0>> BDC /Q BMC EMC EMC Q"},
		{"marked content closed too often", "EMC 1 w", "1 w Q"},
		{"path left open", "0 0 m 1 1 l", "0 0 m 1 1 l n Q"},
		{"clip left open", "0 0 1 1 re W", "0 0 1 1 re W n Q"},
		{"compatibility left open", "BX 1 w", "1 w EX Q"},
		{"operands at the end", "1 w 1 2 3", "1 w Q"},
		{"string broken off", "1 w (abc", "1 w Q"},
		{"array broken off", "1 w [(a) 1", "1 w Q"},
		{"hex string broken off", "1 w <0a", "1 w Q"},
		{"dictionary broken off", "1 w /P <</A 1", "1 w Q"},
		{"comment at the end", "1 w % q", "1 w Q"},
		{"image broken off", "1 w BI /W 1 ID abc", "1 w Q"},
		{"image", "BI /W 1 /H 1 ID \x00q\xff EI\xffq \nEI q", "BI /W 1 /H 1 ID \x00q\xff EI\xffq EI q Q Q"},
		{"operators in strings", `(q \) q (q) q) Tj <71> Tj`, `(q \) q (q) q) Tj <71> Tj Q`},
		{"operator without operands", "1 w 0 cm 2 w", "1 w 2 w Q"},
		{"no operator", "1 w 2 foo 3 w", "1 w 3 w Q"},
		{"number grown together with an operator", "1 w 0Q 3 w", "1 w 3 w Q"},
		{"operator in an array", "[(a) 1 Tc (b)] TJ", "[(a) 1 (b)] TJ Q"},
		{"delimiters that stand alone", "1 ) w } ] > 2 w", "1 w 2 w Q"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(strings.Fields(string(pdf.Enclose([]byte(c.in)))), " ")
			want := strings.Join(strings.Fields("q "+c.want), " ")
			if c.name == "compatibility left open" {
				want = "q BX " + c.want
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// However broken content is, what is enclosed can be enclosed again and stays as it is.
func FuzzEnclose(f *testing.F) {
	for _, seed := range []string{"q BT (a) Tj", "BI /W 1 ID x EI Q", "[ (", "<< /A [", "0 cm Q Q EMC", "% q", "1 0 0 rg f*", "<"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once := pdf.Enclose(in)
		if !strings.HasPrefix(string(once), "q\n") || !strings.HasSuffix(string(once), "Q\n") {
			t.Fatalf("%q is not enclosed", once)
		}
		twice := strings.Fields(string(pdf.Enclose(append([]byte{}, once...))))
		want := append(append([]string{"q"}, strings.Fields(string(once))...), "Q")
		if diff := cmp.Diff(want, twice); diff != "" {
			t.Errorf("not settled (-want +got)\n%s", diff)
		}
	})
}
