package jpeg

// The cosines of T.81, A.3.3: c[k] is cos(k*pi/16) in 1/8192, halved; c[0] is 1/sqrt(8).
const (
	fixed = 13
	c1    = 4017
	c2    = 3784
	c3    = 3406
	c4    = 2896
	c5    = 2276
	c6    = 1567
	c7    = 799
)

// between is how many bits finer than whole numbers the values between the two passes are.
const between = 3

// inverse turns dequantised coefficients into samples around 0, in place.
func inverse(b *[blockSize]int32) {
	for i := 0; i < blockSize; i += 8 {
		inverse8(b[i:i+8], 1, fixed-between)
	}
	for i := range 8 {
		inverse8(b[i:], 8, fixed+between)
	}
}

func inverse8(b []int32, step, shift int) {
	b = b[: 7*step+1 : 7*step+1]
	v0, v1, v2, v3 := b[0], b[step], b[2*step], b[3*step]
	v4, v5, v6, v7 := b[4*step], b[5*step], b[6*step], b[7*step]
	half := int32(1) << (shift - 1)
	// Even ones are alike on both sides, odd ones opposite.
	a, d := c4*(v0+v4)+half, c4*(v0-v4)+half
	e, f := c2*v2+c6*v6, c6*v2-c2*v6
	e0, e1, e2, e3 := a+e, d+f, d-f, a-e
	o0 := c1*v1 + c3*v3 + c5*v5 + c7*v7
	o1 := c3*v1 - c7*v3 - c1*v5 - c5*v7
	o2 := c5*v1 - c1*v3 + c7*v5 + c3*v7
	o3 := c7*v1 - c5*v3 + c3*v5 - c1*v7
	b[0], b[7*step] = (e0+o0)>>shift, (e0-o0)>>shift
	b[step], b[6*step] = (e1+o1)>>shift, (e1-o1)>>shift
	b[2*step], b[5*step] = (e2+o2)>>shift, (e2-o2)>>shift
	b[3*step], b[4*step] = (e3+o3)>>shift, (e3-o3)>>shift
}

// forward turns samples around 0 into coefficients, eight times as large, in place.
func forward(b *[blockSize]int32) {
	for i := 0; i < blockSize; i += 8 {
		forward8(b[i:i+8], 1, fixed-between)
	}
	for i := range 8 {
		forward8(b[i:], 8, fixed)
	}
}

func forward8(b []int32, step, shift int) {
	b = b[: 7*step+1 : 7*step+1]
	s0, d0 := b[0]+b[7*step], b[0]-b[7*step]
	s1, d1 := b[step]+b[6*step], b[step]-b[6*step]
	s2, d2 := b[2*step]+b[5*step], b[2*step]-b[5*step]
	s3, d3 := b[3*step]+b[4*step], b[3*step]-b[4*step]
	half := int32(1) << (shift - 1)
	b[0] = (c4*(s0+s1+s2+s3) + half) >> shift
	b[4*step] = (c4*(s0-s1-s2+s3) + half) >> shift
	b[2*step] = (c2*(s0-s3) + c6*(s1-s2) + half) >> shift
	b[6*step] = (c6*(s0-s3) - c2*(s1-s2) + half) >> shift
	b[step] = (c1*d0 + c3*d1 + c5*d2 + c7*d3 + half) >> shift
	b[3*step] = (c3*d0 - c7*d1 - c1*d2 - c5*d3 + half) >> shift
	b[5*step] = (c5*d0 - c1*d1 + c7*d2 + c3*d3 + half) >> shift
	b[7*step] = (c7*d0 - c5*d1 + c3*d2 - c1*d3 + half) >> shift
}
