package samples

import (
	_ "embed"
	"math/rand/v2"
	"strings"
)

var (
	//go:embed stock/exchange.txt
	exchangeText string
	//go:embed stock/place.txt
	placeText string
	//go:embed stock/beat.txt
	beatText string
	//go:embed stock/spine.txt
	spineText string
)

// A block is the lines under one "==" or "@" line of a stock file, and that line itself.
type block struct {
	head  string
	lines []string
}

// blocks splits a stock file at the lines that begin with mark; "#" begins a remark.
func blocks(text, mark string) []block {
	var all []block
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, mark+" "):
			all = append(all, block{head: strings.TrimPrefix(line, mark+" ")})
		default:
			last := &all[len(all)-1]
			last.lines = append(last.lines, line)
		}
	}
	return all
}

// A bag gives its things back in random order, each once before any comes again.
type bag[T any] struct {
	all  []T
	left []T
	rng  *rand.Rand
}

func newBag[T any](rng *rand.Rand, all []T) *bag[T] { return &bag[T]{all: all, rng: rng} }

func (b *bag[T]) take() T {
	if len(b.left) == 0 {
		b.left = append(b.left, b.all...)
		b.rng.Shuffle(len(b.left), func(i, j int) { b.left[i], b.left[j] = b.left[j], b.left[i] })
	}
	last := len(b.left) - 1
	one := b.left[last]
	b.left = b.left[:last]
	return one
}

// choose replaces each {x|y|z} by one of its words; where the same choice stands again in text, by the same one.
func choose(rng *rand.Rand, text string) string {
	chosen := make(map[string]string)
	for {
		end := strings.IndexByte(text, '}')
		if end < 0 {
			return text
		}
		start := strings.LastIndexByte(text[:end], '{')
		choice := text[start+1 : end]
		_, ok := chosen[choice]
		if !ok {
			options := strings.Split(choice, "|")
			chosen[choice] = options[rng.IntN(len(options))]
		}
		text = text[:start] + chosen[choice] + text[end+1:]
	}
}
