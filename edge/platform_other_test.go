//go:build !linux

package edge_test

const hasEpoll = false
