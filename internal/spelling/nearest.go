// Package spelling finds what somebody meant who mistyped a name.
package spelling

import (
	"fmt"
	"slices"
	"strconv"
)

// Unknown is the error for a name that nothing bears, with the nearest one that exists; what says of what kind it is: "key".
func Unknown(what, name string, known []string) error {
	if near := Nearest(name, known); near != "" {
		return fmt.Errorf("unknown %s %s; did you mean %s?", what, strconv.Quote(name), near)
	}
	return fmt.Errorf("unknown %s %s", what, strconv.Quote(name))
}

// Nearest is the candidate with the least edit distance to name, or "" when none is near enough to be a slip of the
// hand: at most a third of the name may differ, and two characters always may.
func Nearest(name string, candidates []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		if d := editDistance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// editDistance is Levenshtein's: the insertions, deletions and substitutions of single bytes between a and b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, cost)
		}
	}
	return row[len(b)]
}
