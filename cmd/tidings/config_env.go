package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/tidingsmesh/tidings/internal/spelling"

	"github.com/alecthomas/kong"
)

const envPrefix = "TIDINGS_"

// serviceVariable matches what Kubernetes puts into every pod beside a Service named "tidings": TIDINGS_SERVICE_HOST,
// TIDINGS_PORT, TIDINGS_PORT_8080_TCP_ADDR … (kubernetes.io, "Service: environment variables"). They are no settings.
var serviceVariable = regexp.MustCompile(`^TIDINGS_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// envName is the variable of a flag: "jwt-secret" is TIDINGS_JWT_SECRET.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// environmentLayer reads the TIDINGS_ variables of environ. A variable that belongs to no flag is refused: a mistyped
// limit must not silently leave the default. A variable that is set but empty counts as set. A list is separated by
// commas; `\,` is a comma inside an element.
func environmentLayer(environ []string, flags map[string]*kong.Flag) (layer, error) {
	byVariable := map[string]*kong.Flag{}
	for name, flag := range flags {
		byVariable[envName(name)] = flag
	}
	l := layer{}
	var wrong problems
	for _, entry := range environ {
		variable, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(variable, envPrefix) {
			continue
		}
		flag, ok := byVariable[variable]
		switch {
		case !ok && serviceVariable.MatchString(variable):
			continue
		case !ok:
			known := slices.Collect(maps.Keys(byVariable))
			wrong = append(wrong, spelling.Unknown("environment variable", variable, known))
			continue
		}
		s := setting{values: []string{value}, origin: variable}
		if flag.IsSlice() {
			s.values = nil
			if value != "" {
				s.values = kong.SplitEscaped(value, ',')
			}
		}
		l[flag.Name] = s
	}
	return l, wrong.asError()
}
