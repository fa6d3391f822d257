package mark

// Page is where a mark goes.
type Page struct {
	// Box is what is visible, in default user space units: x0 < x1, y0 < y1, none beyond 200,000.
	Box [4]float64
	// Rotate is how far the page is turned clockwise for display: 0, 90, 180 or 270.
	Rotate int
	// Unit is the size of a user space unit in 1/72 inch; 0 counts as 1.
	Unit float64
	// Level is how strong the mark must be to show here: 0 is normal, 1 stronger, 2 strongest.
	Level int
}

// Use is one shape on one page.
type Use struct {
	Shape int // index into Shapes
	Tone  int // index into Tones
	// Matrix takes ems of the shape to the page's default user space, in millionths: a b c d e f.
	Matrix [6]int64
}

const micro = 1_000_000

// On places the mark on page number, counted from 1, in the order in which its parts are painted. There are at most
// MaxUses.
func (m *Mark) On(p Page, number int) []Use {
	l := layer{frame: newFrame(p), mark: m, level: p.Level}
	if !m.look.large(number) {
		l.row()
		return l.uses
	}
	switch m.look.layout {
	case Tiled:
		l.tiles()
		l.row()
	case Header:
		l.header()
		l.row()
	case Footer:
		l.footer()
	case Corners:
		l.corners()
	default:
		l.diagonal()
		l.row()
	}
	return l.uses
}
