package trace

import (
	"encoding/binary"
	"math"
)

// Points are places on a page, as they travel from the sandbox: single precision, eight bytes each, little-endian. That
// is finer than any program writes coordinates.
type Points []byte

const pointSize = 8

func pack(points [][2]float64) Points {
	out := make(Points, 0, pointSize*len(points))
	for _, p := range points {
		out.add(p)
	}
	return out
}

func (p *Points) add(v [2]float64) {
	*p = binary.LittleEndian.AppendUint32(*p, math.Float32bits(float32(v[0])))
	*p = binary.LittleEndian.AppendUint32(*p, math.Float32bits(float32(v[1])))
}

// Len is how many there are.
func (p Points) Len() int { return len(p) / pointSize }

// All returns them; those that are no numbers become 0, since whoever packed them is not trusted.
func (p Points) All() [][2]float64 {
	out := make([][2]float64, p.Len())
	for i := range out {
		for j := range out[i] {
			v := float64(math.Float32frombits(binary.LittleEndian.Uint32(p[pointSize*i+4*j:])))
			if math.Abs(v) < maxCoordinate {
				out[i][j] = v
			}
		}
	}
	return out
}
