// Package bytesize is numbers of bytes as people write them.
package bytesize

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written with a binary unit: 512B, 16KiB, 1GiB. A bare number is bytes.
type Size int64

// Binary units of a Size.
const (
	Byte     Size = 1
	Kibibyte      = 1024 * Byte
	Mebibyte      = 1024 * Kibibyte
	Gibibyte      = 1024 * Mebibyte
	Tebibyte      = 1024 * Gibibyte
)

// sizeUnits is ordered so that no suffix hides a longer one, and for String from the largest.
var sizeUnits = []struct {
	suffix string
	unit   Size
}{{"TiB", Tebibyte}, {"GiB", Gibibyte}, {"MiB", Mebibyte}, {"KiB", Kibibyte}, {"B", Byte}}

// UnmarshalText parses a size; fractions, signs and decimal units (kB, MB) are refused.
func (s *Size) UnmarshalText(text []byte) error {
	digits, unit := string(text), Byte
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, unit = rest, u.unit
			break
		}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 63)
	if err != nil {
		return fmt.Errorf("%q is no size; write 512B, 16KiB, 1MiB or 1GiB", text)
	}
	if n > uint64(math.MaxInt64/unit) { //nolint:gosec // unit is one of five positive constants
		return fmt.Errorf("%q is too large a size", text)
	}
	*s = Size(n) * unit
	return nil
}

// String is the shortest exact form.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.unit == 0 {
			return strconv.FormatInt(int64(s/u.unit), 10) + u.suffix
		}
	}
	return "0B"
}
