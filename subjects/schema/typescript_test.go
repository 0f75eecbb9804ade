package schema_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/subjects/schema"
)

// The committed types of the client library are what the schemas say. With -update they are written.
func TestTypeScript_TheClientsCatalogueFollowsTheSchemas(t *testing.T) {
	const file = "../../client/src/catalogue.ts"
	r, err := schema.Load("")
	require.NoError(t, err)
	text, err := r.CatalogueTypeScript()
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	committed, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equalf(t, text, string(committed), "%s is stale; run: go generate ./subjects/schema", file)
}

func TestTypeScript_OwnTypesExtendTheEventMap(t *testing.T) {
	r := load(t, map[string]string{
		"settlement_founded.json": `{
			"type": "object", "description": "A new settlement.\n */", "required": ["id", "founder"],
			"properties": {
				"id": {"type": "string", "description": "Its id."},
				"founder": {"$ref": "#/$defs/person"},
				"kind": {"enum": ["town", "city", 7, null]},
				"size": {"type": ["integer", "null"]},
				"at": {"type": "array", "items": {"type": "number"}},
				"odd-name": {"const": true},
				"place": {"title": "Place", "type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
				"more": {"type": "object", "additionalProperties": {"type": "boolean"}},
				"either": {"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "number"}]},
				"strange": {"not": {}},
				"cause": {"$ref": "entity_updated.json"}
			},
			"$defs": {"person": {"properties": {"name": {"type": "string"}}}}
		}`,
		"com.example.moved.json": `{"type": "string", "description": "Where to."}`,
		"anything.json":          `true`,
		"tree.json":              `{"type": "object", "properties": {"child": {"$ref": "#/properties/child"}, "next": {"$ref": "anything.json"}}}`,
	})
	text, err := r.TypeScript()
	require.NoError(t, err)
	assert.Equal(t, "// Made by `tidings events gen`. Do not edit."+`
import type { EntityUpdated } from "@tidings/client";

export type Anything = unknown;

/** Where to. */
export type ComExampleMoved = string;

export interface Place {
  x: number;
}

/** A new settlement. *\/ */
export interface SettlementFounded {
  founder: {
    name?: string;
  };
  /** Its id. */
  id: string;
  at?: Array<number>;
  cause?: EntityUpdated;
  either?: string | number;
  kind?: "town" | "city" | 7 | null;
  more?: Record<string, boolean>;
  "odd-name"?: true;
  place?: Place;
  size?: number | null;
  strange?: unknown;
}

export interface Tree {
  child?: unknown;
  next?: Anything;
}

declare module "@tidings/client" {
  export interface EventMap {
    anything: Anything;
    "com.example.moved": ComExampleMoved;
    settlement_founded: SettlementFounded;
    tree: Tree;
  }
}
`, text)
}

func TestTypeScript_OneNameIsOneType(t *testing.T) {
	r := load(t, map[string]string{
		"a.json": `{"properties": {"x": {"title": "Place", "properties": {"x": {"type": "number"}}}}}`,
		"b.json": `{"properties": {"x": {"title": "Place", "properties": {"y": {"type": "number"}}}}}`,
	})
	_, err := r.TypeScript()
	assert.EqualError(t, err, `schema b.json: two different objects have the title "Place"`)
}
