// Package pdf has the objects that PDF files are made of, and how they are written (ISO 32000-2, 7.3). It reads no files.
//
// What is written is a function of what is given: dictionaries in the order of their keys.
package pdf

import (
	"math"
	"slices"
	"strconv"
	"strings"
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

	objects []Object
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

// Writer writes objects as they stand in a file. Number gives the object number of a reference.
type Writer struct {
	Number func(Ref) int
}

// Append writes o.
func (w Writer) Append(dst []byte, o Object) []byte {
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
		return appendString(dst, o)
	case Array:
		dst = append(dst, '[')
		for i, e := range o {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = w.Append(dst, e)
		}
		return append(dst, ']')
	case Dict:
		dst = append(dst, "<<"...)
		dst = w.AppendEntries(dst, o)
		return append(dst, ">>"...)
	case Ref:
		dst = strconv.AppendInt(dst, int64(w.Number(o)), 10)
		return append(dst, " 0 R"...)
	}
	return append(dst, "null"...)
}

// AppendEntries writes the entries of d, in the order of their keys, without delimiters; none without a key.
func (w Writer) AppendEntries(dst []byte, d Dict) []byte {
	keys := make([]Name, 0, len(d))
	for k, v := range d {
		if v != nil && k != "" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		dst = appendName(dst, k)
		dst = append(dst, ' ')
		dst = w.Append(dst, d[k])
	}
	return dst
}

// largest is beyond every number that means something in a document, and within what readers take for a whole one.
const largest = 1e15

func appendReal(dst []byte, v float64) []byte {
	if math.IsNaN(v) {
		return append(dst, '0')
	}
	v = max(-largest, min(largest, v))
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
		if c <= ' ' || c > '~' || c == '#' || strings.IndexByte("()<>[]{}/%", c) >= 0 {
			dst = append(dst, '#', hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

func appendString(dst []byte, s []byte) []byte {
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
