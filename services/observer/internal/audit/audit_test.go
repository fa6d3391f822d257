package audit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/filigreehq/filigree/services/observer/internal/audit"
)

func chain(n int) []audit.Line {
	lines := make([]audit.Line, n)
	for i := range lines {
		lines[i] = audit.Line{Time: time.UnixMilli(int64(1_700_000_000_000 + i)).Add(123 * time.Microsecond), Production: "p", Subject: fmt.Sprint("tok_", i%3),
			Action: "copy.download", Object: fmt.Sprint("D.1.", i), Detail: "human"}
	}
	audit.Chain(0, audit.Start, lines)
	return lines
}

// Whatever is done to one line of a hundred, it is found, and where.
func TestEveryAlterationIsFound(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 22))
	found := 0
	const tries = 1000
	for range tries {
		lines := chain(100)
		i := r.IntN(99)
		at := lines[i].Number
		switch r.IntN(9) {
		case 0:
			lines[i].Subject += "x"
		case 1:
			lines[i].Object = "D.1.9999"
		case 2:
			lines[i].Time = lines[i].Time.Add(time.Millisecond)
		case 3: // a byte moves from one field to the next
			lines[i].Action, lines[i].Object = lines[i].Action[:4], lines[i].Action[4:]+lines[i].Object
		case 4:
			lines = slices.Delete(lines, i, i+1)
		case 5:
			lines = slices.Insert(lines, i, lines[i])
			at++
		case 6:
			lines[i], lines[i+1] = lines[i+1], lines[i]
		case 7:
			lines[i].Production = "q"
		case 8: // with a hash that fits it: the next does not follow
			lines[i].Detail = "machine"
			before := audit.Start
			if i > 0 {
				before = lines[i-1].Hash
			}
			lines[i].Hash = audit.Sum(before, lines[i])
			at++
		}
		if audit.Check(0, audit.Start, lines) == at {
			found++
		}
	}
	if found != tries {
		t.Errorf("%d of %d were found where they are", found, tries)
	}
}

func TestAWholeChain(t *testing.T) {
	t.Parallel()
	lines := chain(100)
	if n := audit.Check(0, audit.Start, lines); n != 0 {
		t.Errorf("line %d is said to be broken", n)
	}
	if n := audit.Check(50, lines[49].Hash, lines[50:]); n != 0 {
		t.Errorf("from the middle on line %d is said to be broken", n)
	}
	if n := audit.Check(49, lines[49].Hash, lines[50:]); n != 50 {
		t.Errorf("with one missing line %d is said to be broken, want 50", n)
	}
}
