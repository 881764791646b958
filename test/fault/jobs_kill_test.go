package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/test/fake/engine"
)

// recoveryBound is how long it may take from the start of the next process until it has done a job. A loaded machine keeps it.
const recoveryBound = 5 * time.Second

// F2: the process is killed with jobs that run and many more that wait, at any point of what is done to them, and while more
// are submitted.
func TestF2_JobsOutliveKills(t *testing.T) {
	leakless(t)
	rounds, queued, running := times(2, 20), times(300, 10_000), times(10, 50)
	row := Row{
		ID:    "F2",
		What:  "kill -9 of the gateway with jobs queued and running: no acknowledged job is lost, each ends with one result, only what ran is run again",
		Count: fmt.Sprintf("%d kills, %d jobs queued and %d running at each", rounds, queued, running),
	}
	enter(t, &row)
	var sum killed
	for round := range rounds {
		one := killRound(t, round, queued, running)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
		sum.acknowledged += one.acknowledged
		sum.again += one.again
		sum.mostAgain = max(sum.mostAgain, one.again)
		sum.recovery = max(sum.recovery, one.recovery)
		sum.drain += one.drain
		sum.drained += one.drained
	}
	row.Figures = fmt.Sprintf("%d jobs acknowledged, 0 lost, 0 with two results; %d run again, %d in one round at most; first job done %v after the start of the next process at most; %.0f jobs/s done after that",
		sum.acknowledged, sum.again, sum.mostAgain, sum.recovery.Round(time.Millisecond), float64(sum.drained)/sum.drain.Seconds())
}

// killed is what came of one kill.
type killed struct {
	acknowledged, again, mostAgain, drained int
	recovery, drain                         time.Duration
}

