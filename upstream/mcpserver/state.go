package mcpserver

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Status says whether an upstream can be used, as far as was last seen.
type Status uint8

// What an upstream's status can be.
const (
	Connecting Status = iota // nothing is known yet
	Up                       // the last that was heard of it was an answer
	Down                     // it cannot be reached, has ended, or refuses the handshake
	Disabled                 // switched off by the configuration
)

// String returns the status in lower case.
func (s Status) String() string {
	return [...]string{Connecting: "connecting", Up: "up", Down: "down", Disabled: "disabled"}[s]
}

// State is what was last seen of an upstream.
type State struct {
	Status    Status
	Since     time.Time // when the status became what it is
	Err       error     // why it is down or disabled; nil otherwise
	Transport string    // "http", "stdio", "sse" or "ws"
	Era       rpc.Era   // what is spoken with it, once it has been up
	Revision  rpc.Revision
	Restarts  int // how often a connection that clients share was opened again
}

// board keeps the state and logs when it changes.
type board struct {
	log     *slog.Logger
	suspect atomic.Bool // the status is Down; read on every call

	mu     sync.Mutex
	state  State
	opened map[rpc.Era]bool // eras in which a shared link was open before
}

func newBoard(log *slog.Logger, transport string) *board {
	return &board{log: log, state: State{Since: time.Now(), Transport: transport}, opened: map[rpc.Era]bool{}}
}

func (b *board) read() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// up notes that a link was opened and reports whether one like it was open before.
func (b *board) up(d *Description, shared bool) (again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if shared {
		if again = b.opened[d.Era]; again {
			b.state.Restarts++
		}
		b.opened[d.Era] = true
	}
	if b.state.Revision == "" || d.Era == rpc.Modern || b.state.Era == rpc.Legacy {
		b.state.Era, b.state.Revision = d.Era, d.Revision
	}
	if b.state.Status != Up {
		b.set(Up, nil)
		b.log.Info("upstream is up", "era", d.Era.String(), "revision", string(d.Revision))
	}
	return again
}

// turned notes that the upstream speaks another era than it did.
func (b *board) turned(d *Description) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log.Warn("upstream has changed its era", "era", d.Era.String(), "revision", string(d.Revision))
	b.state.Era, b.state.Revision = d.Era, d.Revision
}

// answered notes that the upstream answered, which matters if it was down.
func (b *board) answered() {
	if !b.suspect.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Status == Down {
		b.set(Up, nil)
		b.log.Info("upstream is up")
	}
}

// down notes that the upstream cannot be used.
func (b *board) down(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Status != Down {
		b.log.Warn("upstream is down", "error", err.Error())
		b.set(Down, err)
	}
	b.state.Err = err
}

// disable notes that the configuration switches the upstream off.
func (b *board) disable(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(Disabled, err)
}

func (b *board) set(s Status, err error) {
	b.state.Status, b.state.Since, b.state.Err = s, time.Now(), err
	b.suspect.Store(s == Down)
}
