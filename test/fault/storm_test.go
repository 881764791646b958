package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	stormWidth = 64                     // calls at a time
	stormSlots = 2 * stormWidth         // that there are for calls, those included that wait for clients who left
	prompt     = 100 * time.Millisecond // in which an upstream is to know of a cancellation
	long       = 3_000                  // milliseconds that a call would take that is not cancelled
)

// TestF20_CancelStorm cancels calls at random points: before they are sent, while they wait for a connection, in
// flight, amid progress, while somebody is asked, and as the response comes. Those that an upstream had begun are
// cancelled there, and nothing is left of any.
func TestF20_CancelStorm(t *testing.T) {
	total := times(1200, 10_000)
	row := &Row{
		ID: "F20", What: "Cancel storm in all pairings: what an upstream had begun is cancelled there, 99.9 % within 100 ms, and nothing is left",
		Count: fmt.Sprintf("%d calls, %d at a time, cancelled at random points; both eras of client; upstreams of both eras over HTTP and stdio", total, stormWidth),
	}
	enter(t, row)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var sum tally
	for _, on := range []way{httpLegacy, httpModern, stdioLegacy, stdioModern} {
		for _, modern := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s client to %s", eraName(modern), on), func(t *testing.T) {
				got := storm(t, on, modern, total/8, rand.New(rand.NewPCG(seed, uint64(on))))
				t.Log(got.String())
				sum.add(got)
			})
		}
	}
	row.Figures = sum.String()
	if *full && float64(sum.prompt) < 0.999*float64(len(sum.late)) {
		t.Errorf("fewer than 99.9 %% were cancelled within %v: %s", prompt, sum.String())
	}
}

func eraName(modern bool) string {
	if modern {
		return "modern"
	}
	return "legacy"
}

// plan is one call of a storm.
type plan struct {
	task
	progress bool
	hears    bool          // cancel when the first message has come
	after    time.Duration // when to cancel, else or from then
}

// plans makes n plans. Those that ask hold a connection of their own where the upstream is legacy, and a process
// where it is one: of these there are few.
func plans(rng *rand.Rand, n int, asks float64, tag string) []plan {
	out := make([]plan, n)
	for i := range out {
		p := plan{task: task{Nonce: fmt.Sprintf("%s-%d", tag, i), MS: long}, progress: rng.IntN(2) == 0}
		p.Ask = rng.Float64() < asks
		switch rng.IntN(10) {
		case 0: // before it is sent, or as it is
		case 1:
			p.after = time.Duration(rng.Int64N(int64(3 * time.Millisecond)))
		case 2, 3, 4:
			p.after = time.Duration(rng.Int64N(int64(300 * time.Millisecond)))
		case 5, 6, 7:
			p.hears = p.progress || p.Ask
			p.after = time.Duration(rng.Int64N(int64(100 * time.Millisecond)))
		case 8, 9: // as the response comes
			p.MS = 1 + rng.IntN(100)
			p.after = time.Duration(p.MS)*time.Millisecond + time.Duration(rng.Int64N(int64(2*time.Millisecond)))
		}
		out[i] = p
	}
	return out
}

// storm makes n calls and cancels them, then looks for what is left.
func storm(t *testing.T, on way, modern bool, n int, rng *rand.Rand) *tally {
	leakless(t)
	entry, path := startWorker(t, on)
	const sessions, slack = 8, 4
	g := startGateway(t, fmt.Sprintf("bounds: {per_session_in_flight: %d}\nlimits:\n  - {name: slots, scope: ip, unit: in_flight, limit: %d}\nupstreams:\n%s",
		stormWidth/sessions+slack, stormSlots, entry))
	asks := 0.25
	if on == stdioLegacy {
		asks = 0.02
	}
	var clients, askable []*client
	for range sessions {
		clients = append(clients, newClient(t, "http://"+g.Addr()+"/mcp", modern, "{}"))
		askable = append(askable, newClient(t, "http://"+g.Addr()+"/mcp", modern, `{"elicitation":{"form":{}}}`))
	}
	todo := make(chan int)
	all := plans(rng, n, asks, fmt.Sprintf("%d-%s", on, eraName(modern)))
	ends := make([]time.Time, n)
	var workers sync.WaitGroup
	for w := range stormWidth {
		workers.Go(func() {
			for i := range todo {
				c := clients[w%sessions]
				if all[i].Ask {
					c = askable[w%sessions]
				}
				ends[i] = c.cancelled(t, all[i])
			}
		})
	}
	for i := range all {
		todo <- i
	}
	close(todo)
	workers.Wait()
	got := settle(t, path, all, ends, modern && !on.modern())
	aftermath(t, append(clients, askable...), stormSlots-got.parked)
	return got
}

// cancelled makes a call and cancels it as planned. It returns when that was.
func (c *client) cancelled(t *testing.T, p plan) (at time.Time) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard, over := make(chan struct{}), make(chan struct{})
	var once sync.Once
	id := c.ids.Add(1)
	go func() {
		defer close(over)
		terminals := 0
		hear := func(m message) {
			once.Do(func() { close(heard) })
			if m.Method == "" {
				terminals++
			}
		}
		_, all, _ := c.callAs(ctx, id, "worker__work", "", p, hear) // a call that is cancelled may break off
		if state := stateOf(all); state != "" && ctx.Err() == nil {
			answers := `"inputResponses":{` + keysOf(all[len(all)-1]) + `},"requestState":` + state
			_, _, _ = c.callAs(ctx, c.ids.Add(1), "worker__work", answers, p, nil)
		}
		if terminals > 1 {
			t.Errorf("%s: %d terminal messages", p.Nonce, terminals)
		}
	}()
	if p.hears {
		select {
		case <-heard:
		case <-over:
		}
	}
	select {
	case <-over:
	case <-time.After(p.after):
	}
	at = time.Now()
	if c.modern {
		cancel()
	} else {
		c.withdraw(id, over)
	}
	<-over
	return at
}

