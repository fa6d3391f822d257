// Package template is the form in which a source is kept once it was read: everything that all of its copies share, cut
// where they differ. A copy is made from it by copying, without any parsing (package stamp).
//
// # Format, version 1
//
// A template is a sequence of bytes:
//
//	magic      8 bytes: "FGTPL\r\n" and the version, 1
//	length     of the directory, in bytes
//	directory  as below
//	data       the bytes of all pieces that are kept, in the order of the directory, without gaps
//	sum        32 bytes: SHA-256 of all bytes before it
//
// Numbers are unsigned, in base 128, seven bits a byte, the lowest first, the highest bit of a byte saying that another
// follows (as in protocol buffers). A text is its length and its bytes. A real is the 8 bytes of its IEEE 754 form, lowest
// first. The directory is, in this order:
//
//	version    text: of PDF, "1.7" or "2.0"
//	root       number of the catalogue's object
//	packed     how many objects are in object streams: they are the objects 1 to packed
//	per        how many of them share one object stream; the last may hold fewer
//	first      index, from 0, of the first object stream in the list of streams; the following ones are, too
//	prefix     text: how names begin that no resource of the source has
//	info       text: entries of the document information dictionary, in PDF syntax
//	entries    a piece: the cross-reference entries of the objects 0 to packed
//	pages      count of runs, and for each: count of consecutive pages alike, 4 reals of the visible box (x0, y0, x1, y1),
//	           quarter turns clockwise for display (0 to 3), a real: user space unit in 1/72 inch
//	notes      count, and so many texts
//	streams    count, and for each: its dictionary as text, in PDF syntax, without "<<", "/Length" and ">>"; count of pieces;
//	           the pieces
//
// A piece is its kind and what the kind needs:
//
//	0  kept: length of its bytes in the data
//	1  deflated: length of its bytes in the data; length of what they stand for; the Adler-32 of that. The bytes are blocks
//	   of RFC 1951 that refer to nothing before them, the last block is not final, and they end on a whole byte
//	2  strokes, 3 picture, 4 top: something a copy draws, as content of a page; number of the page, from 0
//
// A stream has either one piece of kind 0, which is its data, or pieces of the other kinds that together are one zlib
// stream (RFC 1950): two bytes of header, the pieces, each slot as a stored block, the last one final, and Adler-32.
//
// Object numbers: 1 to packed are in object streams, packed+1+i is stream i. Behind them come a copy's own objects, at
// fixed distances (see Own): whatever the copy's mark is, resources of pages can refer to its parts.
//
// Cross-reference entries have the widths 1, 5 and 2 (ISO 32000-2, 7.5.8).
package template

import (
	"fmt"

	"github.com/filigreehq/filigree/pkg/mark"
)

// Version is the format's.
const Version = 1

// Kind is what a piece is.
type Kind int

const (
	// Kept bytes are a stream's data as they are.
	Kept Kind = iota
	// Deflated bytes are part of a stream's data.
	Deflated
	// Strokes, Picture and Top are slots: content that each copy makes for itself.
	Strokes
	Picture
	Top
)

// Piece is part of a stream.
type Piece struct {
	Kind Kind
	// Bytes of a piece that is kept or deflated.
	Bytes []byte
	// Length is that of what deflated bytes stand for, and Adler its checksum.
	Length int64
	Adler  uint32
	// Page of a slot, from 0.
	Page int
}

// Stream is a stream object.
type Stream struct {
	// Dict is its dictionary without delimiters and without its length.
	Dict   []byte
	Pieces []Piece
}

// Woven reports whether the stream has slots.
func (s *Stream) Woven() bool { return len(s.Pieces) != 1 || s.Pieces[0].Kind != Kept }

// Run is a number of consecutive pages alike.
type Run struct {
	Count int
	Page  mark.Page
}

// Template is a source, ready to be copied. It is immutable once made, and safe for concurrent use.
type Template struct {
	// PDF is the version of PDF: "1.7" or "2.0".
	PDF string
	// Root is the object number of the catalogue.
	Root int
	// Packed objects, 1 to Packed, are in object streams, PerStream in each, the first of them Streams[First].
	Packed, PerStream, First int
	// Prefix begins the names of a copy's own resources.
	Prefix string
	// Info is what a copy's document information says besides, in PDF syntax without delimiters.
	Info []byte
	// Entries are the cross-reference entries of the objects 0 to Packed.
	Entries Piece
	Runs    []Run
	// Notes say what recipients of a copy lose or should know.
	Notes   []string
	Streams []Stream
	// Digest is the SHA-256 at the end of its bytes.
	Digest [32]byte
	// Size is how many bytes it takes.
	Size int64
}

// Pages is how many pages there are.
func (t *Template) Pages() int {
	n := 0
	for _, r := range t.Runs {
		n += r.Count
	}
	return n
}

// Limits of what a copy may add of its own.
const (
	// Forms is how many outlines a mark may have.
	Forms = mark.MaxShapes
	// Levels is how many strengths of a mark there are; Tones how many a mark has at each, and one for what is woven in.
	Levels = 3
	Tones  = mark.MaxTones + 1
)

// Own are the object numbers of what a copy adds.
type Own struct{ first int }

// Own returns the object numbers of what copies of t add.
func (t *Template) Own() Own { return Own{t.Packed + len(t.Streams) + 1} }

// OwnAfter returns those for a template of so many objects.
func OwnAfter(objects int) Own { return Own{objects + 1} }

// Form is the number of outline i.
func (o Own) Form(i int) int { return o.first + i }

// State is the number of the graphics state parameters of a tone at a level.
func (o Own) State(level, tone int) int { return o.first + Forms + level*Tones + tone }

// Info is the number of the document information dictionary.
func (o Own) Info() int { return o.first + Forms + Levels*Tones }

// Packed is the number of the object stream that holds the states and the information.
func (o Own) Packed() int { return o.Info() + 1 }

// Encrypt is the number of the encryption dictionary.
func (o Own) Encrypt() int { return o.Info() + 2 }

// Table is the number of the cross-reference stream, the last object.
func (o Own) Table() int { return o.Info() + 3 }

// FormName is the name of outline i in resources, without its slash.
func FormName(prefix string, i int) string { return fmt.Sprintf("%sF%d", prefix, i) }

// StateName is the name of the graphics state parameters of a tone at a level in resources, without its slash.
func StateName(prefix string, level, tone int) string {
	return fmt.Sprintf("%sG%d", prefix, level*Tones+tone)
}
