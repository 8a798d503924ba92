package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

type loadOptions struct {
	work      string
	direction string
	size      int64
	streams   int
	message   int
	length    time.Duration
	beside    time.Duration
}

// outcome is the one line that a load prints; what a work does not measure is absent. Times are in ms.
type outcome struct {
	Seconds  float64 `json:"seconds"`
	Bytes    int64   `json:"bytes,omitempty"`
	Count    int64   `json:"count,omitempty"`
	Fairness float64 `json:"fairness,omitempty"`
	P50      float64 `json:"p50,omitempty"`
	P99      float64 `json:"p99,omitempty"`
	P99Alone float64 `json:"p99Alone,omitempty"`
}

// runLoad puts one work on a route and fails unless every byte came as it was sent.
func runLoad(ctx context.Context, flags *flag.FlagSet, given []string) error {
	var o loadOptions
	target := flags.String("target", "", "host:port, or for HTTPS a URL up to the cluster's API")
	roots := flags.String("roots", "", "file: makes it HTTPS")
	token := flags.String("token", "", "bearer token of HTTPS")
	http2 := flags.Bool("http2", false, "with HTTPS")
	flags.StringVar(&o.work, "work", "", "bulk, stalled, exchange, connect, socket, half-close")
	flags.StringVar(&o.direction, "direction", "down", "of bulk: down, up")
	flags.Int64Var(&o.size, "bytes", 1<<20, "of each payload")
	flags.IntVar(&o.streams, "streams", 1, "at a time")
	flags.IntVar(&o.message, "message", 1024, "bytes of each message")
	flags.DurationVar(&o.length, "length", 2*time.Second, "of works that last")
	flags.DurationVar(&o.beside, "beside", 0, "between messages that are echoed beside bulk or a stalled reader")
	_ = flags.Parse(given)

	var way route = rawRoute{*target}
	if *roots != "" {
		pool, err := readRoots(*roots)
		if err != nil {
			return err
		}
		way = httpsRoute{base: *target, token: *token, roots: pool, http2: *http2}
	}
	works := map[string]func(context.Context, route, loadOptions) (outcome, error){
		"bulk":       bulk,
		"stalled":    stalled,
		"exchange":   exchanges,
		"connect":    connects,
		"socket":     sockets,
		"half-close": halfCloses,
	}
	work, ok := works[o.work]
	if !ok {
		return fmt.Errorf("unknown work %q", o.work)
	}
	result, err := work(ctx, way, o)
	if err != nil {
		return fmt.Errorf("%s: %w", o.work, err)
	}
	report(result)
	return nil
}

// bulk sends one payload on each of the streams at once; fairness is Jain's index of what each has when the first is done.
func bulk(_ context.Context, way route, o loadOptions) (outcome, error) {
	want := digestOf(o.size)
	received := make([]atomic.Int64, o.streams)
	var fairness float64
	var once sync.Once
	transfer := func(number int) error {
		var err error
		if o.direction == "up" {
			var digest []byte
			if digest, err = way.up(o.size); err == nil && !bytes.Equal(digest, want) {
				err = errors.New("the sink saw other bytes")
			}
		} else {
			err = download(way, o.size, want, &received[number])
		}
		once.Do(func() { fairness = jain(received) })
		return err
	}

	var beside sync.WaitGroup
	var times []float64
	var echoFailure error
	stop := make(chan struct{})
	if o.beside > 0 {
		echo, err := way.echo()
		if err != nil {
			return outcome{}, err
		}
		defer echo.Close()
		if err := echo.send(block[:o.message]); err != nil {
			return outcome{}, err
		}
		beside.Add(1)
		go func() {
			defer beside.Done()
			times, echoFailure = echoUntil(echo, stop, o.message, o.beside)
		}()
	}
	begin := time.Now()
	err := together(o.streams, transfer)
	took := time.Since(begin)
	close(stop)
	beside.Wait()
	result := outcome{Seconds: took.Seconds(), Bytes: o.size * int64(o.streams)}
	if o.direction == "down" && o.streams > 1 {
		result.Fairness = fairness
	}
	if o.beside > 0 {
		result.Count, result.P50, result.P99 = int64(len(times)), percentile(times, 50), percentile(times, 99)
	}
	return result, errors.Join(err, echoFailure)
}

func download(way route, size int64, want []byte, received *atomic.Int64) error {
	body, err := way.down(size)
	if err != nil {
		return err
	}
	defer body.Close()
	return receive(body, want, func(count int) { received.Add(int64(count)) })
}

// stalled exchanges messages on the streams, alone and then beside a reader that asked for much and takes nothing.
func stalled(_ context.Context, way route, o loadOptions) (outcome, error) {
	alone, err := neighbours(way, o)
	if err != nil {
		return outcome{}, err
	}
	body, err := way.down(64 << 30)
	if err != nil {
		return outcome{}, err
	}
	defer body.Close()
	// Until every buffer on the way is full.
	time.Sleep(time.Second)
	begin := time.Now()
	beside, err := neighbours(way, o)
	return outcome{
		Seconds:  time.Since(begin).Seconds(),
		Count:    int64(len(beside)),
		P50:      percentile(beside, 50),
		P99:      percentile(beside, 99),
		P99Alone: percentile(alone, 99),
	}, err
}

