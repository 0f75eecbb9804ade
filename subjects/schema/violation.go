package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/tidingsmesh/tidings/subjects"
)

// maxDetail limits the detail of a violation, in bytes.
const maxDetail = 256

// english words what a schema asked for. It is safe for concurrent use.
var english = message.NewPrinter(language.English)

// violation is the error for data that breaks its schema at place, a JSON pointer.
func violation(eventType, place, problem string) error {
	detail := cut(eventType, maxDetail/2) + ": at data" + place + ": " + problem
	return &subjects.InvalidEventError{Reason: subjects.ReasonSchema, Detail: cut(detail, maxDetail)}
}

// leaf is one violated keyword.
type leaf struct{ place, problem string }

// firstViolation is the violation to show of all in tree, and how many there
// are. Validation visits objects in random order; the choice does not depend on it.
func firstViolation(tree *jsonschema.ValidationError) (leaf, int) {
	leaves := appendLeaves(nil, tree)
	first := slices.MinFunc(leaves, func(a, b leaf) int {
		return cmp.Or(strings.Compare(a.place, b.place), strings.Compare(a.problem, b.problem))
	})
	return first, len(leaves)
}

// appendLeaves collects the violations that have no further cause.
func appendLeaves(dst []leaf, err *jsonschema.ValidationError) []leaf {
	if len(err.Causes) == 0 {
		return append(dst, leaf{place: pointer(err.InstanceLocation), problem: describe(err.ErrorKind)})
	}
	for _, cause := range err.Causes {
		dst = appendLeaves(dst, cause)
	}
	return dst
}

func describe(violated jsonschema.ErrorKind) string {
	switch k := violated.(type) {
	case *kind.Required:
		slices.Sort(k.Missing)
	case *kind.AdditionalProperties:
		slices.Sort(k.Properties)
	case *kind.Format:
		return fmt.Sprintf("%.32q is no %s", fmt.Sprint(k.Got), k.Want)
	}
	return violated.LocalizedString(english)
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointer is a JSON pointer (RFC 6901).
func pointer(path []string) string {
	var b strings.Builder
	for _, token := range path {
		b.WriteByte('/')
		b.WriteString(pointerEscapes.Replace(token))
	}
	return b.String()
}

// cut shortens s to at most limit bytes, but not inside a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const ellipsis = "…"
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}
