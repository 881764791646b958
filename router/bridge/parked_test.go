package bridge

import (
	"io"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// lender is a reply whose one message is good until it is closed, as those are whose bytes lie in a buffer. While the message is on
// its way the call is given up.
type lender struct {
	text   []byte
	giveUp func() // once
	gone   chan struct{}
}

const lent = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}`

func (l *lender) Next() (*rpc.Message, error) {
	if l.giveUp == nil {
		return nil, io.EOF
	}
	m, err := rpc.Parse(l.text, rpc.Limits{})
	l.giveUp()
	l.giveUp = nil
	return m, err
}

func (*lender) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }

// Close overwrites the bytes, as the next who is given the buffer does.
func (l *lender) Close() error {
	clear(l.text)
	close(l.gone)
	return nil
}

// A note that is taken while its reply is closed is a copy of what comes next in the buffer.
func TestGivingUpWaitsForTheMessageInUse(t *testing.T) {
	t.Parallel()
	for range 50 {
		given := make(chan error)
		source := &lender{text: []byte(lent), gone: make(chan struct{})}
		l := newLot(Config{Parked: 1, PerPrincipal: 1})
		p := l.enter(&opening{call: &rpc.Call{}, reply: rpc.NewReply(source), release: func(cause error) { given <- cause }})
		source.giveUp = func() {
			go p.giveUp(anyRound, rpc.ErrNoQuestion)
			<-given // all but the closing is done
		}
		p.pump()
		<-source.gone
		for _, note := range p.notes {
			if got := string(note.AppendTo(nil)); got != lent {
				t.Fatalf("a note is %q", got)
			}
		}
	}
}
