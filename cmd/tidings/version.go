package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker for a release (-ldflags "-X main.version=v1.2.3"); otherwise the build information tells.
var version string

type versionCmd struct{}

// Run prints one fact per line.
func (*versionCmd) Run(m *Main) error {
	v := buildVersion()
	_, err := fmt.Fprintf(m.Stdout, "tidings %s\ncommit  %s\ngo      %s %s/%s\n", v.number, v.commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

type buildFacts struct{ number, commit string }

// buildVersion is what the binary knows of its source; "unknown" where it was built without version control.
func buildVersion() buildFacts {
	facts := buildFacts{number: version, commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return facts
	}
	if facts.number == "" {
		facts.number = info.Main.Version
	}
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			facts.commit = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if modified {
		facts.commit += " with changes"
	}
	return facts
}
