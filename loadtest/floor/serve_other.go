//go:build !linux

package main

import (
	"errors"
	"io"
)

func serve(string, string, io.Writer) error { return errors.New("this needs Linux (epoll)") }
