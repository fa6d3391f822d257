// Package source holds what all kinds of pictures have in common: their limits, what is reported of them, how they are
// refused, and how they are turned.
package source

import (
	"fmt"

	"github.com/filigreehq/filigree/pkg/mark"
)

// Limits bound what is read. The zero value allows nothing: take Default.
type Limits struct {
	// Pixels is the largest product of width and height, Side the largest of either. They are checked before anything is
	// decoded.
	Pixels, Side int
	// Memory is what a decoded picture may take, in bytes.
	Memory int64
}

// Default are the limits of the product. Memory leaves room for the rest of a child of 512 MiB.
func Default() Limits { return Limits{Pixels: 50_000_000, Side: 20_000, Memory: 320 << 20} }

// Check refuses a picture of width by height pixels that is too large.
func (l Limits) Check(width, height int) error {
	if width < 1 || height < 1 {
		return Broken("it says that it is %d by %d pixels", width, height)
	}
	if width > l.Side || height > l.Side || int64(width)*int64(height) > int64(l.Pixels) {
		return &Error{
			Reason: "IMAGE_TOO_LARGE",
			Message: fmt.Sprintf("the picture is %d by %d pixels, more than the %d a side and %d megapixels that are taken: make it smaller",
				width, height, l.Side, l.Pixels/1_000_000),
		}
	}
	return nil
}

// CheckMemory refuses a picture that needs more than is allowed to be decoded. remedy is what helps.
func (l Limits) CheckMemory(bytes int64, remedy string) error {
	if bytes > l.Memory {
		return &Error{
			Reason:  "IMAGE_TOO_LARGE",
			Message: fmt.Sprintf("the picture takes %d MiB to decode, more than the %d that are allowed: %s", bytes>>20, l.Memory>>20, remedy),
		}
	}
	return nil
}

// Error refuses a picture for good.
type Error struct {
	// Reason is one of IMAGE_TOO_LARGE, IMAGE_TOO_COMPLEX, IMAGE_BROKEN, IMAGE_UNSUPPORTED.
	Reason string
	// Message says what is wrong, for people.
	Message string
}

func (e *Error) Error() string { return e.Message }

// Broken refuses a picture that is damaged.
func Broken(format string, args ...any) error {
	return &Error{Reason: "IMAGE_BROKEN", Message: "the picture is damaged: " + fmt.Sprintf(format, args...) + "; save it anew"}
}

// Unsupported refuses a kind of picture that is not taken.
func Unsupported(format string, args ...any) error {
	return &Error{Reason: "IMAGE_UNSUPPORTED", Message: fmt.Sprintf(format, args...)}
}

// Report is what is known of a picture.
type Report struct {
	// MediaType is image/png or image/jpeg.
	MediaType string
	// Width and Height are in pixels, as the picture is looked at.
	Width, Height int
	// Orientation is how the stored pixels are turned to be looked at.
	Orientation Orientation
	// Notes say what copies lack that the source has.
	Notes []string
}

// Page is the picture as a page that a mark is put on.
func (r Report) Page() mark.Page { return Page(r.Width, r.Height) }

// Page is a picture of width by height pixels, as it is looked at, as a page that a mark is put on: its box is the
// pixels, y upwards, and its longer side is taken to be eleven inches, as that of a sheet of paper, since what pictures
// say of their size in inches is seldom true.
func Page(width, height int) mark.Page {
	const longSide = 11 * 72
	return mark.Page{Box: [4]float64{0, 0, float64(width), float64(height)}, Unit: longSide / float64(max(width, height, 1))}
}
