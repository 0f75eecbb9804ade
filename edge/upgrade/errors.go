package upgrade

import "errors"

// ErrServed is returned by Serve when it is called a second time: an Acceptor
// has one lifetime.
var ErrServed = errors.New("acceptor was served before")

// ErrConfig is wrapped by every error of Config.Validate and New.
var ErrConfig = errors.New("upgrade config")