func killRound(t *testing.T, round, queued, running int) (out killed) {
	t.Helper()
	runs := &executions{t: t, running: running}
	// In some rounds the process is killed while all wait for their model, in the others while they get its answers.
	slow := engine.Config{}
	if round%2 == 1 {
		slow.Prefill = 2 * time.Millisecond
		queued += 6 * running // of which some are done when the others have been submitted
	}
	s := runs.serve("127.0.0.1:0", slow)
	if round%2 == 0 {
		s.Fail(engine.Fault{Kind: engine.Stall, Match: func(r *engine.Request) bool { return strings.Contains(r.Text, "round") }})
	}
	p := &jobProcess{t: t, dir: t.TempDir(), addr: freeAddress(t), operators: freeAddress(t), web: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	defer p.web.CloseIdleConnections()
	p.configure(s.URL, running)
	first := p.launch()
	jobs := p.submit(round, running+queued, 32)
	eventually(t, "jobs run", func() bool { n := s.Stats(); return n.Running+n.Waiting >= running*9/10 })
	stop, more := context.WithCancel(t.Context())
	extra := make(chan map[string]string)
	go func() { extra <- p.submitUntil(stop, round) }()
	before := p.stands(jobs, 2*running)
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-first.ended
	more()
	maps.Copy(jobs, <-extra)
	s.Kill()
	next := runs.serve(strings.TrimPrefix(s.URL, "http://"), engine.Config{})
	p.web.CloseIdleConnections()

	began := time.Now()
	p.launch()
	out.recovery, out.drain = p.drains(began, next)
	out.acknowledged, out.drained = len(jobs), next.Stats().Requests
	out.again = runs.check(jobs, before, p.stands(jobs, len(jobs)))
	if *full && out.recovery > recoveryBound {
		t.Errorf("the first job was done %v after the start", out.recovery)
	}
	return out
}

// executions are the runs of jobs at simulators, which give no answer twice.
type executions struct {
	t       *testing.T
	running int // at most
	n       atomic.Int64
	texts   sync.Map // *engine.Request to what is answered
	engines []*engine.Server
}

func (e *executions) serve(addr string, c engine.Config) *engine.Server {
	e.t.Helper()
	c.Slots, c.Queue, c.Record, c.Token = 2*e.running, -1, true, e.token
	s, err := engine.Listen(e.t.Context(), addr, c)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(s.Kill)
	e.engines = append(e.engines, s)
	return s
}

// token is the one token of an answer: it says which prompt it answers, and which execution it is.
func (e *executions) token(r *engine.Request, _ int) string {
	text, known := e.texts.Load(r)
	if !known {
		text, _ = e.texts.LoadOrStore(r, fmt.Sprintf("%s (%d)", promptIn(r.Text), e.n.Add(1)))
	}
	return text.(string)
}

// promptIn is the prompt of a job in a text that holds more.
func promptIn(text string) string {
	_, text, _ = strings.Cut(text, "round ")
	text, _, _ = strings.Cut(text, ".")
	return "round " + text
}

// check holds how jobs stand to what was run, and to how they stood before, and returns how often one was run again.
func (e *executions) check(jobs map[string]string, before, after map[string]jobStand) (again int) {
	e.t.Helper()
	arrived := map[string]int{}
	for _, s := range e.engines {
		for _, r := range s.Ledger() {
			arrived[promptIn(string(r.Body))]++
		}
	}
	for id, prompt := range jobs {
		stand := after[id]
		if stand.State != "succeeded" || !strings.HasPrefix(stand.Result.Output, prompt+" (") || arrived[prompt] == 0 {
			e.t.Errorf("job %s (%s) is %+v after %d executions", id, prompt, stand, arrived[prompt])
			return 0
		}
		if was, known := before[id]; known && was.ended() && was != stand {
			e.t.Errorf("job %s was %+v and is %+v", id, was, stand)
		}
		again += arrived[prompt] - 1
	}
	if again > e.running {
		e.t.Errorf("%d jobs were run again, of %d that ran", again, e.running)
	}
	return again
}

// jobProcess is a gateway that comes again on the same data after it was killed.
type jobProcess struct {
	t               *testing.T
	dir             string
	addr, operators string
	web             *http.Client
}

func (p *jobProcess) configure(url string, workers int) {
	p.t.Helper()
	text := fmt.Sprintf("version: 1\nlisten: %s\nadmin: {listen: %q}\ndata_dir: data\njobs: {workers: %d}\n"+
		"models: {m: {backends: [{kind: openai, url: %q, model: sim, max_in_flight: %d}], deadlines: {first_token: 10m, between_tokens: 10m, total: 1h}}}\n",
		p.addr, p.operators, workers, url+"/v1", 2*workers)
	if err := os.WriteFile(filepath.Join(p.dir, "headgate.yaml"), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// launch starts the gateway and waits until it is there.
func (p *jobProcess) launch() *server {
	p.t.Helper()
	s := launch(p.t, program(p.t), "serve", "-c", filepath.Join(p.dir, "headgate.yaml"))
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		res, err := p.web.Get("http://" + p.operators + "/healthz")
		if err == nil {
			_ = res.Body.Close()
			return s
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("it is not there: %v", err)
		}
	}
}

// ask makes one request of the dialect.
func (p *jobProcess) ask(ctx context.Context, method string, params map[string]any, into any) error {
	body, err := json.Marshal(map[string]any{"id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addr+"/rpc", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := p.web.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Result any
		Error  json.RawMessage
	}{Result: into}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if answer.Error != nil {
		return errors.New(string(answer.Error))
	}
	return nil
}

// submit has so many jobs acknowledged, by so many clients at once, and returns their prompts by their ids.
func (p *jobProcess) submit(round, n, clients int) map[string]string {
	p.t.Helper()
	jobs := make(map[string]string, n)
	var mu sync.Mutex
	var next atomic.Int64
	var work sync.WaitGroup
	for range clients {
		work.Go(func() {
			for i := next.Add(1); i <= int64(n) && !p.t.Failed(); i = next.Add(1) {
				id, prompt, err := p.one(p.t.Context(), round, fmt.Sprint(i))
				if err != nil {
					p.t.Errorf("submit: %v", err)
					return
				}
				mu.Lock()
				jobs[id] = prompt
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if p.t.Failed() || len(jobs) != n {
		p.t.Fatalf("%d jobs have an id of their own, of %d", len(jobs), n)
	}
	return jobs
}

func (p *jobProcess) one(ctx context.Context, round int, name string) (id, prompt string, err error) {
	var out struct {
		ID string `json:"job_id"`
	}
	prompt = fmt.Sprintf("round %d job %s", round, name)
	err = p.ask(ctx, "invoke_async", map[string]any{"model": "m", "prompt": prompt + ".", "max_tokens": 1, "idempotency_key": prompt}, &out)
	return out.ID, prompt, err
}

// submitUntil has jobs acknowledged until nobody is there who does.
func (p *jobProcess) submitUntil(ctx context.Context, round int) map[string]string {
	jobs := map[string]string{}
	for i := 0; ctx.Err() == nil; i++ {
		id, prompt, err := p.one(ctx, round, fmt.Sprint("late ", i))
		if err != nil {
			break
		}
		jobs[id] = prompt
	}
	return jobs
}

// jobStand is how a job stands.
type jobStand struct {
	State    string
	Finished string `json:"finished_at"`
	Result   struct{ Output string }
}

func (s jobStand) ended() bool { return s.Finished != "" }

// stands asks how jobs stand, so many of them.
func (p *jobProcess) stands(jobs map[string]string, most int) map[string]jobStand {
	p.t.Helper()
	out := make(map[string]jobStand, most)
	ids := make(chan string)
	var mu sync.Mutex
	var work sync.WaitGroup
	for range 16 {
		work.Go(func() {
			for id := range ids {
				var s jobStand
				if err := p.ask(p.t.Context(), "status", map[string]any{"job_id": id}, &s); err != nil {
					p.t.Errorf("an acknowledged job is lost: %v", err)
				}
				mu.Lock()
				out[id] = s
				mu.Unlock()
			}
		})
	}
	for id := range jobs {
		if most--; most < 0 {
			break
		}
		ids <- id
	}
	close(ids)
	work.Wait()
	return out
}

// drains waits until no job is queued or runs, and returns when the first was done by this process, and how long it took from
// then on.
func (p *jobProcess) drains(began time.Time, s *engine.Server) (first, rest time.Duration) {
	p.t.Helper()
	eventually(p.t, "jobs are done", func() bool { return s.Stats().Sampled > 2 }) // one says that the model is there
	first = time.Since(began)
	for p.some("queued") || p.some("running") {
		if time.Since(began) > 10*patience {
			p.t.Fatal("it does not end")
		}
		time.Sleep(20 * time.Millisecond)
	}
	return first, time.Since(began) - first
}

// some reports whether there are jobs in a state.
func (p *jobProcess) some(state string) bool {
	p.t.Helper()
	res, err := p.web.Get("http://" + p.operators + "/api/v1/jobs?limit=1&state=" + state)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	var page admin.JobPage
	if err := json.NewDecoder(res.Body).Decode(&page); err != nil {
		p.t.Fatal(err)
	}
	return len(page.Items) > 0
}
