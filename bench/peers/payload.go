package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
)

const blockSize = 1 << 20

// block is what every payload repeats: bytes that do not compress, the same in every process and every run.
var block = func() []byte {
	bytes := make([]byte, blockSize)
	random := rand.NewChaCha8([32]byte{'c', 'a', 't'})
	_, _ = random.Read(bytes)
	return bytes
}()

// payload reads as that many bytes of the repeated block.
type payload struct{ at, size int64 }

func (p *payload) Read(into []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	from := block[p.at%blockSize:]
	copied := copy(into[:min(int64(len(into)), p.size-p.at)], from)
	p.at += int64(copied)
	return copied, nil
}

// WriteTo spares the copy; the writer gets at most 64 KiB at a time, as from most programs.
func (p *payload) WriteTo(to io.Writer) (int64, error) {
	begin := p.at
	for p.at < p.size {
		from := block[p.at%blockSize:]
		written, err := to.Write(from[:min(int64(len(from)), p.size-p.at, 64<<10)])
		p.at += int64(written)
		if err != nil {
			return p.at - begin, err
		}
	}
	return p.at - begin, nil
}

// digestOf is the SHA-256 of a payload of that size.
func digestOf(size int64) []byte {
	digest := sha256.New()
	_, _ = (&payload{size: size}).WriteTo(digest)
	return digest.Sum(nil)
}

// receive reads to the end and wants the payload of that digest. `seen` is told how much each read brought.
func receive(from io.Reader, want []byte, seen func(int)) error {
	digest := sha256.New()
	buffer := make([]byte, 64<<10)
	for {
		count, err := from.Read(buffer)
		digest.Write(buffer[:count])
		seen(count)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if !bytes.Equal(digest.Sum(nil), want) {
		return fmt.Errorf("other bytes came than were sent")
	}
	return nil
}
