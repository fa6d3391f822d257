//go:build !race

package sandbox

// inflation is how much more memory a program takes than its work needs.
const inflation = 1
