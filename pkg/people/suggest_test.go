package people_test

import (
	"testing"

	"github.com/filigreehq/filigree/pkg/people"
)

func TestSuggest(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"ada@gmial.com": "ada@gmail.com", "ada@gmail.con": "ada@gmail.com", "ada@GMAL.com": "ada@gmail.com", "ada@outlok.com": "ada@outlook.com",
		"ada@gmail.com.": "ada@gmail.com", "ada@hotmaill.com": "ada@hotmail.com",
		"ada@gmail.com": "", "Ada@GMail.com": "", "ada@ymail.com": "", "ada@mail.com": "", "ada@gmx.at": "", "ada@web.de": "", "ada@example.com": "",
		"": "", "@gmial.com": "", "gmial.com": "", "ada@": "", "a b@gmial.com": "",
	} {
		if got := people.Suggest(address); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}
