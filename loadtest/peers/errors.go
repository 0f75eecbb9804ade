package peers

import "errors"

// ErrNotInstalled says that a program a peer is made of is not on this machine, or cannot be built here. The text says what to do.
var ErrNotInstalled = errors.New("not installed")
