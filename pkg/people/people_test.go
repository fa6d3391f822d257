package people_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/pkg/people"
)

func TestParse(t *testing.T) {
	ada := people.Person{Name: "Ada Lovelace", Email: "ada@example.com", Line: 2}
	withFields := func(p people.Person, fields map[string]string) people.Person {
		p.Fields = fields
		return p
	}
	for _, test := range []struct {
		name string
		in   string
		want []people.Person
	}{
		{"commas", "name,email\nAda Lovelace,ada@example.com\n", []people.Person{ada}},
		{"no line end at the end", "name,email\nAda Lovelace,ada@example.com", []people.Person{ada}},
		{"CRLF", "name,email\r\nAda Lovelace,ada@example.com\r\n", []people.Person{ada}},
		{"byte order mark, semicolons and capitals", "\xef\xbb\xbfName;E-Mail\r\nAda Lovelace;ada@example.com\r\n", []people.Person{ada}},
		{"tabs with an empty cell in between", "name\tcompany\temail\nAda Lovelace\t\tada@example.com\n", []people.Person{ada}},
		{"columns in another order", "email,name\nada@example.com,Ada Lovelace\n", []people.Person{ada}},
		{"spaces around", " name , email \n  Ada Lovelace ,\tada@example.com \n", []people.Person{ada}},
		{
			"fields, their headers normalised", "name,email,Company Name,Role (short)\nAda Lovelace,ada@example.com,\"Analytical, Ltd\",DoP\n",
			[]people.Person{withFields(ada, map[string]string{"company_name": "Analytical, Ltd", "role_short": "DoP"})},
		},
		{
			"a semicolon list whose header has commas in a cell", "name;email;\"a,b,c,d\"\nAda Lovelace;ada@example.com;x\n",
			[]people.Person{withFields(ada, map[string]string{"a_b_c_d": "x"})},
		},
		{"fewer cells than the header", "name,email,role\nAda Lovelace,ada@example.com\n", []people.Person{ada}},
		{"a trailing separator on every line", "name,email,\nAda Lovelace,ada@example.com,\n", []people.Person{ada}},
		{"empty cells beyond the header", "name,email\nAda Lovelace,ada@example.com,,\n", []people.Person{ada}},
		{"space before a quoted cell", "name, email\n\"Ada Lovelace\", \"ada@example.com\"\n", []people.Person{ada}},
		{
			"blank lines, and lines of separators only", "\n\nname,email\n\nAda Lovelace,ada@example.com\n , \n,,,\nBob,bob@example.com\n",
			[]people.Person{{Name: "Ada Lovelace", Email: "ada@example.com", Line: 5}, {Name: "Bob", Email: "bob@example.com", Line: 8}},
		},
		{
			"a line break in a quoted cell moves the lines after it", "name,email,note\nAda Lovelace,ada@example.com,\"a\nb\"\nBob,bob@example.com,\n",
			[]people.Person{withFields(ada, map[string]string{"note": "a\nb"}), {Name: "Bob", Email: "bob@example.com", Line: 4}},
		},
		{
			"names of all the world, as they were written", "name,email\nZoe\u0308 Ångström,zoe@example.com\n山田 太郎,taro@example.jp\n",
			[]people.Person{
				{Name: "Zoe\u0308 Ångström", Email: "zoe@example.com", Line: 2},
				{Name: "山田 太郎", Email: "taro@example.jp", Line: 3},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := people.Parse([]byte(test.in))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseSaysEverythingThatIsWrong(t *testing.T) {
	const two = "name,email\n"
	for _, test := range []struct {
		name string
		in   string
		want []string // "line: part of the reason"
	}{
		{"nothing", "", []string{"0: it is empty"}},
		{"only blank lines", "\n \n,,\n", []string{"0: it is empty"}},
		{"only a header", two, []string{"0: nobody is in it"}},
		{"UTF-16", "\xff\xfen\x00a\x00", []string{"0: UTF-16"}},
		{"no header", "Ada,ada@example.com\n", []string{"1: no column name", "1: no column email"}},
		{"header without email", "name;phone\nAda;1\n", []string{"1: no column email; it has: name, phone"}},
		{"two columns of one name", "name,email,Role,role\n", []string{`1: "Role" and "role" are both the field role`}},
		{"a column that cannot be a field", "name,email,日本,2nd\n", []string{`1: "日本" cannot be a field`, `1: "2nd" cannot be a field`}},
		{"a name is missing", two + ",ada@example.com\n", []string{"2: the name is missing"}},
		{"an address is missing", two + "Ada\n", []string{"2: the address is missing"}},
		{"malformed addresses", two + "A,ada\nB,b@\nC,c c@example.com\nD,D <d@example.com>\nE,\"e@example.com,f@example.com\"\n",
			[]string{`2: "ada"`, `3: "b@"`, `4: "c c@`, `5: "D <d@`, `6: "e@`}},
		{"an address twice", two + "A,a@example.com\nB,b@example.com\nA2,A@Example.com\n", []string{"4: the address A@Example.com stands in line 2"}},
		{"too many cells", two + "Ada,ada@example.com,x\n", []string{"2: it has 3 cells, and the header only 2"}},
		{"a value without header", "name,email,\nAda,ada@example.com,x\n", []string{"2: column 3 has a value"}},
		{"not UTF-8", two + "Zo\xeb,zoe@example.com\nBob,bob@example.com\n", []string{"2: not UTF-8"}},
		{"a stray quotation mark", two + "A\"da,ada@example.com\nBob,bob\n", []string{"2: a quotation mark stands", `3: "bob"`}},
		{"a quotation mark never closed", two + "\"Ada,ada@example.com\nBob,bob@example.com\n", []string{"2: not closed"}},
		{"a line break in a name", two + "\"Ada\nBcc: x@example.com\",ada@example.com\n", []string{"2: the name"}},
		{"too long", two + strings.Repeat("x", 256) + ",ada@example.com\n", []string{"2: 256 bytes"}},
		{"several in one line, several lines", two + ",nobody\nBob,bob@example.com\nC,\n",
			[]string{"2: the name is missing", `2: "nobody"`, "4: the address is missing"}},
		{"too many people", two + many(10_001), []string{"0: 10001 people"}},
		{"too many columns", "name,email" + manyColumns(33) + "\n", []string{"1: 33 columns"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := people.Parse([]byte(test.in))
			var bad *people.Error
			if !errors.As(err, &bad) {
				t.Fatalf("Parse = %v, %v; want an *Error", got, err)
			}
			if len(bad.Problems) != len(test.want) {
				t.Fatalf("problems:\n%v\nwant %d: %q", bad, len(test.want), test.want)
			}
			for i, p := range bad.Problems {
				line, part, _ := strings.Cut(test.want[i], ": ")
				if fmt.Sprint(p.Line) != line || !strings.Contains(p.Reason, part) {
					t.Errorf("problem %d = %d: %s; want %s", i, p.Line, p.Reason, test.want[i])
				}
			}
		})
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "P%d,p%d@example.com\n", i, i)
	}
	return b.String()
}

func manyColumns(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",c%d", i)
	}
	return b.String()
}

var field = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"name,email\nAda,ada@example.com\n", "\xef\xbb\xbfName;E-Mail;x\r\n\"A;\"\"b\";a@b;c\r\n", "name\temail\t\n\t\t\n",
		"name,email\n\"", "name,email\nA\xff,b@c\n", "\xff\xfe", "email,name,a b,a_b\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		list, err := people.Parse(in)
		lines := strings.Count(string(in), "\n") + 1
		if err != nil {
			var bad *people.Error
			if !errors.As(err, &bad) || len(bad.Problems) == 0 || list != nil {
				t.Fatalf("Parse = %v, %v; want nobody and an *Error with problems", list, err)
			}
			for _, p := range bad.Problems {
				if p.Line < 0 || p.Line > lines || p.Reason == "" {
					t.Errorf("problem %+v in a list of %d lines", p, lines)
				}
			}
			return
		}
		if len(list) == 0 {
			t.Error("nobody and no error")
		}
		seen := map[string]bool{}
		for _, p := range list {
			key := strings.ToLower(p.Email)
			if p.Name == "" || p.Name != strings.TrimSpace(p.Name) || !utf8.ValidString(p.Name) || !people.Address(p.Email) || seen[key] {
				t.Errorf("person %+v", p)
			}
			if p.Line < 2 || p.Line > lines {
				t.Errorf("person %+v in a list of %d lines", p, lines)
			}
			seen[key] = true
			for name, value := range p.Fields {
				if !field.MatchString(name) || value == "" || !utf8.ValidString(value) {
					t.Errorf("field %q = %q", name, value)
				}
			}
		}
	})
}

func TestReadTakesTheGoodLines(t *testing.T) {
	t.Parallel()
	list, bad := people.Read([]byte("name,email\nAda,ada@example.com\nBo,nowhere\n"))
	if len(list) != 1 || list[0].Name != "Ada" || bad.Whole || len(bad.Problems) != 1 || bad.Problems[0].Line != 3 {
		t.Errorf("got %+v, %+v", list, bad)
	}
	for _, whole := range []string{"", "name\nAda\n", "name,email\n", "\xff\xfe", "name,email\n" + strings.Repeat("Ada,nowhere\n", 10_001)} {
		list, bad = people.Read([]byte(whole))
		if len(list) != 0 || !bad.Whole || len(bad.Problems) == 0 {
			t.Errorf("%.20q: got %d people and %t", whole, len(list), bad.Whole)
		}
	}
}

func TestKeyIsTheSameInEitherCaseAfterTheAt(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"Ada@Example.COM": "Ada@example.com", `"a@B"@C.de`: `"a@B"@c.de`, "none": "none"} {
		if got := people.Key(address); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}
