package content_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/watermark/internal/content"
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
		{"array closed as a dictionary", "[(a) >> (b)] TJ", "[(a) (b)] TJ Q"},
		{"dictionary closed as an array", "/P <</A 1 ] >> BDC", "/P <</A 1 >> BDC EMC Q"},
		{"array that swallows the rest", "1 w [ 2 w << 3 w", "1 w Q"},
		{"no digits in a hexadecimal string", "<0aXf> Tj", "<0a f> Tj Q"},
		{"nested beyond measure", "1 w " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + " TJ", "1 w Q"},
		{"delimiters that stand alone", "1 ) w } ] > 2 w", "1 w 2 w Q"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(strings.Fields(string(content.Enclose([]byte(c.in), content.View{}).Content)), " ")
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
		once := content.Enclose(in, content.View{Area: 1e6}).Content
		if !strings.HasPrefix(string(once), "q\n") || !strings.HasSuffix(string(once), "Q\n") {
			t.Fatalf("%q is not enclosed", once)
		}
		twice := strings.Fields(string(content.Enclose(append([]byte{}, once...), content.View{}).Content))
		want := append(append([]string{"q"}, strings.Fields(string(once))...), "Q")
		if diff := cmp.Diff(want, twice); diff != "" {
			t.Errorf("not settled (-want +got)\n%s", diff)
		}
	})
}

// In each row "|" is room between operators, and "@" a place that is wanted.
func TestPlacesAreWhereSomethingCanBeDrawn(t *testing.T) {
	const room = "\n%                                                                \n"
	const shown = " | BT | (a) Tj" // what makes places worth having; none is in it
	for _, c := range []struct{ name, in string }{
		{"between texts", "BT | (a) Tj | ET @ | BT | (b) Tj | ET @"},
		{"not inside marked content", "/P <</MCID 0>> BDC | BT | ET | EMC @ | /P BMC | 1 w | EMC @"},
		{"not inside a path", "0 0 m | 1 1 l | S @"},
		{"not behind a clip", "q @ | 0 0 9 9 re | W | n | 1 w | 2 w | Q @ | 3 w @"},
		{"not behind text that clips", "q @ | 7 Tr @ | BT | (a) Tj | ET | 1 w | Q @"},
		{"not where nothing is known of the space", "q @ | 1 0 0 1 2-3 0 cm | 1 w | Q @"},
		{"not where space has no area", "q @ | 1 0 0 0 0 0 cm | 1 w | Q @"},
		{"only behind what covers", "1 w | 0 0 900 900 re | f @ | BT | ET @"},
		{"little things cover nothing", "1 w @ | 0 0 9 9 re | f @"},
		{"a path that cannot be read covers", "1 w | 0 0 9-9 9 re | f @"},
		{"a shading covers", "1 w | /S sh @"},
		{"a form covers", "1 w | /F Do @"},
		{"a large image covers", "1 w | q | 900 0 0 900 0 0 cm | /I Do @ | Q @"},
		{"a small one does not", "1 w @ | q @ | 9 0 0 9 0 0 cm @ | /I Do @ | Q @"},
		{"an inline image", "1 w | q | 900 0 0 900 0 0 cm | BI /W 1 ID x EI @ | Q @"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := strings.ReplaceAll(strings.ReplaceAll(c.in+shown, " @", ""), " | ", room)
			got := content.Enclose([]byte(in), content.View{Area: 1e6, Image: func(name string) bool { return name == "I" }})
			var b strings.Builder
			last := 0
			for _, p := range got.Places {
				b.Write(got.Content[last:p.At])
				b.WriteString(" @")
				last = p.At
			}
			b.Write(got.Content[last:])
			have := strings.Join(strings.Fields(strings.ReplaceAll(b.String(), room, " | ")), " ")
			if diff := cmp.Diff("q "+c.in+shown+" ET Q", have); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A box over what is drawn hides it, however small it is beside the page.
func TestWhatIsNotSmallLeavesNoPlacesBeforeIt(t *testing.T) {
	in := "BT (a) Tj ET " + strings.Repeat(" ", 80) + "0 0 20 20 re f BT (b) Tj ET " + strings.Repeat(" ", 80) + "1 w"
	for _, c := range []struct {
		small float64
		want  int
	}{{0, 3}, {400, 3}, {399, 2}} {
		got := content.Enclose([]byte(in), content.View{Area: 1e6, Small: c.small})
		if len(got.Places) != c.want {
			t.Errorf("%d places where what covers %v is small, want %d", len(got.Places), c.small, c.want)
		}
	}
}

func TestAPlaceKnowsItsSpace(t *testing.T) {
	got := content.Enclose([]byte("q 1 w 2 w Q"), content.View{Area: 1e6})
	if len(got.Places) != 0 {
		t.Errorf("%d places where nothing is painted", len(got.Places))
	}
	in := content.Enclose([]byte("2 0 0 -2 10 700 cm 0 1 -1 0 5 6 cm "+strings.Repeat(" ", 80)+"1 w BT (a) Tj"), content.View{Area: 1e6})
	p := in.Places[len(in.Places)-1]
	if diff := cmp.Diff(content.Matrix{0, -2, -2, 0, 20, 688}, p.CTM); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	back, ok := p.CTM.Invert()
	if !ok {
		t.Fatal("not invertible")
	}
	if diff := cmp.Diff(content.Matrix{1, 0, 0, 1, 0, 0}, p.CTM.Times(back)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Something drawn at any place leaves the rest as it is: what encloses it stays balanced, and nothing is cut.
func FuzzPlaces(f *testing.F) {
	for _, seed := range []string{
		"q BT (a) Tj ET Q 1 w 2 w", "BT ET BI /W 1 ID x EI Q q", "0 0 m 1 1 l S /P BMC EMC", "2 0 0 2 0 0 cm 1 w", "% q\n1 w", "[(a)] 0 d",
	} {
		f.Add([]byte(seed))
	}
	const drawn = "\nq 0 1 2 3 re f Q\n"
	f.Fuzz(func(t *testing.T, in []byte) {
		whole := content.Enclose(append([]byte{}, in...), content.View{Area: 1e6})
		plain := fields(string(whole.Content))
		for _, p := range whole.Places {
			if p.At < 2 || p.At > len(whole.Content) {
				t.Fatalf("place at %d of %d", p.At, len(whole.Content))
			}
			with := string(whole.Content[:p.At]) + drawn + string(whole.Content[p.At:])
			again := fields(string(content.Enclose([]byte(with), content.View{}).Content))
			if got, want := len(again), len(plain)+len(fields(drawn))+2; got != want {
				t.Fatalf("%d words with something drawn at %d, want %d:\n%q", got, p.At, want, with)
			}
		}
	})
}

// fields are the words between PDF's white space.
func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("\x00\t\n\f\r ", r) })
}
