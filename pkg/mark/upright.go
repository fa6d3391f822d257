package mark

// Upright is a page as it is looked at: its lower left corner is the origin, lengths are in millionths of a point (1/72
// inch), whatever the page's rotation and unit are.
type Upright struct {
	Width, Height int64
	frame         frame
}

// Upright returns p as it is looked at.
func (p Page) Upright() Upright {
	f := newFrame(p)
	return Upright{Width: f.w, Height: f.h, frame: f}
}

// Matrix is the one, in millionths, that turns and scales its input by (a, b), in millionths of a point, and puts its
// origin at (x, y), in terms of the page's own default user space.
func (u Upright) Matrix(a, b, x, y int64) [6]int64 { return u.frame.matrix(a, b, x, y) }

// Covers reports whether the page of that number, counted from 1, carries the large mark. All pages of a document that
// look alike and answer alike here have the same uses.
func (m *Mark) Covers(number int) bool { return m.look.large(number) }
