package trace

import (
	"bytes"
	"context"
)

// Pack is pack.
func Pack(points [][2]float64) Points { return pack(points) }

// Look is what the child does.
func Look(pdf []byte, limits Limits) (Findings, error) {
	return look(context.Background(), bytes.NewReader(pdf), limits)
}

// Numbers reads content and returns what operators and numbers it has, for tests of the lexer.
func Numbers(content string) (ops []string, numbers [][]float64) {
	l := lexer{in: []byte(content)}
	for op := l.next(); op != nil; op = l.next() {
		ops = append(ops, string(op))
		numbers = append(numbers, append([]float64(nil), l.numbers...))
		if string(op) == "BI" {
			l.skipImage()
		}
	}
	return ops, numbers
}
