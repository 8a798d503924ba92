package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// ready is the one line of output: what a client needs.
type ready struct {
	// URL of the API, on loopback.
	URL string `json:"url"`
	// CA is a file: the root of the API's certificate, PEM.
	CA string `json:"ca"`
	// Kubeconfig is a file: for a member of system:masters.
	Kubeconfig string `json:"kubeconfig"`
	// Parts says the process ID of each, so that a test can kill one.
	Parts map[string]int `json:"parts"`
}

const startWithin = 90 * time.Second

// up starts the parts in a directory of its own, and stays until standard input ends, a signal comes, or a part dies.
func up(given []string) error {
	flags := flag.NewFlagSet("up", flag.ExitOnError)
	dir := flags.String("dir", "", "an empty directory for data, keys and logs")
	forward := flags.Int("forward", 0, "the port of loopback that port-forwards to any pod lead to")
	nodes := flags.Int("nodes", 1, "how many nodes KWOK plays")
	if err := flags.Parse(given); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end(context.Canceled)
	}()
	layout, err := newLayout(*dir, *forward)
	if err != nil {
		return err
	}
	gate, err := openEgress(ctx, layout.egress())
	if err != nil {
		return err
	}
	defer func() { _ = gate.Close() }()

	family := &family{dir: *dir, onDeath: func(err error) { end(err) }, pids: map[string]int{}}
	defer family.stop()
	client := &http.Client{Transport: layout.adminTransport(), Timeout: 5 * time.Second}
	started, done := context.WithTimeout(ctx, startWithin)
	defer done()
	if err := family.start("etcd", layout.etcdFlags()...); err != nil {
		return err
	}
	if err := family.start("kube-apiserver", layout.apiServerFlags()...); err != nil {
		return err
	}
	if err := answers(started, client, layout.url()+"/readyz"); err != nil {
		return cause(ctx, err)
	}
	for name, flags := range map[string][]string{
		"kube-controller-manager": layout.controllerManagerFlags(),
		"kube-scheduler":          layout.schedulerFlags(),
		"kwok":                    layout.kwokFlags(),
	} {
		if err := family.start(name, flags...); err != nil {
			return err
		}
	}
	if err := addNodes(started, client, layout.url(), *nodes); err != nil {
		return cause(ctx, err)
	}
	// The first service account of a namespace is the controller manager's work, the node's readiness KWOK's.
	if err := answers(started, client, layout.url()+"/api/v1/namespaces/default/serviceaccounts/default"); err != nil {
		return cause(ctx, err)
	}
	if err := nodesReady(started, client, layout.url(), *nodes); err != nil {
		return cause(ctx, err)
	}
	line := ready{URL: layout.url(), CA: layout.file("ca.crt"), Kubeconfig: layout.file("admin.kubeconfig"), Parts: family.pids}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		return err
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// cause prefers the death of a part to what waiting for it met.
func cause(ctx context.Context, err error) error {
	if died := context.Cause(ctx); died != nil && !errors.Is(died, context.Canceled) {
		return died
	}
	return err
}

// answers waits until the URL is answered with 200.
func answers(ctx context.Context, client *http.Client, url string) error {
	return poll(ctx, url, func() bool {
		response, err := client.Get(url)
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

func poll(ctx context.Context, what string, isSo func() bool) error {
	for !isSo() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not in time: %w", what, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// family is the child processes; none outlives this one.
type family struct {
	dir      string
	onDeath  func(error)
	pids     map[string]int
	children []*exec.Cmd
	ended    []chan struct{}
}

func (f *family) start(name string, flags ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(f.dir, name+".log"))
	if err != nil {
		return err
	}
	child := exec.Command(self, append([]string{name}, flags...)...)
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = dieWithParent()
	if err := child.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	f.children, f.ended = append(f.children, child), append(f.ended, ended)
	f.pids[name] = child.Process.Pid
	go func() {
		err := child.Wait()
		_ = log.Close()
		close(ended)
		f.onDeath(fmt.Errorf("%s ended (%v); its log is %s", name, err, log.Name()))
	}()
	return nil
}

// stop ends the parts in the reverse order of their start, so that none misses what it needs.
func (f *family) stop() {
	for i := len(f.children) - 1; i >= 0; i-- {
		_ = f.children[i].Process.Signal(syscall.SIGTERM)
		select {
		case <-f.ended[i]:
		case <-time.After(2 * time.Second):
			_ = f.children[i].Process.Kill()
			<-f.ended[i]
		}
	}
}

// freePort finds a port of loopback that is free now; whoever takes it must be quick.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
