// Package jpeg makes marked copies of JPEG pictures without decoding and encoding them as a whole.
//
// Compile reads a source once and keeps its quantised coefficients, as they are, in one baseline scan with the best
// Huffman tables for it. A copy takes from that scan, bit by bit, all that the mark does not touch, and encodes anew the
// few blocks that it does, with the source's own quantisation and subsampling. So a copy costs little more than copying
// its bytes, what lies beside the mark is exactly what it was in the source, and no colour is ever converted.
//
// Baseline, extended (8 bits) and progressive pictures are read, in grey, YCbCr, RGB, CMYK and YCCK. Those with
// arithmetic coding, 12 bits, lossless or hierarchical coding are refused.
//
// No code of the standard library's image/jpeg is used, since its results change from one release of Go to the next and
// copies must not.
package jpeg
