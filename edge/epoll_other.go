//go:build !linux

package edge

import "errors"

const epollAvailable = false

func newEpollDriver() (driver, error) { return nil, errors.New("epoll is only there on Linux") }
