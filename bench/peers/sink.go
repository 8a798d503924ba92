package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"path"
	"strconv"

	"github.com/coder/websocket"
)

// What a raw connection asks of the sink with its first byte; HTTP begins with a letter.
const (
	// orderDown is followed by a size (8 bytes, big-endian): the sink sends the payload and ends.
	orderDown = 1
	// orderUp is followed by a payload to its end: the sink sends its SHA-256.
	orderUp = 2
	// orderEcho is followed by anything: the sink sends it back.
	orderEcho = 3
)

// runSink is what the cluster holds: HTTP and the raw orders on one port.
func runSink(ctx context.Context, flags *flag.FlagSet, given []string) error {
	_ = flags.Parse(given)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	report(event{Event: "listening", Address: listener.Addr().String()})
	web := &handedListener{Listener: listener, conns: make(chan net.Conn)}
	go func() {
		_ = (&http.Server{Handler: http.HandlerFunc(answer), ErrorLog: log.New(io.Discard, "", 0)}).Serve(web)
	}()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			reader := bufio.NewReaderSize(conn, 64<<10)
			first, err := reader.Peek(1)
			switch {
			case err != nil:
				_ = conn.Close()
			case first[0] >= ' ':
				web.conns <- readConn{conn.(*net.TCPConn), reader}
			default:
				obey(conn.(*net.TCPConn), reader)
			}
		}()
	}
}

func obey(conn *net.TCPConn, reader *bufio.Reader) {
	defer conn.Close()
	switch order, _ := reader.ReadByte(); order {
	case orderDown:
		var size uint64
		if binary.Read(reader, binary.BigEndian, &size) == nil {
			_, _ = io.Copy(onlyWriter{conn}, &payload{size: int64(size)})
		}
	case orderUp:
		digest := sha256.New()
		if _, err := io.Copy(digest, reader); err == nil {
			_, _ = conn.Write(digest.Sum(nil))
		}
	case orderEcho:
		_, _ = io.Copy(onlyWriter{conn}, reader)
	}
	_ = conn.CloseWrite()
	_, _ = io.Copy(io.Discard, reader)
}

// onlyWriter hides ReadFrom, so that the payload's own WriteTo is used.
type onlyWriter struct{ io.Writer }

// answer serves the same over HTTP, by the last word of the path.
func answer(response http.ResponseWriter, request *http.Request) {
	switch path.Base(request.URL.Path) {
	case "down":
		size, _ := strconv.ParseInt(request.URL.Query().Get("bytes"), 10, 64)
		response.Header().Set("Content-Type", "application/octet-stream")
		response.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		_, _ = io.Copy(onlyWriter{response}, &payload{size: size})
	case "up":
		digest := sha256.New()
		if _, err := io.Copy(digest, request.Body); err == nil {
			_, _ = response.Write(digest.Sum(nil))
		}
	case "echo":
		body, err := io.ReadAll(request.Body)
		if err == nil {
			response.Header().Set("Content-Type", "application/octet-stream")
			_, _ = response.Write(body)
		}
	case "exec":
		echoMessages(response, request)
	default:
		http.NotFound(response, request)
	}
}

func echoMessages(response http.ResponseWriter, request *http.Request) {
	conn, err := websocket.Accept(response, request, &websocket.AcceptOptions{
		Subprotocols:       []string{execProtocol},
		InsecureSkipVerify: true,
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(request.Context())
		if err != nil {
			return
		}
		if err := conn.Write(request.Context(), kind, message); err != nil {
			return
		}
	}
}

// handedListener serves the connections that turned out to be HTTP.
type handedListener struct {
	net.Listener
	conns chan net.Conn
}

func (l *handedListener) Accept() (net.Conn, error) { return <-l.conns, nil }

type readConn struct {
	*net.TCPConn
	reader *bufio.Reader
}

func (c readConn) Read(into []byte) (int, error) { return c.reader.Read(into) }
