package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake/engine"
)

// jobModel is a model with the simulator behind it.
func jobModel(s *engine.Server) string {
	return fmt.Sprintf("models:\n  m: {backends: [{kind: openai, url: %q, model: sim}]}\n", s.URL+"/v1")
}

// jobKeys are two callers of one organisation.
const jobKeys = `auth:
  keys:
    - {id: ann, key: key-of-ann-0123456789, org: acme, scopes: ["infer:*"]}
    - {id: bob, key: key-of-bob-0123456789, org: acme, scopes: ["infer:*"]}
`

// submitter is a client of the inference dialect that sends one request after another.
type submitter struct {
	t   testing.TB
	g   *gateway.Gateway
	key string
}

// ask returns the status of HTTP, and the result or the error.
func (s submitter) ask(method, params string) (int, map[string]any, map[string]any) {
	s.t.Helper()
	body := fmt.Sprintf(`{"id":1,"method":%q,"params":%s}`, method, params)
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, endpoint(s.g, "/rpc"), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer key-of-"+s.key+"-0123456789")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct{ Result, Error map[string]any }
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		s.t.Fatalf("%s: %s: %v", method, res.Status, err)
	}
	return res.StatusCode, out.Result, out.Error
}

func (s submitter) does(method, params string) map[string]any {
	s.t.Helper()
	status, result, refused := s.ask(method, params)
	if refused != nil {
		s.t.Fatalf("%s %s: %d %v", method, params, status, refused)
	}
	return result
}

func (s submitter) submit(params string) string {
	s.t.Helper()
	return s.does("invoke_async", params)["job_id"].(string)
}

// ends waits for the end of a job.
func (s submitter) ends(id, want string) map[string]any {
	s.t.Helper()
	for range 10 {
		out := s.does("status", fmt.Sprintf(`{"job_id":%q,"wait":30}`, id))
		if out["finished_at"] == nil {
			continue
		}
		if out["state"] != want {
			s.t.Fatalf("%v, want %s", out, want)
		}
		return out
	}
	s.t.Fatalf("job %s does not end", id)
	return nil
}

// refused expects an error of the dialect.
func (s submitter) refused(method, params string, status, code int) {
	s.t.Helper()
	got, result, refused := s.ask(method, params)
	if got != status || refused["code"] != float64(code) {
		s.t.Errorf("%s %s: %d %v %v, want %d, %d", method, params, got, result, refused, status, code)
	}
}

func TestJobsOverHTTP(t *testing.T) {
	t.Parallel()
	s := engine.Start(t, engine.Config{})
	g := startGateway(t, jobModel(s)+jobKeys)
	ann, bob := submitter{t, g, "ann"}, submitter{t, g, "bob"}
	const params = `{"model":"m","prompt":"hello","max_tokens":4,"idempotency_key":"k"}`
	id := ann.submit(params)
	out := ann.ends(id, "succeeded")
	result, usage := out["result"].(map[string]any), out["usage"].(map[string]any)
	if result["model"] != "m" || result["output"] == "" || result["finish_reason"] != "length" || usage["output_tokens"] != 4.0 || usage["estimated"] != nil {
		t.Errorf("%v", out)
	}
	if again := ann.submit(params); again != id {
		t.Errorf("submitted again: %s, before %s", again, id)
	}
	ann.refused("invoke_async", strings.Replace(params, "hello", "other", 1), http.StatusConflict, -32012)
	ann.refused("invoke_async", `{"model":"n","prompt":"p"}`, http.StatusBadRequest, -32602)
	for _, method := range []string{"status", "cancel"} {
		bob.refused(method, fmt.Sprintf(`{"job_id":%q}`, id), http.StatusNotFound, -32010)
		ann.refused(method, `{"job_id":"job_000000000000000000000000000000000000"}`, http.StatusNotFound, -32010)
	}
	if out := ann.does("cancel", fmt.Sprintf(`{"job_id":%q}`, id)); out["cancelled"] != false || out["state"] != "succeeded" {
		t.Errorf("%v", out)
	}
}

