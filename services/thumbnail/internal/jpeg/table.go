package jpeg

import (
	"cmp"
	"slices"
)

// table is a Huffman table (T.81, annex C).
type table struct {
	counts [256]int
	codes  [256]huffman
	// lengths is how many codes there are of each length, symbols what they stand for: as files have it.
	lengths [longest]byte
	symbols []byte
}

// huffman is one code.
type huffman struct {
	bits  uint32
	count uint
}

// longest code that the format has.
const longest = 16

// dcSymbols and acSymbols are all that can occur: pictures with a mark have what the picture without had not.
var dcSymbols, acSymbols = func() (dc, ac []byte) {
	for size := range byte(12) {
		dc = append(dc, size)
	}
	ac = append(ac, endOfBlock, sixteenZeros)
	for run := range byte(16) {
		for size := byte(1); size <= 10; size++ {
			ac = append(ac, run<<4|size)
		}
	}
	return dc, ac
}()

// build makes codes of what was counted.
func (t *table) build(symbols []byte) {
	// One more than there is: nobody uses it, and it takes the code of ones only, which the format forbids.
	weights := make([]int, len(symbols)+1)
	order := slices.Clone(symbols)
	slices.SortStableFunc(order, func(a, b byte) int { return cmp.Compare(t.counts[b], t.counts[a]) })
	for i, s := range order {
		weights[i] = 2*t.counts[s] + 2
	}
	weights[len(order)] = 1
	lengths := codeLengths(weights)
	for slices.Max(lengths) > longest {
		for i := range weights {
			weights[i] = weights[i]/2 + 1
		}
		weights[len(order)] = 1
		lengths = codeLengths(weights)
	}
	// The more frequent, the shorter; equal ones as they were, so that the one too many comes last.
	slices.Sort(lengths)
	t.symbols = order
	next, length := uint32(0), 0
	for i, s := range order {
		next <<= lengths[i] - length
		length = lengths[i]
		t.codes[s] = huffman{next, uint(length)}
		t.lengths[length-1]++
		next++
	}
}

// codeLengths are those of an optimal code for weights, by joining the two lightest until one is left.
func codeLengths(weights []int) []int {
	type node struct{ weight, parent int }
	nodes := make([]node, len(weights), 2*len(weights))
	open := make([]int, len(weights)) // indices of nodes without parent
	for i, w := range weights {
		nodes[i], open[i] = node{w, -1}, i
	}
	lightest := func() int {
		at := 0
		for i, n := range open {
			if nodes[n].weight < nodes[open[at]].weight {
				at = i
			}
		}
		n := open[at]
		open = slices.Delete(open, at, at+1)
		return n
	}
	for len(open) > 1 {
		a, b := lightest(), lightest()
		open = append(open, len(nodes))
		nodes[a].parent, nodes[b].parent = len(nodes), len(nodes)
		nodes = append(nodes, node{nodes[a].weight + nodes[b].weight, -1})
	}
	lengths := make([]int, len(weights))
	for i := range lengths {
		for at := nodes[i].parent; at >= 0; at = nodes[at].parent {
			lengths[i]++
		}
	}
	return lengths
}