// withdraw cancels a legacy call by a notification. One that overtakes the call is lost, as it may be, so that it is
// repeated until the call is over.
func (c *client) withdraw(id int64, over <-chan struct{}) {
	for {
		c.tell(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, id))
		select {
		case <-over:
			return
		case <-time.After(time.Second):
		}
	}
}

// callAs calls a tool with the arguments of a plan under a given id. more are further members of params.
func (c *client) callAs(ctx context.Context, id int64, tool, more string, p plan, hear func(message)) (int64, []message, error) {
	arguments, err := json.Marshal(p.task)
	if err != nil {
		return id, nil, err
	}
	meta := ""
	if p.progress {
		meta = fmt.Sprintf(`"progressToken":%d`, id)
	}
	params := strings.TrimSuffix(fmt.Sprintf(`"name":%q,"arguments":%s,%s`, tool, arguments, more), ",")
	res, err := c.post(ctx, c.request(id, "tools/call", params, meta), "tools/call", tool)
	if err != nil {
		return id, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	all, err := readMessages(res, hear)
	return id, all, err
}

// stateOf returns the requestState of an answer that wants input, as it stands there.
func stateOf(all []message) string {
	if len(all) == 0 {
		return ""
	}
	var result struct {
		RequestState json.RawMessage `json:"requestState"`
	}
	if err := json.Unmarshal(all[len(all)-1].Result, &result); err != nil {
		return ""
	}
	return string(result.RequestState)
}

// keysOf accepts all that an answer asks for.
func keysOf(m message) string {
	var result struct {
		InputRequests map[string]json.RawMessage `json:"inputRequests"`
	}
	if err := json.Unmarshal(m.Result, &result); err != nil {
		return ""
	}
	var out []string
	for key := range result.InputRequests {
		out = append(out, fmt.Sprintf(`%q:{"action":"accept","content":{"name":"x"}}`, key))
	}
	return strings.Join(out, ",")
}

// tally is what came of a storm.
type tally struct {
	calls, reached, finished, overtaken, parked, prompt int
	late                                                []time.Duration // from a cancellation to the upstream's knowing of it
}

func (s *tally) add(o *tally) {
	s.calls += o.calls
	s.reached += o.reached
	s.finished += o.finished
	s.overtaken += o.overtaken
	s.parked += o.parked
	s.prompt += o.prompt
	s.late = append(s.late, o.late...)
}

func (s *tally) String() string {
	if len(s.late) == 0 {
		return "nothing was cancelled"
	}
	late := slices.Sorted(slices.Values(s.late))
	at := func(share float64) time.Duration {
		return late[int(share*float64(len(late)-1))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("%d calls, %d reached an upstream, %d of these had finished; %d were cancelled there, %.2f %% within %v "+
		"(median %v, p99 %v, longest %v); %d began after their cancellation and ended too; %d are parked for modern clients that left as they were asked",
		s.calls, s.reached, s.finished, len(late), 100*float64(s.prompt)/float64(len(late)), prompt, at(0.5), at(0.99), at(1), s.overtaken, s.parked)
}

// settle waits until nothing runs upstream, and compares what the upstream wrote down with when calls were cancelled.
// Where calls are parked, a client that leaves just as it is asked something may have been told, so that the call waits
// for it.
func settle(t *testing.T, path string, all []plan, ends []time.Time, parks bool) *tally {
	t.Helper()
	var events map[string]map[string]time.Time
	waits := func(p plan) bool { return parks && !events[p.Nonce][asking].IsZero() }
	eventually(t, "nothing runs upstream", func() bool {
		var err error
		if events, err = readDiary(path); err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(all, func(p plan) bool {
			e := events[p.Nonce]
			return !e[begun].IsZero() && e[cancelled].IsZero() && e[finished].IsZero() && !waits(p)
		})
	})
	sum := &tally{calls: len(all)}
	for i, p := range all {
		e := events[p.Nonce]
		if e[begun].IsZero() {
			continue
		}
		sum.reached++
		switch {
		case !e[finished].IsZero():
			sum.finished++
			if p.MS == long && !p.Ask {
				t.Errorf("%s ran to its end", p.Nonce)
			}
		case e[cancelled].IsZero():
			sum.parked++
		case e[begun].After(ends[i]):
			sum.overtaken++
		default:
			took := e[cancelled].Sub(ends[i])
			sum.late = append(sum.late, took)
			if took <= prompt {
				sum.prompt++
			}
		}
	}
	return sum
}

// aftermath uses all slots that there are at once. Were one of a cancelled call left, there would be fewer, for ever. Some
// may be on their way back for a moment.
func aftermath(t *testing.T, clients []*client, slots int) {
	t.Helper()
	round := 0
	eventually(t, "all slots are free", func() bool {
		round++
		var failed atomic.Int64
		var all sync.WaitGroup
		for n := range slots {
			all.Go(func() {
				c := clients[n%len(clients)]
				p := plan{task: task{Nonce: fmt.Sprintf("after-%d-%d", round, n), MS: 500}}
				_, got, err := c.callAs(t.Context(), c.ids.Add(1), "worker__work", "", p, nil)
				if err != nil || len(got) != 1 || !strings.Contains(got[0].text, "ok "+p.Nonce) {
					failed.Add(1)
				}
			})
		}
		all.Wait()
		return failed.Load() == 0
	})
}
