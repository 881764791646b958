package generator

import (
	"context"
	"strconv"
	"time"

	"github.com/headgate/headgate/test/load/latency"
)

// patience is how many calls in a row may fail to get any answer before a connection gives up.
const patience = 20

// worker is one connection and what it has counted.
type worker struct {
	config    *Config
	address   string
	routes    []endpoint
	templates []*template
	sessions  map[string]string // path to legacy session
	number    int
	prefix    string // of its nonces
	conn      *conn

	sequence  int64
	turn      int // of the templates
	request   []byte
	id, nonce []byte
	expect    expectation

	calls    int64
	latency  latency.Histogram
	failures map[Fault]int64
	examples map[Fault]string
}

func newWorker(c *Config, routes []endpoint, number int, run string) *worker {
	w := &worker{
		config:   c,
		address:  routes[0].address,
		routes:   routes,
		sessions: map[string]string{},
		number:   number,
		prefix:   run + "-" + strconv.Itoa(number) + "-",
		expect:   expectation{era: c.Era, payload: payload(c.Payload, uint64(number))},
	}
	w.reset()
	return w
}

// open connects, opens the sessions and prepares the requests.
func (w *worker) open(ctx context.Context) error {
	if err := w.dial(ctx); err != nil {
		return err
	}
	for _, route := range w.routes {
		session, known := w.sessions[route.path]
		if w.config.Era == Legacy && !known {
			var err error
			if session, err = openSession(w.conn, w.config, route); err != nil {
				return err
			}
			w.sessions[route.path] = session
		}
		w.templates = append(w.templates, newTemplate(w.config, route, session, w.expect.payload))
	}
	return nil
}

func (w *worker) dial(ctx context.Context) error {
	const answerRoom = 8 << 10 // head and envelope
	var err error
	w.conn, err = dial(ctx, w.address, nil, w.config.Timeout, w.config.Payload+answerRoom)
	return err
}

// end ends the sessions, as far as the server lets it, and closes the connection.
func (w *worker) end(ctx context.Context) {
	if w.conn == nil && w.dial(ctx) != nil {
		return
	}
	for path, session := range w.sessions {
		if endSession(w.conn, w.config, endpoint{address: w.address, path: path}, session) != nil {
			break
		}
	}
	w.conn.close()
}

// run calls as long as more says so.
func (w *worker) run(ctx context.Context, more func(time.Time) bool) {
	lost := 0 // calls in a row without an answer
	for more(time.Now()) {
		f := w.call(ctx)
		if f == nil {
			lost = 0
			continue
		}
		w.failures[f.fault]++
		if w.examples[f.fault] == "" {
			w.examples[f.fault] = f.detail
		}
		if f.fault != Transport {
			continue
		}
		if lost++; lost == patience {
			return
		}
	}
}

// call makes one call and checks its answer.
func (w *worker) call(ctx context.Context) *failure {
	if w.conn == nil {
		if err := w.dial(ctx); err != nil {
			return failed(Transport, "%v", err)
		}
	}
	t := w.templates[w.turn]
	w.turn = (w.turn + 1) % len(w.templates)
	w.next()
	w.request = t.build(w.request, w.id, w.nonce)
	start := time.Now()
	r, err := w.conn.roundTrip(w.request)
	took := time.Since(start)
	if err != nil {
		w.hangUp()
		return failed(Transport, "%v", err)
	}
	f := w.expect.check(&r)
	if f == nil && w.conn.start != w.conn.end {
		f = failed(Duplicate, "%d bytes follow the answer", w.conn.end-w.conn.start)
	}
	if r.closing || f != nil {
		w.hangUp()
	}
	if f == nil {
		w.calls++
		w.latency.Record(took)
	}
	return f
}

// next prepares the id and the nonce of the next call.
func (w *worker) next() {
	w.sequence++
	switch {
	case w.config.ID != "":
		w.id = append(w.id[:0], w.config.ID...)
	case w.number%2 == 0:
		w.id = strconv.AppendInt(w.id[:0], w.sequence, 10)
	default:
		w.id = append(strconv.AppendInt(append(w.id[:0], '"'), w.sequence, 10), '"')
	}
	w.nonce = strconv.AppendInt(append(w.nonce[:0], w.prefix...), w.sequence, 10)
	w.expect.id, w.expect.nonce = w.id, w.nonce
}

// hangUp closes a connection that nothing can be said about any more; the next call opens another.
func (w *worker) hangUp() {
	w.conn.close()
	w.conn = nil
}

// reportTo adds what was counted to a report and begins anew.
func (w *worker) reportTo(r *Report) {
	r.Calls += w.calls
	r.Latency.Merge(&w.latency)
	for fault, n := range w.failures {
		r.Failures[fault] += n
		if r.Examples[fault] == "" {
			r.Examples[fault] = w.examples[fault]
		}
	}
	w.reset()
}

func (w *worker) reset() {
	w.calls, w.latency = 0, latency.Histogram{}
	w.failures, w.examples = map[Fault]int64{}, map[Fault]string{}
}
