package spelling_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tidingsmesh/tidings/internal/spelling"
)

func TestNearest_FindsSlipsOfTheHandAndNothingElse(t *testing.T) {
	known := []string{"wide", "narrow", "burst", "burst-wide", "soak"}
	for name, want := range map[string]string{
		"wied": "wide", "narow": "narrow", "burst": "burst", "burts-wide": "burst-wide", "so": "soak", "": "", "idle": "wide", "elephant": "",
	} {
		assert.Equal(t, want, spelling.Nearest(name, known), name)
	}
	assert.Empty(t, spelling.Nearest("wide", nil))
}

func TestUnknown_NamesTheNearestWhenThereIsOne(t *testing.T) {
	assert.EqualError(t, spelling.Unknown("key", "narow", []string{"narrow"}), `unknown key "narow"; did you mean narrow?`)
	assert.EqualError(t, spelling.Unknown("key", "a\nb", []string{"narrow"}), `unknown key "a\nb"`)
}
