package main

import (
	"fmt"
	"os"

	"github.com/tidingsmesh/tidings/subjects/schema"
)

type eventsCmd struct {
	Gen eventsGenCmd `cmd:"" help:"Write the TypeScript types of events from their JSON Schemas."`
}

type eventsGenCmd struct {
	TS      string `name:"ts" required:"" placeholder:"FILE" help:"TypeScript file to write; - is standard output."`
	Schemas string `placeholder:"DIR" help:"Folder of JSON Schemas for the application's own event types, as serve has it. Without it, the types are those of the built-in catalogue."`
}

// Run writes the file anew, whatever is in it.
func (c *eventsGenCmd) Run(m *Main) error {
	registry, err := schema.Load(c.Schemas)
	if err != nil {
		return err
	}
	generate := registry.TypeScript
	if c.Schemas == "" {
		generate = registry.CatalogueTypeScript
	}
	text, err := generate()
	if err != nil {
		return err
	}
	if c.TS == "-" {
		_, err = fmt.Fprint(m.Stdout, text)
		return err
	}
	return os.WriteFile(c.TS, []byte(text), 0o644) //nolint:gosec // source code, for everyone to read
}
