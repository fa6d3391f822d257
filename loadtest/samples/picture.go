package samples

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
)

type rgb [3]float64

// A sky is the recipe of one picture: a harbour town under some weather. Amounts go from 0 to 1.
type sky struct {
	top, low, sea rgb
	sun           float64 // how far down the sky it stands; 0: none
	town          float64 // how high the hill is
	lit           float64 // how many windows are
	fog, rain     float64
	ships, row    int // masthead lights at sea; lamps on the breakwater
}

// A canvas adds light up before it is turned into pixels.
type canvas struct {
	w, h int
	px   []rgb
}

func (c *canvas) mix(x, y int, to rgb, by float64) {
	if x < 0 || y < 0 || x >= c.w || y >= c.h {
		return
	}
	p := &c.px[y*c.w+x]
	for i := range p {
		p[i] += (to[i] - p[i]) * by
	}
}

// glow adds a soft light around a point.
func (c *canvas) glow(x, y, radius float64, light rgb, strength float64) {
	for py := int(y - radius); py <= int(y+radius); py++ {
		for px := int(x - radius); px <= int(x+radius); px++ {
			d := math.Hypot(float64(px)-x, float64(py)-y) / radius
			if d < 1 && px >= 0 && py >= 0 && px < c.w && py < c.h {
				p := &c.px[py*c.w+px]
				for i := range p {
					p[i] += light[i] * strength * (1 - d) * (1 - d)
				}
			}
		}
	}
}

var flame = rgb{255, 186, 92}

// paint draws the picture; grain is the noise of the film, in steps of 255.
func (s sky) paint(w, h int, seed uint64, grain float64) image.Image {
	rng := rand.New(rand.NewPCG(seed, 61))
	c := &canvas{w: w, h: h, px: make([]rgb, w*h)}
	horizon := h * 58 / 100
	s.air(c, rng, horizon)
	s.hill(c, rng, horizon)
	s.water(c, rng, horizon)
	unit := float64(w) / 100
	for i := range s.row {
		t := float64(i) / float64(s.row)
		x, y := unit*(8+66*t), float64(horizon)+unit*(16-13*t)
		size := 1.6 - t
		for dy := 0.0; dy < unit*3*size; dy++ {
			c.mix(int(x), int(y+dy), rgb{10, 10, 14}, 0.9)
		}
		c.glow(x, y, unit*3*size, flame, 0.5)
		c.glow(x, y, unit*0.6*size, flame, 2)
	}
	for range s.ships {
		x, y := unit*(75+22*rng.Float64()), float64(horizon)-unit*(0.5+2*rng.Float64())
		for dx := -unit * 2; dx < unit*2; dx++ {
			for dy := 0.0; dy < unit*0.7-math.Abs(dx)*0.12; dy++ {
				c.mix(int(x+dx), horizon+int(dy-unit*0.4), rgb{8, 8, 12}, 0.85)
			}
		}
		c.glow(x, y, unit*1.4, rgb{255, 50, 40}, 0.9)
	}
	s.weather(c, rng)
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for i, p := range c.px {
		noise := grain * (rng.Float64() - 0.5)
		out.SetRGBA(i%w, i/w, color.RGBA{level(p[0] + noise), level(p[1] + noise), level(p[2] + noise), 255})
	}
	return out
}

func (s sky) air(c *canvas, rng *rand.Rand, horizon int) {
	clouds := waves(rng, 7)
	for y := range c.h {
		t := math.Min(1, float64(y)/float64(horizon))
		for x := range c.w {
			u := float64(x) / float64(c.w)
			cloud := clouds(u*1.5, t*4) * 0.12 * (1 - t)
			for i := range 3 {
				c.px[y*c.w+x][i] = s.top[i] + (s.low[i]-s.top[i])*t*t + cloud*110
			}
		}
	}
	if s.sun > 0 {
		x, y, r := float64(c.w)*0.68, float64(horizon)*s.sun*1.4, float64(c.w)
		c.glow(x, y, r*0.34, rgb{255, 190, 120}, 0.45)
		c.glow(x, y, r*0.035, rgb{255, 240, 210}, 2.5)
	}
}

