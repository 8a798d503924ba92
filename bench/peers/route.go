package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// execProtocol is what kubectl asks for; the servers pass it on unread.
const execProtocol = "v5.channel.k8s.io"

// route is a way of a user's to the sink. Each call uses a connection of its own, unless it says otherwise.
type route interface {
	down(size int64) (io.ReadCloser, error)
	// up gives the digest that the sink saw.
	up(size int64) ([]byte, error)
	// echo gives a lasting connection, whose exchange sends a message and wants it back.
	echo() (exchange, error)
	socket(ctx context.Context) (*websocket.Conn, error)
}

type exchange interface {
	send(message []byte) error
	Close() error
}

// rawRoute is a public TCP port that leads to the sink's raw orders.
type rawRoute struct{ address string }

func (r rawRoute) dial(order byte, rest ...byte) (*net.TCPConn, error) {
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append([]byte{order}, rest...)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

func (r rawRoute) down(size int64) (io.ReadCloser, error) {
	return r.dial(orderDown, binary.BigEndian.AppendUint64(nil, uint64(size))...)
}

func (r rawRoute) up(size int64) ([]byte, error) {
	conn, err := r.dial(orderUp)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := io.Copy(onlyWriter{conn}, &payload{size: size}); err != nil {
		return nil, err
	}
	// The answer comes after the half-close, or not at all.
	if err := conn.CloseWrite(); err != nil {
		return nil, err
	}
	return io.ReadAll(conn)
}

func (r rawRoute) echo() (exchange, error) {
	conn, err := r.dial(orderEcho)
	if err != nil {
		return nil, err
	}
	return &rawExchange{conn, nil}, nil
}

func (r rawRoute) socket(ctx context.Context) (*websocket.Conn, error) {
	return upgrade(ctx, "ws://"+r.address+execPath, http.DefaultClient, nil)
}

type rawExchange struct {
	*net.TCPConn
	back []byte
}

func (e *rawExchange) send(message []byte) error {
	if _, err := e.Write(message); err != nil {
		return err
	}
	if len(e.back) < len(message) {
		e.back = make([]byte, len(message))
	}
	back := e.back[:len(message)]
	if _, err := io.ReadFull(e, back); err != nil {
		return err
	}
	return same(message, back)
}

func same(sent, back []byte) error {
	if !bytes.Equal(sent, back) {
		return fmt.Errorf("other bytes came back than were sent")
	}
	return nil
}

const (
	objectPath = "/api/v1/namespaces/bench/configmaps/"
	execPath   = "/api/v1/namespaces/bench/pods/bench/exec?stdin=true&stdout=true&command=cat"
)

// httpsRoute is a public HTTPS port: each call is a user with a connection of their own.
type httpsRoute struct {
	base  string
	token string
	roots *x509.CertPool
	http2 bool
}

var users atomic.Uint32

// nextAddress gives each user a loopback address of their own: servers bound what comes from one.
func nextAddress() net.IP {
	user := users.Add(1)
	return net.IPv4(127, 1, byte(user>>8), byte(user))
}

func (r httpsRoute) client() *http.Client {
	dialler := &net.Dialer{LocalAddr: &net.TCPAddr{IP: nextAddress()}}
	transport := &http.Transport{
		DialContext:        dialler.DialContext,
		TLSClientConfig:    &tls.Config{RootCAs: r.roots},
		ForceAttemptHTTP2:  r.http2,
		DisableCompression: true,
	}
	if !r.http2 {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return &http.Client{Transport: transport}
}

func (r httpsRoute) do(client *http.Client, method, name string, body io.Reader, size int64) (*http.Response, error) {
	request, err := http.NewRequest(method, r.base+objectPath+name, body)
	if err != nil {
		return nil, err
	}
	request.ContentLength = size
	request.Header.Set("Authorization", "Bearer "+r.token)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		_ = response.Body.Close()
		return nil, fmt.Errorf("%s %s: %s: %s", method, name, response.Status, text)
	}
	return response, nil
}

func (r httpsRoute) down(size int64) (io.ReadCloser, error) {
	client := r.client()
	response, err := r.do(client, "GET", fmt.Sprintf("down?bytes=%d", size), nil, 0)
	if err != nil {
		return nil, err
	}
	return closingBody{response.Body, client}, nil
}

type closingBody struct {
	io.ReadCloser
	client *http.Client
}

func (b closingBody) Close() error {
	err := b.ReadCloser.Close()
	b.client.CloseIdleConnections()
	return err
}

func (r httpsRoute) up(size int64) ([]byte, error) {
	client := r.client()
	defer client.CloseIdleConnections()
	response, err := r.do(client, "POST", "up", &payload{size: size}, size)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

func (r httpsRoute) echo() (exchange, error) { return &httpsExchange{r, r.client()}, nil }

type httpsExchange struct {
	route  httpsRoute
	client *http.Client
}

func (e *httpsExchange) send(message []byte) error {
	response, err := e.route.do(e.client, "POST", "echo", bytes.NewReader(message), int64(len(message)))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	back, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	return same(message, back)
}

func (e *httpsExchange) Close() error {
	e.client.CloseIdleConnections()
	return nil
}

func (r httpsRoute) socket(ctx context.Context) (*websocket.Conn, error) {
	headers := http.Header{"Authorization": {"Bearer " + r.token}}
	plain := r
	plain.http2 = false
	return upgrade(ctx, r.base+execPath, plain.client(), headers)
}

func upgrade(ctx context.Context, url string, client *http.Client, headers http.Header) (*websocket.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(bounded, url, &websocket.DialOptions{
		HTTPClient:      client,
		HTTPHeader:      headers,
		Subprotocols:    []string{execProtocol},
		CompressionMode: websocket.CompressionDisabled,
	})
	return conn, err
}
