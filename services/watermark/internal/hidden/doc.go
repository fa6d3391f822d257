// Package hidden is the id that every copy carries out of sight, as geometry and as sealed metadata: how it is written
// and how it is read back. It is pure: what is written is integers, the same everywhere; what is read is floats, since
// a suspect's coordinates have been through other programs.
//
// # The id
//
// An id is 13 bytes: the number of the key modulo 256, a number of 48 bits (the first 12 hex digits of the artifact's
// id), and a MAC of 48 bits over both. Thirteen parity bytes follow (Reed-Solomon over GF(256), polynomial 0x11d,
// roots α^0 … α^12). The 26 symbols are a codeword: up to six wrong symbols are put right, or up to 13 that are known
// to be missing, or a wrong one for two missing ones.
//
// Whoever lacks the key cannot make an id that verifies: nobody can be framed. Whoever has a copy can repeat its id, or
// take it out; that is no secret, and none of it is hidden from somebody who reads this.
//
// # Where it is
//
//   - A strip is a polyline of 30 vertices that goes up and down, woven into a page's content. Vertices 0, 1, 28 and 29
//     are where they always are; each of the others is moved by its symbol's high half in x and its low half in y.
//   - A ribbon is a thin closed polygon of 30 vertices, under the text of the large mark and in the same space. Its four
//     corners are fixed; each other vertex is moved by the upper five bits of its symbol along, and by the lower
//     three across.
//   - A lattice: the origin of each glyph of the large mark is moved by at most 16 thousandths of an em, so that the
//     place of the first point of its outline, modulo 32 in each direction, is twice the half of a symbol. It is read in
//     the space that the ribbon gives.
//   - Sealed metadata names the recipient, encrypted and authenticated.
//
// A strip is read under any similarity or affine map; ribbon and lattice under any similarity: turned, scaled, mirrored.
package hidden
