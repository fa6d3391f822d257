// Package likeness holds what is to be true of two services together, as a test: a preview, and so a recipient's
// thumbnail, looks like the page of their copy. It has no code.
package likeness