// neighbours exchange a message each, at the interval of the flag.
func neighbours(way route, o loadOptions) ([]float64, error) {
	var lock sync.Mutex
	var all []float64
	echoes, err := connected(way, o)
	defer closeAll(echoes)
	if err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	time.AfterFunc(o.length, func() { close(stop) })
	err = together(o.streams, func(number int) error {
		// Spread over the interval, as users are.
		time.Sleep(time.Duration(number) * o.beside / time.Duration(o.streams))
		times, err := echoUntil(echoes[number], stop, o.message, o.beside)
		lock.Lock()
		defer lock.Unlock()
		all = append(all, times...)
		return err
	})
	return all, err
}

// exchanges sends messages on lasting connections, the next when the last is back.
func exchanges(_ context.Context, way route, o loadOptions) (outcome, error) {
	echoes, err := connected(way, o)
	defer closeAll(echoes)
	if err != nil {
		return outcome{}, err
	}
	return repeated(o, func(number int) error { return echoes[number].send(block[:o.message]) })
}

// connected gives lasting connections that have all exchanged a message already.
func connected(way route, o loadOptions) ([]exchange, error) {
	echoes := make([]exchange, 0, o.streams)
	for range o.streams {
		echo, err := way.echo()
		if err != nil {
			return echoes, err
		}
		echoes = append(echoes, echo)
		if err := echo.send(block[:o.message]); err != nil {
			return echoes, err
		}
	}
	return echoes, nil
}

func closeAll(echoes []exchange) {
	for _, echo := range echoes {
		_ = echo.Close()
	}
}

// connects makes a connection for each message.
func connects(_ context.Context, way route, o loadOptions) (outcome, error) {
	return repeated(o, func(int) error {
		echo, err := way.echo()
		if err != nil {
			return err
		}
		defer echo.Close()
		return echo.send(block[:o.message])
	})
}

// halfCloses sends a payload, ends its way and wants the answer that only comes then.
func halfCloses(_ context.Context, way route, o loadOptions) (outcome, error) {
	want := digestOf(o.size)
	return repeated(o, func(int) error {
		digest, err := way.up(o.size)
		if err == nil && !bytes.Equal(digest, want) {
			err = errors.New("the sink saw other bytes")
		}
		return err
	})
}

// sockets exchanges messages on WebSockets.
func sockets(ctx context.Context, way route, o loadOptions) (outcome, error) {
	conns := make([]*websocket.Conn, o.streams)
	for number := range conns {
		conn, err := way.socket(ctx)
		if err != nil {
			return outcome{}, err
		}
		defer conn.CloseNow()
		conns[number] = conn
	}
	return repeated(o, func(number int) error {
		message := block[:o.message]
		if err := conns[number].Write(ctx, websocket.MessageBinary, message); err != nil {
			return err
		}
		_, back, err := conns[number].Read(ctx)
		if err != nil {
			return err
		}
		return same(message, back)
	})
}

// repeated lets each of the streams do one thing after the other until the time is over.
func repeated(o loadOptions, do func(number int) error) (outcome, error) {
	times := make([][]float64, o.streams)
	begin := time.Now()
	until := begin.Add(o.length)
	err := together(o.streams, func(number int) error {
		for time.Now().Before(until) {
			from := time.Now()
			if err := do(number); err != nil {
				return err
			}
			times[number] = append(times[number], milliseconds(time.Since(from)))
		}
		return nil
	})
	took := time.Since(begin)
	all := slices.Concat(times...)
	return outcome{
		Seconds: took.Seconds(),
		Count:   int64(len(all)),
		P50:     percentile(all, 50),
		P99:     percentile(all, 99),
	}, err
}

func echoUntil(echo exchange, stop <-chan struct{}, size int, interval time.Duration) ([]float64, error) {
	var times []float64
	pause := time.NewTicker(interval)
	defer pause.Stop()
	for {
		select {
		case <-stop:
			return times, nil
		case <-pause.C:
		}
		from := time.Now()
		if err := echo.send(block[:size]); err != nil {
			return times, err
		}
		times = append(times, milliseconds(time.Since(from)))
	}
}

func together(count int, do func(number int) error) error {
	failures := make([]error, count)
	var group sync.WaitGroup
	for number := range count {
		group.Add(1)
		go func() {
			defer group.Done()
			failures[number] = do(number)
		}()
	}
	group.Wait()
	return errors.Join(failures...)
}

func jain(received []atomic.Int64) float64 {
	var sum, squares float64
	for number := range received {
		value := float64(received[number].Load())
		sum += value
		squares += value * value
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(received)) * squares)
}

// percentile by the nearest rank; 0 of nothing.
func percentile(values []float64, percent float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(percent/100*float64(len(sorted))))-1)]
}

func milliseconds(length time.Duration) float64 { return float64(length) / float64(time.Millisecond) }
