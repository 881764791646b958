package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/admin/live"
)

// statusTimeout bounds one look at a gateway.
const statusTimeout = 10 * time.Second

// standing is what a gateway does, as its operators' listener tells it.
type standing struct {
	Overview    admin.Overview               `json:"overview"`
	Upstreams   admin.Part[admin.Upstream]   `json:"upstreams"`
	Models      admin.Part[admin.Model]      `json:"models"`
	Calls       admin.Part[live.Call]        `json:"calls"`
	Streams     admin.Part[live.Call]        `json:"streams"`
	Connections admin.Part[admin.Connection] `json:"connections"`
	Sessions    admin.Part[admin.Session]    `json:"sessions"`
	Limits      admin.Part[admin.Limit]      `json:"limits"`
	Recent      admin.Part[live.Ended]       `json:"recent"`
}

func (a *app) statusCommand() *cobra.Command {
	var to operators
	cmd := &cobra.Command{
		Use: "status", Short: "Show how a running gateway and its upstreams are", Args: noArgs,
		Long: "Show a running gateway on one page: the process, each upstream with its replicas, breakers and queue, the sessions used last, and how the\n" +
			"limits stand for those who call most. The exit code is 7 if some upstream or model is down.",
		Example: "  headgate status\n  headgate status -o json\n  HEADGATE_ADMIN_URL=http://127.0.0.1:9001 headgate status",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context(), &to) },
	}
	to.register(cmd, a)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) status(ctx context.Context, to *operators) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var s standing
	for _, part := range []struct {
		path string
		into any
	}{
		{"overview", &s.Overview},
		{"upstreams?limit=1000", &s.Upstreams},
		{"models?limit=1000", &s.Models},
		{"sessions?limit=10", &s.Sessions},
		{"limits?limit=20", &s.Limits},
	} {
		if err := to.get(ctx, "/api/v1/"+part.path, part.into); err != nil {
			return err
		}
	}
	var err error
	if a.output == asJSON {
		err = a.printJSON(map[string]any{"overview": s.Overview, "upstreams": s.Upstreams, "models": s.Models, "sessions": s.Sessions, "limits": s.Limits})
	} else {
		err = s.page(a.out)
	}
	if err != nil {
		return err
	}
	return s.degraded()
}

// degraded is the failure of a gateway with an upstream or a model that is down; nil if none is.
func (s *standing) degraded() error {
	var down []string
	for _, u := range s.Upstreams.Items {
		if u.State == "down" {
			down = append(down, u.Name)
		}
	}
	what, all := "upstreams", len(s.Upstreams.Items)
	if len(down) == 0 {
		what, all = "models", len(s.Models.Items)
		for _, m := range s.Models.Items {
			if m.State == "down" {
				down = append(down, m.Name)
			}
		}
	}
	if len(down) == 0 {
		return nil
	}
	return &failure{
		exit: exitDegraded, Code: "degraded", Hint: invocation() + " doctor tells more",
		Message: fmt.Sprintf("%d of %d %s are down: %s", len(down), all, what, strings.Join(down, ", ")),
	}
}

// page writes everything on one page.
func (s *standing) page(w io.Writer) error {
	if _, err := fmt.Fprintln(w, s.headline()); err != nil {
		return err
	}
	for _, t := range []table{s.upstreams(), s.models(), s.backends(), s.sessions(), s.limits()} {
		if err := t.below(w); err != nil {
			return err
		}
	}
	return nil
}

// headline is the process in one line.
func (s *standing) headline() string {
	o := &s.Overview
	ready := "ready"
	if !o.Ready {
		ready = "not ready"
	}
	return fmt.Sprintf("headgate %s  %s  up %s  generation %d  calls %d  streams %d  parked %d  sessions %d  jobs %d  memory %s of %s  goroutines %d",
		strings.Join(strings.Fields(visible(o.Version)), " "), ready, age(o.Uptime*1000), o.Generation, o.Calls, o.Streams, o.Parked, o.Sessions, o.Jobs, mebibytes(o.Heap), mebibytes(o.Memory), o.Goroutines)
}

// age is a time in milliseconds for people.
func age(ms float64) string {
	switch d := time.Duration(ms * float64(time.Millisecond)); {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return d.Truncate(time.Second).String()
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}

func mebibytes(n uint64) string { return fmt.Sprintf("%d MiB", (n+1<<19)>>20) }
