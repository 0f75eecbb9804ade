package main

import (
	"context"
	"errors"
)

type subCmd struct {
	Rooms []string `arg:"" name:"room" help:"Rooms as kind:id, for example campaign:42."`

	URL   []string `name:"url" sep:"none" default:"ws://127.0.0.1:8080/ws" placeholder:"URL" help:"WebSocket address of a server; repeatable: the next is tried when one is lost."`
	Token Secret   `required:"" placeholder:"TOKEN" help:"Token to show; better as TIDINGS_TOKEN than on a command line."`
	Since string   `placeholder:"POSITION" help:"Replay from this position, the JSON object of a joined frame; for one room only."`
}

// Run prints frames until ctx ends.
func (*subCmd) Run(context.Context, *Main) error {
	return errors.New("sub: edge is not wired")
}
