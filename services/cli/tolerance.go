package cli

import (
	"fmt"
	"strconv"
	"strings"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
)

// tolerance is how much may fail, on the command line: "3" items, or "5%" of them.
type tolerance struct {
	number  int32
	percent bool
	set     bool
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *tolerance) UnmarshalText(text []byte) error {
	count, percent := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseUint(count, 10, 31)
	if err != nil || percent && n > 100 {
		return fmt.Errorf("%q is no number of items: write 3, or 5%% for a share of them", text)
	}
	*v = tolerance{number: int32(n), percent: percent, set: true}
	return nil
}

// message is the policy's; nil where any number may fail.
func (v tolerance) message() *distributionv1.Tolerance {
	switch {
	case !v.set:
		return nil
	case v.percent:
		return &distributionv1.Tolerance{Percent: &v.number}
	}
	return &distributionv1.Tolerance{Items: &v.number}
}
