// Package figures measures what copies cost, beside pdfcpu's API and qpdf, each in a process of its own and in turn with
// ours. It has nothing but a test, which prints a table: make bench.
package figures
