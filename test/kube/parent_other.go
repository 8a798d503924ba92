//go:build !linux

package main

import "syscall"

// dieWithParent: elsewhere than on Linux a child outlives a parent that is killed.
func dieWithParent() *syscall.SysProcAttr { return nil }
