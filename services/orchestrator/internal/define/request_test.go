package define_test

import (
	"strings"
	"testing"

	"github.com/filigreehq/filigree/services/orchestrator/internal/define"
)

// worded is a view that answers what is asked by word from its own content.
type worded struct {
	view  define.View
	asked *[]string
}

func (w worded) View() (define.View, error) { return w.view, nil }

func (w worded) Word(path string) (string, bool) {
	variable, name, _ := strings.Cut(path, ".")
	of, _ := w.view[variable].(map[string]any)
	text, ok := of[name].(string)
	*w.asked = append(*w.asked, path)
	return text, ok
}

const plain = `name: plain
version: 1
steps:
  - name: do
    scope: item
    function: test.Do
    with:
      distribution: distribution.id
      text: distribution.text
      both: distribution.id + "/" + item.id
      item: item.id
      name: recipient.name
      none: 'distribution.text == "" ? dyn(null) : dyn(distribution.text)'
      mark: distribution.mark
      number: recipient.number
      list: '[1, 2.5, true, null]'
`

func viewOf(item, mark string) define.View {
	return define.View{
		"distribution": map[string]any{"id": "D", "text": "say \"so\" <\u00e9>", "mark": mark},
		"production":   map[string]any{"id": "p"},
		"recipient":    map[string]any{"id": "D.r1", "name": "An\"a\n", "number": 7},
		"item":         map[string]any{"id": item},
	}
}

// However a request is made, it is the same text.
func TestRequestsThatShareTheirParts(t *testing.T) {
	t.Parallel()
	d, err := define.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	same := d.Same()
	var asked []string
	for range 2 {
		for _, item := range []string{"D.1.1", "D.1.2"} {
			view := viewOf(item, "one")
			want, err := d.Request("do", view, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := d.Request("do", worded{view, &asked}, same)
			if err != nil || got != want {
				t.Errorf("with parts shared: %s, %v, want %s", got, err, want)
			}
			if !strings.Contains(want, `"item":"`+item+`"`) || !strings.Contains(want, `"number":7`) {
				t.Errorf("got %s", want)
			}
		}
	}
	if len(asked) == 0 {
		t.Error("nothing was asked by word")
	}
	// Somebody with a mark of their own shares nothing.
	got, err := d.Request("do", viewOf("D.1.3", "own"), nil)
	if err != nil || !strings.Contains(got, `"mark":"own"`) {
		t.Errorf("got %s, %v", got, err)
	}
}

// What failed for one is worked out again for the next: nothing of it is kept.
func TestAFieldThatFailsIsNotShared(t *testing.T) {
	t.Parallel()
	d, err := define.Parse(strings.Replace(plain, "text: distribution.text\n", "text: distribution.texts\n", 1))
	if err != nil {
		t.Fatal(err)
	}
	same := d.Same()
	view := viewOf("D.1.1", "one")
	for range 2 {
		_, err = d.Request("do", view, same)
		if err == nil || !strings.Contains(err.Error(), "with.text") {
			t.Fatalf("got %v, want that with.text fails", err)
		}
	}
	view["distribution"].(map[string]any)["texts"] = "there"
	got, err := d.Request("do", view, same)
	if err != nil || !strings.Contains(got, `"text":"there"`) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestAnIdNeedsNothingToBeRead(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]bool{
		"item.id": false, "recipient.id": false, "distribution.id": false, "file.name": false,
		"item.fields": true, "item": true, "recipient.name": true, `item.id + "x"`: true, "has(item.id)": true, "recipient": true,
	} {
		d, err := define.Parse("name: n\nversion: 1\nsteps:\n  - name: do\n    scope: item\n    function: test.Do\n    with: {a: '" + with + "'}\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Uses("do").Recipient; got != want {
			t.Errorf("%s: reads the recipient %t, want %t", with, got, want)
		}
	}
}
