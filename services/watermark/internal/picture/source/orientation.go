package source

import "encoding/binary"

// Orientation is how stored pixels are turned to be looked at, as EXIF numbers it: 1 is as they are; the others are
// mirrored, turned, or both. The zero value counts as 1.
type Orientation uint8

// Turned reports whether width and height change places.
func (o Orientation) Turned() bool { return o >= 5 && o <= 8 }

// Plain reports whether pixels are looked at as they are stored.
func (o Orientation) Plain() bool { return o < 2 || o > 8 }

// Stored takes a point of the picture as it is looked at, width by height in size, to where it is stored; y goes down.
func (o Orientation) Stored(x, y, width, height int64) (int64, int64) {
	switch o {
	case 2:
		return width - x, y
	case 3:
		return width - x, height - y
	case 4:
		return x, height - y
	case 5:
		return y, x
	case 6:
		return y, width - x
	case 7:
		return height - y, width - x
	case 8:
		return height - y, x
	}
	return x, y
}

const (
	orientationTag = 0x0112
	shortType      = 3
	entrySize      = 12
)

// ReadOrientation finds the orientation in EXIF data, which starts with a TIFF header; 1 if there is none.
func ReadOrientation(exif []byte) Orientation {
	if len(exif) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(exif[:4]) {
	case "II*\x00":
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := int64(order.Uint32(exif[4:]))
	if at < 8 || at+2 > int64(len(exif)) {
		return 1
	}
	entries := exif[at+2:]
	for range order.Uint16(exif[at:]) {
		if len(entries) < entrySize {
			return 1
		}
		if order.Uint16(entries) == orientationTag && order.Uint16(entries[2:]) == shortType {
			o := order.Uint16(entries[8:])
			if o >= 1 && o <= 8 {
				return Orientation(o)
			}
			return 1
		}
		entries = entries[entrySize:]
	}
	return 1
}

// EXIF is data that says o and nothing else.
func (o Orientation) EXIF() []byte {
	e := []byte("II*\x00\x08\x00\x00\x00")     // header; the directory follows
	e = binary.LittleEndian.AppendUint16(e, 1) // entries
	e = binary.LittleEndian.AppendUint16(e, orientationTag)
	e = binary.LittleEndian.AppendUint16(e, shortType)
	e = binary.LittleEndian.AppendUint32(e, 1) // values
	e = binary.LittleEndian.AppendUint32(e, uint32(o))
	return binary.LittleEndian.AppendUint32(e, 0) // no further directory
}
