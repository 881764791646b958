package edge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
)

// lastCalls is how long calls in flight may go on once the client has said its last.
const lastCalls = 5 * time.Second

// pipePair is the two ends of a client that is a process beside us: a message is a line.
type pipePair struct {
	mu      sync.Mutex // one writer at a time
	out     io.Writer
	buffers *buffers
}

// ServeLines serves one client over a pair of pipes (MCP, stdio transport) until it
// closes its side, which is no error, or ctx ends. A read that blocks then outlives the
// call: closing in is the caller's.
func (e *Edge) ServeLines(ctx context.Context, endpoint string, in io.Reader, out io.Writer) error {
	from := &rpc.Call{
		Dialect: rpc.MCP, Received: time.Now(), Endpoint: endpoint, Host: "localhost", Header: http.Header{}, Bare: true, Record: &rpc.Record{},
	}
	p := &pipePair{out: out, buffers: &e.buffers}
	d, err := e.connect(ctx, "stdio", from, p.say)
	if err != nil {
		return err
	}
	defer d.end(from)
	ended := make(chan error, 1)
	go func() { ended <- d.read(*from, in) }()
	select {
	case err = <-ended:
		d.retire()
		timer := time.NewTimer(lastCalls)
		defer timer.Stop()
		select {
		case <-d.ctx.Done():
		case <-timer.C:
		}
		return err
	case <-d.ctx.Done():
		return context.Cause(d.ctx)
	}
}

// read hears the client out.
func (d *dialogue) read(from rpc.Call, in io.Reader) error {
	lines := frame.NewLineReader(in, int(d.cfg().Body))
	for {
		line, err := lines.Next()
		switch {
		case errors.Is(err, frame.ErrTooLong):
			d.refuse(rpc.Errorf(rpc.TooLarge, "the message exceeds %d bytes", d.cfg().Body))
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		default:
			d.hear(from, bytes.Clone(line))
		}
	}
}

func (p *pipePair) say(u utterance) bool {
	raw := u.AppendTo(p.buffers.get(u.Size()))
	line := frame.AppendLine(p.buffers.get(len(raw)+1), raw)
	defer p.buffers.put(raw)
	defer p.buffers.put(line)
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.out.Write(line)
	return err == nil
}
