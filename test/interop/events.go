package main

import (
	"encoding/json"
	"os"
	"sync"
)

var printing sync.Mutex

// event is one line of output; every field but the name depends on the name.
type event struct {
	Event   string  `json:"event"`
	Address string  `json:"address,omitempty"`
	TLS     string  `json:"tls,omitempty"`
	Error   string  `json:"error,omitempty"`
	Streams int     `json:"streams,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Pings   int64   `json:"pings"`
	GoAways int64   `json:"goAways"`
	Seconds float64 `json:"seconds,omitempty"`
}

// report prints an event, whole: several goroutines do.
func report(happened event) {
	printing.Lock()
	defer printing.Unlock()
	// Nobody who reads: nobody to tell.
	_ = json.NewEncoder(os.Stdout).Encode(happened)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
