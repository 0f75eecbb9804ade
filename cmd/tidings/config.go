package main

import (
	"fmt"
	"reflect"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// configCmd looks at the configuration exactly as serve would see it; both subcommands take the flags of serve.
type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Say whether serve would start with these settings; status 2 and every problem when it would not."`
	Print configPrintCmd `cmd:"" help:"Print the effective settings as YAML with the origin of each; secrets are left out."`
}

type configCheckCmd struct {
	ServeConfig
}

// Run validates as serve does.
func (c *configCheckCmd) Run(m *Main, o origins) error {
	c.normalise()
	if err := c.validate(o); err != nil {
		return err
	}
	fmt.Fprintln(m.Stdout, "The configuration is valid.")
	return nil
}

type configPrintCmd struct {
	ServeConfig
}

// Run prints without validating: seeing the value is how a wrong one is found.
func (c *configPrintCmd) Run(m *Main, kctx *kong.Context, o origins) error {
	c.normalise()
	document := &yaml.Node{Kind: yaml.MappingNode}
	for _, flag := range kctx.Selected().Flags {
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: flag.Name}
		value := yamlValue(flag.Target)
		comment := "default"
		if o.given(flag.Name) {
			comment = "from " + o.of(flag.Name)
		}
		if value.Kind == yaml.SequenceNode && len(value.Content) > 0 {
			key.HeadComment = comment
		} else {
			value.LineComment = comment
		}
		document.Content = append(document.Content, key, value)
	}
	encoder := yaml.NewEncoder(m.Stdout)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return err
	}
	return encoder.Close()
}

// yamlValue is a flag's value as the file would hold it.
func yamlValue(v reflect.Value) *yaml.Node {
	if v.Kind() != reflect.Slice {
		n := &yaml.Node{}
		n.SetString(display(v.Interface()))
		if v.Kind() != reflect.String {
			n.Style, n.Tag = 0, ""
		}
		return n
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, element := range v.Seq2() {
		list.Content = append(list.Content, yamlValue(element))
	}
	if len(list.Content) == 0 {
		list.Style = yaml.FlowStyle
	}
	return list
}
