// Command interop is the other side of the wire, in Go: run by the tests beside it, it talks to the address it is
// given and prints what happens to it as JSON lines. It ends with its standard input, so that no test leaves one behind.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = "usage: interop agent | echo [flags]; -h after either lists its flags"

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("%s", usage))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, end := context.WithCancel(ctx)
	orders := make(chan string)
	go func() {
		defer end()
		defer close(orders)
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			orders <- lines.Text()
		}
	}()
	var err error
	switch command, given := os.Args[1], os.Args[2:]; command {
	case "agent":
		err = runAgent(ctx, agentFlags(flag.NewFlagSet(command, flag.ExitOnError), given), orders)
	case "echo":
		err = runEcho(ctx, echoFlags(flag.NewFlagSet(command, flag.ExitOnError), given), orders)
	default:
		err = fmt.Errorf("%s", usage)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