// Who cancels a job stops the server that works on it, and pays for what that has made.
func TestACancelledJobLeavesItsServer(t *testing.T) {
	t.Parallel()
	s := engine.Start(t, engine.Config{TokenRate: 50, Slots: 1})
	g := startGateway(t, jobModel(s)+jobKeys+"limits: [{name: day, scope: key, unit: tokens, limit: 1000000, per: day}]\n")
	ann := submitter{t, g, "ann"}
	id := ann.submit(`{"model":"m","prompt":"hello","max_tokens":5000,"ignore_eos":true}`)
	for s.Stats().Running == 0 {
		time.Sleep(time.Millisecond)
	}
	last := func() engine.Record { // the first asked whether the model is there
		all := s.Ledger()
		return all[len(all)-1]
	}
	for last().First.IsZero() || last().Output < 3 {
		time.Sleep(time.Millisecond)
	}
	told := time.Now()
	if out := ann.does("cancel", fmt.Sprintf(`{"job_id":%q}`, id)); out["cancelled"] != true {
		t.Errorf("%v", out)
	}
	for s.Stats().Running > 0 {
		if time.Since(told) > 10*time.Second {
			t.Fatal("the server goes on")
		}
		time.Sleep(time.Millisecond)
	}
	t.Logf("the server was left after %v", time.Since(told))
	if out := ann.ends(id, "cancelled"); out["result"] != nil {
		t.Errorf("%v", out)
	}
	made := last()
	if !made.Aborted || made.Output < 3 {
		t.Errorf("%+v", made)
	}
	var limits admin.Part[admin.Limit]
	for deadline := time.Now().Add(10 * time.Second); ; {
		operator(t, g, http.MethodGet, "/api/v1/limits", &limits)
		if len(limits.Items) > 0 && limits.Items[0].Used >= float64(made.Input+made.Output) && limits.Items[0].Used < 1000 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server made %d + %d tokens, paid were: %+v", made.Input, made.Output, limits.Items)
		}
		time.Sleep(time.Millisecond)
	}
}

// What is submitted to one process is done by the next. What may be begun only once, and was, is not begun again.
func TestJobsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	s := engine.Start(t, engine.Config{TokenRate: 50, Slots: 4})
	data := filepath.Join(t.TempDir(), "data")
	yaml := jobModel(s) + "jobs: {workers: 2, max_attempts: 1}\n"
	quiet := slog.NewTextHandler(logTo{t}, &slog.HandlerOptions{Level: slog.LevelError})
	t.Run("before", func(t *testing.T) {
		g := startGatewayAt(t, data, yaml, quiet)
		client := submitter{t, g, ""}
		for range 4 {
			client.submit(`{"model":"m","prompt":"hello","max_tokens":5000,"ignore_eos":true}`)
		}
		for s.Stats().Running < 2 {
			time.Sleep(time.Millisecond)
		}
	})
	s.Fail(engine.Fault{Kind: engine.Refuse, Status: http.StatusBadRequest})
	g := startGatewayAt(t, data, yaml, quiet)
	states := map[string]int{}
	var page admin.JobPage
	for deadline := time.Now().Add(20 * time.Second); states["failed"] < 4; {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", page)
		}
		time.Sleep(time.Millisecond)
		clear(states)
		page = admin.JobPage{}
		operator(t, g, http.MethodGet, "/api/v1/jobs", &page)
		for _, j := range page.Items {
			states[j.State]++
		}
	}
	unknown := 0
	for _, j := range page.Items {
		var shown admin.Job
		operator(t, g, http.MethodGet, "/api/v1/jobs/"+j.ID, &shown)
		if shown.Error != nil && shown.Error.Code != -32602 { // what may be begun once and was running is not begun again
			unknown++
		}
	}
	if unknown != 2 {
		t.Errorf("%d of the 4 have another error than the server's: %+v", unknown, page.Items)
	}
}

// When the gateway is shut down, what can end in its time does, and the rest is given back: the next process begins it again, as if it
// had not been begun.
func TestJobsWhenTheGatewayIsShutDown(t *testing.T) {
	t.Parallel()
	s := engine.Start(t, engine.Config{TokenRate: 20, Slots: 4})
	yaml := jobModel(s) + "jobs: {workers: 2}\n"
	g := startForStop(t, "{grace: 0s, drain: 2s}", yaml)
	client := submitter{t, g, ""}
	short := client.submit(`{"model":"m","prompt":"hello","max_tokens":10}`)
	endless := client.submit(`{"model":"m","prompt":"hello","max_tokens":5000,"ignore_eos":true}`)
	waiting := client.submit(`{"model":"m","prompt":"hello","max_tokens":1}`)
	for s.Stats().Running < 2 {
		time.Sleep(time.Millisecond)
	}
	if err := g.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Logf("stop: %v", err) // it may say that there was not time for all
	}
	client.g = startGatewayAt(t, g.Config().DataDir, yaml, slog.NewTextHandler(logTo{t}, nil))
	if out := client.ends(short, "succeeded"); out["attempt"] != 1.0 {
		t.Errorf("what ended in time: %v", out)
	}
	if out := client.ends(waiting, "succeeded"); out["attempt"] != 1.0 {
		t.Errorf("what was not begun: %v", out)
	}
	for {
		out := client.does("status", fmt.Sprintf(`{"job_id":%q}`, endless))
		if out["state"] == "queued" {
			time.Sleep(time.Millisecond)
			continue
		}
		if out["state"] != "running" || out["attempt"] != 1.0 {
			t.Errorf("what was given back: %v", out)
		}
		break
	}
	client.does("cancel", fmt.Sprintf(`{"job_id":%q}`, endless))
}

