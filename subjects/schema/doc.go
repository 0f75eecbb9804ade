// Package schema checks the data of events against JSON Schemas: those of the
// built-in catalogue, which are generated from the Go types in package subjects
// and embedded, and those that an application keeps in a folder.
//
// An event type without a schema is not checked at all: the mesh carries what it
// does not know.
package schema

//go:generate go test -run ^TestCatalogue_SchemasFollowTheGoTypes$ . -update
//go:generate go test -run ^TestTypeScript_TheClientsCatalogueFollowsTheSchemas$ . -update
