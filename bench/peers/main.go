// Command peers is what `npm run bench` measures beside and with, in Go: relays to compare with, the agent in the
// cluster, the sink behind it and the load in front. Each prints JSON lines, listens on loopback and ends with its
// standard input; a load ends when its work is done.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
)

// event is one line of output of what listens and connects.
type event struct {
	Event   string `json:"event"`
	Tunnel  string `json:"tunnel,omitempty"`
	Public  string `json:"public,omitempty"`
	Address string `json:"address,omitempty"`
	Count   int    `json:"count,omitempty"`
}

var commands = map[string]func(context.Context, *flag.FlagSet, []string) error{
	"relay":  runRelay,
	"agent":  runAgent,
	"agents": runAgents,
	"delay":  runDelay,
	"sink":   runSink,
	"load":   runLoad,
}

func main() {
	ctx, end := context.WithCancel(context.Background())
	go func() {
		// Nothing is ordered: its end is all that is waited for.
		_, _ = os.Stdin.Read(make([]byte, 1))
		end()
	}()
	err := errors.New("usage: peers relay | agent | agents | delay | sink | load [flags]; -h after each lists its flags")
	if len(os.Args) > 1 {
		if command, ok := commands[os.Args[1]]; ok {
			err = command(ctx, flag.NewFlagSet(os.Args[1], flag.ExitOnError), os.Args[2:])
		}
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var printing sync.Mutex

// report prints one line, whole: several goroutines do.
func report(happened any) {
	printing.Lock()
	defer printing.Unlock()
	// Nobody who reads: nobody to tell.
	_ = json.NewEncoder(os.Stdout).Encode(happened)
}