// hill draws the town: roofs in three rows, the nearer the darker, and lamps in some of them.
func (s sky) hill(c *canvas, rng *rand.Rand, horizon int) {
	unit := float64(c.w) / 100
	for layer := range 3 {
		far := 1 - float64(layer)/3
		for x := -unit * 4; x < unit*72; {
			wide := unit * (1.8 + 2.4*rng.Float64())
			slope := math.Max(0, 1-math.Abs(x/unit-22)/52)
			roof := float64(horizon) - unit*s.town*slope*(34*far+4) - unit*3*rng.Float64()
			tone := rgb{}
			for i := range 3 {
				tone[i] = s.low[i]*0.30*far + s.top[i]*0.22 + 4
			}
			for px := x; px < x+wide; px++ {
				gable := math.Abs(px-x-wide/2) * 0.8
				for y := roof + gable; y < float64(horizon); y++ {
					c.mix(int(px), int(y), tone, 1)
				}
			}
			for range 3 {
				if rng.Float64() < s.lit {
					wx, wy := x+wide*rng.Float64(), roof+unit*(1.5+4*rng.Float64())
					if wy < float64(horizon) {
						c.glow(wx, wy, unit*0.9, flame, 0.55)
						c.glow(wx, wy, unit*0.25, flame, 1.6)
					}
				}
			}
			x += wide * 0.92
		}
	}
}

// water mirrors what is above the horizon, broken by ripples.
func (s sky) water(c *canvas, rng *rand.Rand, horizon int) {
	ripple := waves(rng, 9)
	for y := horizon; y < c.h; y++ {
		depth := float64(y-horizon) / float64(c.h-horizon)
		for x := range c.w {
			u := float64(x) / float64(c.w)
			r := ripple(u*(9-6*depth), 26*math.Sqrt(depth))
			sx := min(c.w-1, max(0, x+int(r*float64(c.w)*0.012*(0.2+depth))))
			sy := min(horizon-1, max(0, 2*horizon-y+int(r*20*depth)))
			above := c.px[sy*c.w+sx]
			keep := 0.62 - 0.42*depth
			for i := range 3 {
				c.px[y*c.w+x][i] = s.sea[i]*(1-keep) + above[i]*keep + r*10*(0.3+depth)
			}
		}
	}
}

func (s sky) weather(c *canvas, rng *rand.Rand) {
	if s.fog > 0 {
		bank := waves(rng, 6)
		for y := range c.h {
			t := float64(y) / float64(c.h)
			for x := range c.w {
				d := s.fog * (0.35 + 0.65*math.Exp(-math.Pow((t-0.55)*4, 2))) * (0.8 + 0.3*bank(2*float64(x)/float64(c.w), 3*t))
				c.mix(x, y, s.low, math.Min(1, math.Max(0, d)))
			}
		}
	}
	for range int(s.rain * float64(c.w) * 1.6) {
		x, y, long := rng.Float64()*float64(c.w)*1.2, rng.Float64()*float64(c.h), float64(c.h)*(0.02+0.05*rng.Float64())
		for d := 0.0; d < long; d++ {
			c.mix(int(x-d*0.25), int(y+d), rgb{170, 184, 196}, 0.16)
		}
	}
}

// waves returns a smooth random surface with values around -1 to 1.
func waves(rng *rand.Rand, n int) func(u, v float64) float64 {
	type wave struct{ a, b, phase, size float64 }
	all := make([]wave, n)
	for i := range all {
		f := 1.5 * math.Pow(1.55, float64(i))
		angle := rng.Float64() * 2 * math.Pi
		all[i] = wave{f * math.Cos(angle), f * math.Sin(angle), rng.Float64(), 1 / math.Pow(1.35, float64(i))}
	}
	// Looked up, since it is asked for some hundred million times.
	const steps = 1 << 12
	var sine [steps]float64
	for i := range sine {
		sine[i] = math.Sin(2 * math.Pi * float64(i) / steps)
	}
	return func(u, v float64) float64 {
		sum := 0.0
		for _, w := range all {
			sum += w.size * sine[int(steps*(w.a*u+w.b*v+w.phase))&(steps-1)]
		}
		return sum / 2
	}
}

func level(v float64) uint8 { return uint8(min(255, max(0, v))) }
