package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// textTable is rows of cells for a terminal; the first row is the head. The first column is aligned to the left, the others to the right.
type textTable [][]string

func (t textTable) write(w io.Writer) {
	if len(t) == 0 {
		return
	}
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t {
		var b strings.Builder
		fmt.Fprintf(&b, "  %-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			fmt.Fprintf(&b, "   %*s", widths[i+1], cell)
		}
		_, _ = fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}
