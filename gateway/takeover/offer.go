package takeover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// handshake is how long a successor may take for what it does before its predecessor stops to accept connections.
const handshake = 30 * time.Second

// Sockets are listening sockets by their names.
type Sockets map[string]*os.File

// Close closes them here; whoever else has them keeps them.
func (s Sockets) Close() error {
	var errs []error
	for _, f := range s {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Offer is a process that can be taken over from.
type Offer struct {
	listener *net.UnixListener
	sockets  Sockets
	asked    chan *Handover
	ctx      context.Context //nolint:containedctx // the offer's own, which ends with it
	cancel   context.CancelFunc
	work     sync.WaitGroup
	once     sync.Once
}

// NewOffer offers sockets at a path, in the place of whoever offered something there before. They are the offer's from now on. The error is that
// of a path where no socket can be, or of a system that cannot pass descriptors.
func NewOffer(ctx context.Context, path string, sockets Sockets) (*Offer, error) {
	l, err := bind(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("takeover: %w", err), sockets.Close())
	}
	o := &Offer{listener: l, sockets: sockets, asked: make(chan *Handover)}
	o.ctx, o.cancel = context.WithCancel(ctx)
	o.work.Go(o.accept)
	return o, nil
}

// bind makes the socket under another name, so that a predecessor's can be asked until this one is complete.
func bind(path string) (*net.UnixListener, error) {
	if !canPass {
		return nil, errors.ErrUnsupported
	}
	fresh := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%d.sock", os.Getpid()))
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(fresh, 0o600); err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(fresh))
	}
	return l, nil
}

// Asked delivers successors that are ready to take over, one at a time: the next one is heard when the last has failed.
func (o *Offer) Asked() <-chan *Handover { return o.asked }

// Close takes the offer back, and closes its sockets. A successor that has taken over offers its own at the same path, which
// stays.
func (o *Offer) Close() error {
	var err error
	o.once.Do(func() {
		o.cancel()
		err = o.listener.Close()
		o.work.Wait()
		err = errors.Join(err, o.sockets.Close())
	})
	return err
}

// accept serves successors one after the other, so that there is one at most.
func (o *Offer) accept() {
	for {
		c, err := o.listener.AcceptUnix()
		if err != nil {
			return
		}
		l := &line{conn: c}
		stop := context.AfterFunc(o.ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
		h, err := o.introduce(l)
		stop()
		if err != nil {
			_ = c.Close() // it is told by that
			continue
		}
		select {
		case o.asked <- h:
			<-h.over
		case <-o.ctx.Done():
			h.end()
			return
		}
	}
}

// introduce gives a successor the sockets, and waits until it is ready.
func (o *Offer) introduce(l *line) (*Handover, error) {
	if err := l.conn.SetDeadline(time.Now().Add(handshake)); err != nil {
		return nil, err
	}
	pid, err := sameUser(l.conn)
	if err == nil {
		err = l.expect(wordTakeover)
	}
	if err == nil {
		err = l.sendSockets(o.sockets)
	}
	if err == nil {
		err = l.expect(wordReady)
	}
	if err == nil {
		err = l.conn.SetDeadline(time.Time{})
	}
	return &Handover{PID: pid, line: l, over: make(chan struct{})}, err
}

// Handover is a successor that has the sockets and waits for the state.
type Handover struct {
	PID  int // of the successor; 0 where the system does not say
	line *line
	over chan struct{}
	once sync.Once
}

// Finish tells the successor that all is its own now, and waits until it serves, or ctx ends. The error means that it does not,
// so that the predecessor has to serve on. It must be called once.
func (h *Handover) Finish(ctx context.Context) error {
	defer h.end()
	defer context.AfterFunc(ctx, func() { _ = h.line.conn.SetDeadline(time.Unix(1, 0)) })()
	err := h.line.say(wordYours)
	if err == nil {
		err = h.line.expect(wordServing)
	}
	if err != nil {
		return fmt.Errorf("takeover: the successor did not come up: %w", err)
	}
	return nil
}

func (h *Handover) end() {
	h.once.Do(func() {
		_ = h.line.conn.Close() // nothing is left to be said
		close(h.over)
	})
}
