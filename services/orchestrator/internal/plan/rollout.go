package plan

import (
	"fmt"
	"hash/fnv"
)

// Share is how many of a hundred new distributions take a version of their definition.
type Share struct {
	Version int `json:"version"`
	Percent int `json:"percent"`
}

// CheckShares returns nil if shares can be a rollout: none, or each of another version and a hundred together.
func CheckShares(shares []Share) error {
	sum := 0
	seen := map[int]bool{}
	for _, s := range shares {
		switch {
		case s.Version < 1 || s.Percent < 0 || s.Percent > 100:
			return fmt.Errorf("version %d cannot have %d percent", s.Version, s.Percent)
		case seen[s.Version]:
			return fmt.Errorf("version %d is there twice", s.Version)
		}
		seen[s.Version] = true
		sum += s.Percent
	}
	if len(shares) > 0 && sum != 100 {
		return fmt.Errorf("the shares add up to %d percent, not 100", sum)
	}
	return nil
}

// Choose is the version that the distribution with this id takes: always the same of the same shares. shares are not
// empty and as CheckShares wants them.
func Choose(shares []Share, id string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails (hash.Hash)
	sum := h.Sum64()
	// The low bits of FNV hardly mix what differs in the last letters, and ids made at once differ there.
	sum ^= sum >> 32
	place := int(sum * 0x9E3779B97F4A7C15 >> 32 % 100)
	for _, s := range shares {
		if place < s.Percent {
			return s.Version
		}
		place -= s.Percent
	}
	return shares[len(shares)-1].Version
}
