package mark

// Tone is how a shape is filled.
type Tone struct {
	Color   [3]uint8 // sRGB
	Opacity int      // percent
}

// MaxTones is the largest number of a mark's tones.
const MaxTones = 4

// The default look: grey that shows on light grounds and lets text through, and beneath it, a little aside, white that
// shows on dark and on middling ones. Neither alone is seen everywhere. Where the mark must be strong, the grey is darker:
// with black text on any grey ground, one of the levels is seen and leaves the text its contrast.
var (
	grey  = [3]uint8{102, 102, 102}
	dark  = [3]uint8{51, 51, 51}
	white = [3]uint8{255, 255, 255}

	greys = [...][3]uint8{grey, dark, {}} // by level
)

// The tones of a mark: of large text and what lies beneath it, then of small text, which needs more.
const (
	toneLight = iota
	toneVeil
	toneHalo
	toneInk
)

const (
	veilOpacity = 24
	inkOpacity  = 75

	// What a higher level may make of an opacity, so that text beneath stays legible.
	strongestVeil = 40
	strongestInk  = 95

	strongLight = 11
)

// Tones are what the mark's uses on pages of a level refer to, by index. Each level has as many.
func (m *Mark) Tones(level int) []Tone {
	color, beneath := m.look.color, white
	if pale(color) {
		beneath = dark
	}
	if color == grey {
		color = greys[max(0, min(level, len(greys)-1))]
	}
	veil, ink := veilOpacity, inkOpacity
	switch {
	case m.look.opacity == 0:
	case m.look.layout == Diagonal || m.look.layout == Tiled:
		veil, ink = m.look.opacity, max(ink, m.look.opacity)
	default:
		veil, ink = m.look.opacity, m.look.opacity
	}
	veil, ink = stronger(veil, level, strongestVeil), stronger(ink, level, strongestInk)
	light := under(veil)
	if level > 0 && veil < 100 { // what strengthens the mark and leaves text legible is the veil alone
		light = strongLight
	}
	return []Tone{toneLight: {beneath, light}, toneVeil: {color, veil}, toneHalo: {beneath, under(ink)}, toneInk: {color, ink}}
}

// stronger is an opacity at a level, at most limit if it was not more before.
func stronger(opacity, level, limit int) int {
	switch {
	case level <= 0:
		return opacity
	case level == 1:
		return max(opacity, min(limit, opacity*16/10))
	}
	return max(opacity, min(limit, opacity*24/10))
}

// under is the opacity of what lies beneath a tone. All of an opaque mark is opaque.
func under(opacity int) int {
	if opacity == 100 {
		return 100
	}
	return max(1, opacity*3/4)
}

// pale reports whether a colour hardly shows on white.
func pale(c [3]uint8) bool {
	return 299*int(c[0])+587*int(c[1])+114*int(c[2]) > 160*1000
}
