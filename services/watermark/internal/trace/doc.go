// Package trace finds out whose copy a PDF is, by the ids that package hidden describes.
//
// A suspect is a stranger's file. It is opened in a sandboxed child, which gets no key: what it hands back are shapes
// and sealed bytes, and only what is made of those here, with the key ring, is worth anything. An id that verifies was
// in a copy of ours; that it is where it is now says that whoever brought it there had that copy.
package trace
