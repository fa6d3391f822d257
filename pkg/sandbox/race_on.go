//go:build race

package sandbox

// inflation is how much more memory a program takes than its work needs: the race detector keeps a shadow of all of it.
const inflation = 12
