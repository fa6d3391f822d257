package jpeg

// kind is what a picture's components mean.
type kind uint8

const (
	kindGrey kind = iota + 1
	kindYCC
	kindRGB
	kindCMYK // 255 is no ink, as Adobe's programs write it
	kindYCCK // of the ink of the three colours, whose 0 is none; 255 is no black
)

// kindOf tells it from the header and the application segments, as other readers do.
func kindOf(f *frame, jfif, adobe bool, transform byte) (k kind, ok bool) {
	switch len(f.components) {
	case 1:
		return kindGrey, true
	case 4:
		if !adobe {
			return 0, false
		}
		if transform == 0 {
			return kindCMYK, true
		}
		return kindYCCK, true
	}
	switch {
	case jfif:
		return kindYCC, true
	case adobe && transform == 0:
		return kindRGB, true
	case !adobe && f.components[0].id == 'R' && f.components[1].id == 'G' && f.components[2].id == 'B':
		return kindRGB, true
	}
	return kindYCC, true
}

func (k kind) components() int {
	switch k {
	case kindGrey:
		return 1
	case kindYCC, kindRGB:
		return 3
	}
	return 4
}

// convert turns red, green and blue, multiplied by an opacity, into a value of each component, multiplied likewise.
func (k kind) convert(r, g, b, a int) [maxComponents]int {
	switch k {
	case kindGrey:
		return [maxComponents]int{luma(r, g, b)}
	case kindRGB, kindCMYK:
		return [maxComponents]int{r, g, b, a}
	case kindYCCK:
		r, g, b = a-r, a-g, a-b
	}
	y := luma(r, g, b)
	// T.871, 7: the differences to blue and red, around 128.
	cb := (-11059*r - 21709*g + 32768*b + 128*65536*a/255 + 1<<15) >> 16
	cr := (32768*r - 27439*g - 5329*b + 128*65536*a/255 + 1<<15) >> 16
	return [maxComponents]int{y, min(255, max(0, cb)), min(255, max(0, cr)), a}
}

func luma(r, g, b int) int { return (19595*r + 38470*g + 7471*b + 1<<15) >> 16 }
