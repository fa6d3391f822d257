package cli

import (
	"errors"

	"github.com/filigreehq/filigree/pkg/mark"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// styleFlags say what a mark looks like.
type styleFlags struct {
	Layout  string `placeholder:"WHERE" help:"Where the mark stands: diagonal (default), tiled, header, footer or corners."`
	Color   string `placeholder:"#RRGGBB" help:"The mark's colour. Default: a grey that shows on every ground."`
	Opacity int    `placeholder:"PERCENT" help:"How much of the page the mark covers where it is, 1 to 100. Default: the layout's own."`
	Size    int    `placeholder:"POINTS" help:"Height of the mark's letters. Default: fitted to the page."`
	Pages   string `placeholder:"LIST" help:"Pages that carry the large mark, such as 1-3,7,10-. Default: all; the small ones are on every page."`
}

// style is the style that the flags name, or what is wrong with it.
func (f styleFlags) style() (mark.Style, error) {
	s := mark.Style{Layout: mark.Layout(f.Layout), Color: f.Color, Opacity: f.Opacity, Size: f.Size, Pages: f.Pages}
	err := s.Validate()
	var bad *mark.Error
	if errors.As(err, &bad) {
		return s, refuse(bad.Reason, "%s", bad.Message)
	}
	return s, err
}

// message is the style as it is asked for; nil is the look there is.
func (f styleFlags) message() *distributionv1.MarkStyle {
	if (f == styleFlags{}) {
		return nil
	}
	return &distributionv1.MarkStyle{Layout: f.Layout, Color: f.Color, Opacity: int32(f.Opacity), Size: int32(f.Size), Pages: f.Pages}
}