func TestJobsAreReconfigured(t *testing.T) {
	t.Parallel()
	s := engine.Start(t, engine.Config{TokenRate: 50, Slots: 8})
	g := startGateway(t, jobModel(s)+"jobs: {workers: 1}\n")
	client := submitter{t, g, ""}
	var ids []string
	for range 4 {
		ids = append(ids, client.submit(`{"model":"m","prompt":"hello","max_tokens":5000,"ignore_eos":true}`))
	}
	running := func(want int) {
		t.Helper()
		var seen admin.Overview
		for deadline := time.Now().Add(20 * time.Second); seen.Jobs != want || s.Stats().Running != want; {
			if time.Now().After(deadline) {
				t.Fatalf("%d jobs run, want %d", seen.Jobs, want)
			}
			time.Sleep(time.Millisecond)
			operator(t, g, http.MethodGet, "/api/v1/overview", &seen)
		}
	}
	running(1)
	next := *g.Config()
	next.Jobs.Workers, next.Jobs.MaxParams = 3, 1<<10
	if _, err := g.Reload(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	running(3)
	client.refused("invoke_async", `{"model":"m","prompt":"`+strings.Repeat("x", 2000)+`"}`, http.StatusRequestEntityTooLarge, -32600)
	for _, id := range ids {
		client.does("cancel", fmt.Sprintf(`{"job_id":%q}`, id))
	}
	running(0)
}

// The commands of operators do what they say.
func TestJobCommands(t *testing.T) {
	t.Parallel()
	s := engine.Start(t, engine.Config{})
	g := startGateway(t, jobModel(s)+jobKeys+"jobs: {max_attempts: 1}\n")
	program := headgate(t)
	command := func(exit int, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append([]string{"jobs"}, args...)...)
		cmd.Env = append(os.Environ(), "HEADGATE_ADMIN_URL=http://"+g.AdminAddr())
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run() // the code says it
		if cmd.ProcessState.ExitCode() != exit {
			t.Errorf("jobs %v: exit %d, want %d: %s", args, cmd.ProcessState.ExitCode(), exit, out.String())
		}
		return out.String()
	}
	contains := func(text string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%q is not in:\n%s", part, text)
			}
		}
	}
	ann := submitter{t, g, "ann"}
	good := ann.submit(`{"model":"m","prompt":"secret prompt","max_tokens":4}`)
	ann.ends(good, "succeeded")
	s.Fail(engine.Fault{Kind: engine.Cut, After: 2})
	bad := ann.submit(`{"model":"m","prompt":"secret prompt","max_tokens":4}`)
	ann.ends(bad, "dead")

	contains(command(0, "list"), "JOB", "STATE", good, "succeeded", bad, "dead", "acme/ann", "1/1")
	if text := command(0, "list", "--state", "dead", "--org", "acme"); strings.Contains(text, good) || !strings.Contains(text, bad) {
		t.Errorf("dead are:\n%s", text)
	}
	contains(command(0, "list", "--limit", "1"), good, "there are more: --after "+good)
	contains(command(0, "list", "--limit", "1", "--after", good, "-o", "json"), bad, `"state": "dead"`)
	contains(command(0, "show", good), "succeeded", "4 out", "ann")
	text := command(0, "show", bad, "-o", "json")
	contains(text, `"upstream_`, `"attempts": 1`)
	if strings.Contains(text, "secret prompt") {
		t.Errorf("operators read along: %s", text)
	}
	contains(command(0, "cancel", good), "succeeded")
	s.Heal()
	contains(command(1, "redrive", good), "only a dead job", "jobs show")
	contains(command(0, "redrive", "--all", "--org", "acme"), bad, "queued")
	ann.ends(bad, "succeeded")
	contains(command(0, "redrive", "--all"), "JOB")

	contains(command(1, "show", "job_x"), "no such job", "jobs list")
	contains(command(1, "cancel", "../overview"), "no such job")
	contains(command(1, "redrive"), "--all")
	contains(command(1, "redrive", "--all", "x"), "--all")
	contains(command(1, "list", "--state", "done"), "queued, running")
	contains(command(1, "list", "--limit", "0"), "1 to 999")
	contains(command(1, "cancel"), "needs a job")
	contains(command(1, "show"), "needs a job")
	contains(command(4, "list", "--admin", "http://127.0.0.1:1"), "nothing answers")
	contains(command(0, "redrive", "--help"), "headgate jobs redrive --all")
}

// Without a data directory there are no jobs, and everybody is told so.
func TestNoJobsWithoutADataDirectory(t *testing.T) {
	t.Parallel()
	s := engine.Start(t, engine.Config{})
	cfg := *startGateway(t, jobModel(s)).Config()
	cfg.DataDir = ""
	g, err := gateway.New(t.Context(), &cfg, gateway.Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.StopNow(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := submitter{t, g, ""}
	client.refused("invoke_async", `{"model":"m","prompt":"p"}`, http.StatusNotFound, -32601)
	client.refused("status", `{"job_id":"job_x"}`, http.StatusNotFound, -32010)
	if out := client.does("initialize", `{}`); out["capabilities"].(map[string]any)["async"] != false {
		t.Errorf("%v", out)
	}
	if status := operator(t, g, http.MethodGet, "/api/v1/jobs", nil); status != http.StatusNotFound {
		t.Errorf("operators: %d", status)
	}
}
