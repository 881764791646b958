package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/rpc"
)

// jobs asks the listener for operators about jobs. What it says in refusal is the failure.
func (o *operators) jobs(ctx context.Context, method, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var answer json.RawMessage
	status, err := o.send(ctx, method, "/api/v1/jobs"+path, struct{}{}, &answer)
	if err != nil {
		return err
	}
	if status == http.StatusOK {
		if err := json.Unmarshal(answer, into); err != nil {
			return unexpected(fmt.Errorf("%s answered what cannot be read: %w", o.address, err))
		}
		return nil
	}
	var refused struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(answer, &refused) // then there is no reason to show
	f := &failure{exit: exitUnexpected, Code: "refused", Status: status, Message: "the gateway says: " + rpc.Excerpt(refused.Error)}
	switch status {
	case http.StatusNotFound:
		f.Code, f.Hint = "not_found", invocation()+" jobs list shows which there are"
	case http.StatusConflict:
		f.Code, f.Hint = "not_dead", invocation()+" jobs show tells how a job stands"
	case http.StatusServiceUnavailable:
		f.exit, f.Code = exitUnreachable, "unavailable"
	}
	return f
}

func (a *app) listJobs(ctx context.Context, to *operators, chosen jobsChosen) error {
	var page admin.JobPage
	if err := to.jobs(ctx, http.MethodGet, chosen.query(), &page); err != nil {
		return err
	}
	if a.output == asJSON {
		return a.printJSON(page)
	}
	rows := make([][]string, 0, len(page.Items))
	for i := range page.Items {
		b := &page.Items[i]
		rows = append(rows, []string{
			b.ID, b.State, dash(shorten(b.Model, 40)), who(b.Principal), fmt.Sprintf("%d/%d", b.Attempt, b.Attempts), since(b.Created), took(b), dash(jobNote(b)),
		})
	}
	if err := a.printTable([]string{"JOB", "STATE", "MODEL", "WHO", "ATTEMPT", "AGE", "RAN", "NOTE"}, rows); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintf(a.err, "there are more: --after %s\n", a.visible(a.err, page.Next))
	}
	return nil
}

// took is how long the last attempt of a job took, or has taken.
func took(b *admin.Job) string {
	switch {
	case b.Started == nil:
		return "-"
	case b.Finished != nil:
		return age(float64(b.Finished.Sub(*b.Started).Milliseconds()))
	case b.State == "running":
		return since(*b.Started)
	}
	return "-"
}

// jobNote is what is remarkable about a job.
func jobNote(b *admin.Job) string {
	switch {
	case b.Lost:
		return "its process ended"
	case b.NotBefore != nil && time.Until(*b.NotBefore) > 0:
		return "again in " + age(float64(time.Until(*b.NotBefore).Milliseconds()))
	}
	return ""
}

func (a *app) showJob(ctx context.Context, to *operators, id string) error {
	var b admin.Job
	if err := to.jobs(ctx, http.MethodGet, "/"+url.PathEscape(id), &b); err != nil {
		return err
	}
	if a.output == asJSON {
		return a.printJSON(b)
	}
	rows := [][]string{
		{"state", b.State},
		{"model", dash(b.Model)},
		{"who", who(b.Principal)},
		{"attempt", fmt.Sprintf("%d of %d", b.Attempt, b.Attempts)},
		{"submitted", at(&b.Created)},
		{"begun", at(b.Started)},
		{"ended", at(b.Finished)},
		{"ran", took(&b)},
	}
	if note := jobNote(&b); note != "" {
		rows = append(rows, []string{"note", note})
	}
	if b.Error != nil {
		rows = append(rows, []string{"error", strconv.FormatInt(b.Error.Code, 10) + " " + b.Error.Message})
	}
	if u := b.Usage; u != nil {
		rows = append(rows, []string{"used", fmt.Sprintf("%d tokens in, %d out", u.Input, u.Output)})
	}
	return a.printTable([]string{"JOB", b.ID}, rows)
}

// at is a time for people.
func at(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// changedJob is how a job stands after what was done to it.
type changedJob struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

// changeJobs does something to jobs, one after another, and ends with the first that cannot be changed.
func (a *app) changeJobs(ctx context.Context, to *operators, verb string, ids []string) error {
	done := make([]changedJob, 0, len(ids))
	var failed error
	for _, id := range ids {
		var out changedJob
		if failed = to.jobs(ctx, http.MethodPost, "/"+url.PathEscape(id)+"/"+verb, &out); failed != nil {
			break
		}
		done = append(done, out)
	}
	var err error
	if a.output == asJSON {
		err = a.printJSON(map[string]any{"jobs": done})
	} else {
		rows := make([][]string, 0, len(done))
		for _, b := range done {
			rows = append(rows, []string{b.ID, b.State})
		}
		err = a.printTable([]string{"JOB", "STATE"}, rows)
	}
	if failed != nil {
		return failed
	}
	return err
}

// allJobs returns the ids of all jobs that are chosen.
func allJobs(ctx context.Context, to *operators, chosen jobsChosen) ([]string, error) {
	var ids []string
	for {
		var page admin.JobPage
		if err := to.jobs(ctx, http.MethodGet, chosen.query(), &page); err != nil {
			return nil, err
		}
		for _, b := range page.Items {
			ids = append(ids, b.ID)
		}
		if chosen.after = page.Next; chosen.after == "" {
			return ids, nil
		}
	}
}
