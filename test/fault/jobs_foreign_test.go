package fault

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/test/fake/engine"
)

// T4: whoever asks for another's job, or cancels it, learns nothing, not even by how long it takes.
func TestT4_JobsOfOthers(t *testing.T) {
	calls := times(300, 10_000)
	row := Row{
		ID:    "T4",
		What:  "Ids of other principals' jobs (queued, running, ended): each is unknown, in the words and the time that an id has that nobody has",
		Count: fmt.Sprintf("%d calls each of status and cancel, for each state", calls),
	}
	enter(t, &row)
	s := engine.Start(t, engine.Config{})
	s.Fail(engine.Fault{Kind: engine.Stall, Match: func(r *engine.Request) bool { return strings.Contains(r.Text, "stays") }})
	g := startGateway(t, fmt.Sprintf("models: {m: {backends: [{kind: openai, url: %q, model: sim}]}}\njobs: {workers: 1}\n", s.URL+"/v1")+
		"auth: {keys: [{id: ann, key: key-of-ann-0123456789, org: a, scopes: [\"infer:*\"]}, {id: eve, key: key-of-eve-0123456789, org: a, scopes: [\"infer:*\"]}]}\n")
	ann, eve := asker{t, g.Addr(), "ann"}, asker{t, g.Addr(), "eve"}
	submit := func(prompt string) string {
		text := ann.ask("invoke_async", fmt.Sprintf(`{"model":"m","prompt":%q}`, prompt))
		_, id, _ := strings.Cut(text, `"job_id":"`)
		id, _, _ = strings.Cut(id, `"`)
		return id
	}
	ended := submit("ends")
	eventually(t, "the job ends", func() bool {
		return strings.Contains(ann.ask("status", fmt.Sprintf(`{"job_id":%q}`, ended)), "succeeded")
	})
	running := submit("stays")
	eventually(t, "the job runs", func() bool {
		return strings.Contains(ann.ask("status", fmt.Sprintf(`{"job_id":%q}`, running)), "running")
	})
	foreign := map[string]string{"ended": ended, "running": running, "queued": submit("stays")}

	var figures []string
	for _, stands := range []string{"queued", "running", "ended"} {
		for _, method := range []string{"status", "cancel"} {
			unknown, of := median(eve, method, calls, "job_"+strings.Repeat("0", 36), foreign[stands])
			figures = append(figures, fmt.Sprintf("%s of a %s one %.2f", method, stands, float64(of)/float64(unknown)))
			if ratio := float64(of) / float64(unknown); *full && (ratio < 0.95 || ratio > 1.05) {
				t.Errorf("%s of a %s job takes %v, of none %v", method, stands, of, unknown)
			}
		}
	}
	for stands, id := range foreign {
		want := map[string]string{"ended": "succeeded"}[stands]
		if want == "" {
			want = stands
		}
		if text := ann.ask("status", fmt.Sprintf(`{"job_id":%q}`, id)); !strings.Contains(text, `"state":"`+want+`"`) {
			t.Errorf("the %s job is %s", stands, text)
		}
	}
	row.Figures = "time of the foreign by that of the unknown, at the median: " + strings.Join(figures, ", ")
}

// asker asks for jobs with a key.
type asker struct {
	t         *testing.T
	addr, key string
}

func (a asker) ask(method, params string) string {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, "http://"+a.addr+"/rpc", strings.NewReader(`{"id":1,"method":"`+method+`","params":`+params+`}`))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer key-of-"+a.key+"-0123456789")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}

// median asks for two jobs by turns, which must both be unknown in the same words, and returns how long each takes.
func median(a asker, method string, calls int, ids ...string) (first, second time.Duration) {
	a.t.Helper()
	took := make([][]time.Duration, len(ids))
	for range calls {
		for i, id := range ids {
			began := time.Now()
			text := a.ask(method, `{"job_id":"`+id+`"}`)
			took[i] = append(took[i], time.Since(began))
			if !strings.Contains(text, `"code":-32010,"message":"there is no such job"`) || strings.Contains(text, id) {
				a.t.Fatalf("%s of %s: %s", method, id, text)
			}
		}
	}
	for _, all := range took {
		slices.Sort(all)
	}
	return took[0][calls/2], took[1][calls/2]
}
