package main

import (
	"encoding/binary"
	"net"
	"sync/atomic"
)

const (
	headerSize                = 12
	typeData, typePing        = 0, 2
	typeGoAway                = 3
	flagSYN            uint16 = 1
)

// countingConn counts what its yamux session does not tell: the pings that it asks, and the GoAways that it is sent.
// The session writes each header by itself, so one write of twelve bytes is one header; a body that looks like a ping
// would count, but the tests send none.
type countingConn struct {
	net.Conn
	pings   atomic.Int64
	goAways atomic.Int64
	// Of the frame that is being read.
	header  []byte
	payload uint32
}

func (c *countingConn) Write(bytes []byte) (int, error) {
	if len(bytes) == headerSize && bytes[1] == typePing && binary.BigEndian.Uint16(bytes[2:4])&flagSYN != 0 {
		c.pings.Add(1)
	}
	return c.Conn.Write(bytes)
}

func (c *countingConn) Read(bytes []byte) (int, error) {
	size, err := c.Conn.Read(bytes)
	c.follow(bytes[:size])
	return size, err
}

// follow walks over the frames that arrive; one goroutine of the session reads.
func (c *countingConn) follow(bytes []byte) {
	for len(bytes) > 0 {
		if c.payload > 0 {
			passed := min(int64(c.payload), int64(len(bytes)))
			c.payload -= uint32(passed)
			bytes = bytes[passed:]
			continue
		}
		taken := min(headerSize-len(c.header), len(bytes))
		c.header = append(c.header, bytes[:taken]...)
		bytes = bytes[taken:]
		if len(c.header) < headerSize {
			return
		}
		switch c.header[1] {
		case typeData:
			c.payload = binary.BigEndian.Uint32(c.header[8:12])
		case typeGoAway:
			c.goAways.Add(1)
		}
		c.header = c.header[:0]
	}
}
