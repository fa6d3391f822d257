package engine

import (
	"fmt"
	"strings"
)

// chain is a definition of n steps of every item, one after the other, that do nothing, and one that waits for all of
// them.
func chain(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nversion: 1\nsteps:\n", chainName(n))
	for i := range n {
		fmt.Fprintf(&b, "  - name: step-%d\n    scope: item\n    function: %s\n", i+1, stepFunction(i))
		if i > 0 {
			fmt.Fprintf(&b, "    needs: [step-%d]\n", i)
		}
		b.WriteString("    with: {distribution: distribution.id, item: item.id}\n    timeout: 1m\n")
	}
	fmt.Fprintf(&b, "  - name: join\n    scope: distribution\n    function: %s\n    needs: [step-%d]\n", joinFunction, n)
	b.WriteString("    with: {distribution: distribution.id}\n    timeout: 1m\n")
	return b.String()
}

func chainName(n int) string { return fmt.Sprintf("load-chain-%d", n) }

// stepFunction is the name of the function of the i-th step from 0 on.
func stepFunction(i int) string { return fmt.Sprintf("load.Step%d", i+1) }

const joinFunction = "load.Join"
