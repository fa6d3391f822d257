// Package pdf is what a copy is written with: objects, their serialised form, encryption, and the repair of a page's
// content so that something can safely be drawn after it (ISO 32000-2). It reads no files.
//
// Everything written is a function of its input: dictionaries in the order of their keys, no clock, no randomness.
package pdf

import (
	"compress/zlib"
	"math"
	"slices"
	"strconv"
)

// Object is nil (null), bool, int64, float64, Name, String, Array, Dict, Ref or *Stream.
type Object any

// Name is a name, decoded: without its slash and number signs.
type Name string

// String is a string's bytes.
type String []byte

// Array is an array.
type Array []Object

// Dict is a dictionary. Entries that are nil are not written.
type Dict map[Name]Object

// Ref refers to an indirect object of the same Document by its number, from 1.
type Ref int

// Stream is a stream; Data is as it is to be stored, encoded by what Dict says. Its Length is written by itself.
type Stream struct {
	Dict Dict
	Data []byte
}

// Document is what a file is made of.
type Document struct {
	// Version is 1.7 or 2.0.
	Version string
	Root    Ref
	Info    Ref

	objects []Object
	deflate *zlib.Writer
}

// Add appends an indirect object, which may be set later, and returns the reference to it.
func (d *Document) Add(o Object) Ref {
	d.objects = append(d.objects, o)
	return Ref(len(d.objects))
}

// Set gives ref its object.
func (d *Document) Set(ref Ref, o Object) { d.objects[ref-1] = o }

// Get returns ref's object.
func (d *Document) Get(ref Ref) Object { return d.objects[ref-1] }

// Len is the number of indirect objects.
func (d *Document) Len() int { return len(d.objects) }

// sealer encrypts one string. A nil sealer leaves strings as they are.
type sealer func([]byte) []byte

// appendObject writes o.
func appendObject(dst []byte, o Object, seal sealer) []byte {
	switch o := o.(type) {
	case bool:
		return strconv.AppendBool(dst, o)
	case int64:
		return strconv.AppendInt(dst, o, 10)
	case float64:
		return appendReal(dst, o)
	case Name:
		return appendName(dst, o)
	case String:
		return appendString(dst, o, seal)
	case Array:
		dst = append(dst, '[')
		for i, e := range o {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = appendObject(dst, e, seal)
		}
		return append(dst, ']')
	case Dict:
		return appendDict(dst, o, seal)
	case Ref:
		dst = strconv.AppendInt(dst, int64(o), 10)
		return append(dst, " 0 R"...)
	}
	return append(dst, "null"...)
}

func appendDict(dst []byte, d Dict, seal sealer) []byte {
	keys := make([]Name, 0, len(d))
	for k, v := range d {
		if v != nil {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	dst = append(dst, "<<"...)
	for _, k := range keys {
		dst = appendName(dst, k)
		dst = append(dst, ' ')
		dst = appendObject(dst, d[k], seal)
	}
	return append(dst, ">>"...)
}

func appendReal(dst []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(dst, '0')
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

const hexDigits = "0123456789ABCDEF"

func appendName(dst []byte, n Name) []byte {
	dst = append(dst, '/')
	for i := range len(n) {
		c := n[i]
		if c == 0 {
			continue // a name cannot hold it
		}
		if c <= ' ' || c > '~' || c == '#' || kinds[c] == delimiter {
			dst = append(dst, '#', hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

func appendString(dst []byte, s []byte, seal sealer) []byte {
	if seal != nil {
		s = seal(s)
	}
	plain := true
	for _, c := range s {
		plain = plain && c >= ' ' && c <= '~'
	}
	if plain {
		dst = append(dst, '(')
		for _, c := range s {
			if c == '(' || c == ')' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
		return append(dst, ')')
	}
	dst = append(dst, '<')
	for _, c := range s {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, '>')
}
