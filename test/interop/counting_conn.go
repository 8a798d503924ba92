package main

import (
	"encoding/binary"
	"net"
	"sync/atomic"
)

// countingConn counts the pings that its yamux session asks. The session writes each header by itself, so one write of
// twelve bytes is one header; a body that looks like a ping would count, but the tests send none.
type countingConn struct {
	net.Conn
	pings atomic.Int64
}

func (c *countingConn) Write(bytes []byte) (int, error) {
	const headerSize, typePing, flagSYN = 12, 2, 1
	if len(bytes) == headerSize && bytes[1] == typePing && binary.BigEndian.Uint16(bytes[2:4])&flagSYN != 0 {
		c.pings.Add(1)
	}
	return c.Conn.Write(bytes)
}
