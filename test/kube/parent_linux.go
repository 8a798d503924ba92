package main

import "syscall"

// dieWithParent has the kernel end a child with the process that started it, however that ends.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
