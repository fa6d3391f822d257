package plot_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/loadtest/internal/plot"
)

// texts reads an SVG and returns all texts in it.
func texts(t *testing.T, svg string) (all []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	in := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
		switch x := token.(type) {
		case xml.StartElement:
			in = x.Name.Local == "text"
			for _, a := range x.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("got %s=%q in <%s>", a.Name.Local, a.Value, x.Name.Local)
				}
			}
		case xml.EndElement:
			in = false
		case xml.CharData:
			if in {
				all = append(all, string(x))
			}
		}
	}
}

func wants(t *testing.T, svg string, words ...string) {
	t.Helper()
	all := texts(t, svg)
	for _, w := range words {
		found := false
		for _, text := range all {
			found = found || text == w
		}
		if !found {
			t.Errorf("got the texts %q, want %q among them", all, w)
		}
	}
}

func TestLogLog(t *testing.T) {
	t.Parallel()
	svg := plot.LogLog("Growth & <more>", "items", "seconds", []plot.Line{
		{Name: "ours", Points: []plot.Point{{10, 0.02}, {10000, 1.75}}},
		{Name: "proportional", Dashed: true, Points: []plot.Point{{10, 0.02}, {10000, 20}}},
	})
	wants(t, svg, "Growth & <more>", "items", "seconds", "ours", "proportional", "10", "10,000", "0.01", "100", "1.75")
}

func TestBars(t *testing.T) {
	t.Parallel()
	svg := plot.Bars("Steps", "milliseconds", []string{"p50", "p95"}, []plot.Bar{{"email run", []float64{3, 41}}, {"nothing", []float64{0, 0}}})
	wants(t, svg, "Steps", "milliseconds", "p50", "p95", "email run", "41", "0")
}

// What was not measured is no reason to draw nonsense.
func TestNothing(t *testing.T) {
	t.Parallel()
	texts(t, plot.LogLog("", "x", "y", []plot.Line{{Name: "none", Points: []plot.Point{{0, 1}}}, {Name: "one", Points: []plot.Point{{1, 1}}}}))
	texts(t, plot.LogLog("", "x", "y", nil))
	texts(t, plot.Bars("", "x", nil, nil))
}
