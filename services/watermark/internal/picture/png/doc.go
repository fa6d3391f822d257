// Package png makes marked copies of PNG pictures without decoding and compressing them as a whole.
//
// Compile reads a source once and writes its pixels as bands of rows, each band compressed by itself, so that it can be
// replaced without the others: the first row of a band refers to no row before, and the compressor's window begins anew.
// A copy takes all bands as they are that the mark does not touch; the others are taken apart, marked, and compressed
// again, with the row filters found before.
//
// All kinds of PNG are read, interlaced ones, too. Palettes and fewer than 8 bits become grey or RGB of 8 bits, since a
// mark has more colours than they can have; 16 bits stay 16 bits; what is transparent stays so except under the mark.
// Kept are the chunks that say what colours and sizes mean; of the others nothing.
//
// The compressor is that of a pinned module, not compress/flate, whose results change from one release of Go to the next
// and copies must not.
package png
