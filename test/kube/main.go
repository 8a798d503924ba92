// Command kube runs a real Kubernetes API on loopback: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and
// KWOK, which plays the kubelets (pods that run nothing). `kube up` starts each as a child process of itself, for in one
// process their signal handlers collide, prints one JSON line when all are ready, and ends with its standard input.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: kube up -dir DIRECTORY | PART [flags]; a part is one of %v", partNames()))
	}
	name, given := os.Args[1], os.Args[2:]
	if name == "up" {
		if err := up(given); err != nil {
			fail(err)
		}
		return
	}
	part, known := parts[name]
	if !known {
		fail(fmt.Errorf("%s is none of %v", name, partNames()))
	}
	// What the parts say of themselves, their own --help included, names the part.
	os.Args = append([]string{name}, given...)
	if err := part(given); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
