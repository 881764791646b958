package edge

import (
	"strconv"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// Pings of WebSockets are answered by the client's library, whatever has become of the client. One that has said nothing
// for a while, and waits for nothing, is asked itself.

// keep keeps the connection, and ends it when nobody is there any more or the credential is no good.
func (i *inferSocket) keep() {
	beat, quiet := time.NewTicker(pingInterval), time.NewTimer(pingInterval)
	defer beat.Stop()
	defer quiet.Stop()
	for {
		select {
		case <-i.ctx.Done():
			return
		case <-quiet.C:
			quiet.Reset(i.look())
		case <-beat.C:
			i.ws.ping(i.dialogue)
			i.recheck(i.hello)
		}
	}
}

// note notes that something was said.
func (i *inferSocket) note() {
	i.last.Store(time.Now().UnixNano())
	i.asked.Store(false)
}

// look asks a client that has been silent for too long whether it is there, ends the connection of one that has not
// answered, and returns when to look again.
func (i *inferSocket) look() time.Duration {
	silence := time.Since(time.Unix(0, i.last.Load()))
	switch {
	case i.asked.Load():
		i.cancel(rpc.Errorf(rpc.Cancelled, "the client does not answer pings"))
	case i.busy():
		return pingInterval
	case silence < pingInterval:
		return pingInterval - silence
	}
	n := i.questions.Add(1)
	i.asked.Store(true)
	i.speak(&question{rpc.NumberID(uint64(n)), i.versioned.Load()})
	return pongTimeout
}

// busy reports whether the client waits for an answer.
func (i *inferSocket) busy() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.active > 0
}

// answered takes the client's answer to a ping, for which it was enough to say anything. What answers nothing is refused,
// unless it is an error: two who refuse each other's refusals would never come to an end.
func (i *inferSocket) answered(m *rpc.Message) error {
	n, err := strconv.ParseInt(m.ID.Loose(), 10, 64)
	if m.Err == nil && (err != nil || n < 1 || n > i.questions.Load()) {
		return errNoQuestion()
	}
	return nil
}

// question is a ping of the dialect.
type question struct {
	id        rpc.ID
	versioned bool
}

var _ utterance = (*question)(nil)

// AppendTo implements utterance.
func (q *question) AppendTo(dst []byte) []byte {
	dst = append(dst, '{')
	if q.versioned {
		dst = append(dst, `"jsonrpc":"2.0",`...)
	}
	dst = append(append(dst, `"id":`...), q.id.Raw()...)
	return append(append(append(dst, `,"method":"`...), infer.Ping...), `"}`...)
}

// Size implements utterance.
func (q *question) Size() int {
	return len(`{"jsonrpc":"2.0","id":,"method":"ping"}`) + len(q.id.Raw())
}
