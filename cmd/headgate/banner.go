package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
)

// greetAfter is how long the banner waits for upstreams. Some take long: npx may have to download the server first.
const greetAfter = 4 * time.Second

// banner tells once what is served, as soon as the upstreams have answered or some of them take too long.
type banner struct {
	log    *slog.Logger
	format string
	demo   bool
	auth   string // how clients prove who they are
}

// status is what the banner tells.
type status struct {
	url, admin   string
	auth         string
	up           []string
	down         []string // with the reasons
	starting     []string
	models       []string // that are not switched off
	tools, total int
	next         string
}

// greet prints the banner in the background, because service must not wait for it. The function it returns keeps it from being printed
// from then on.
func (a *app) greet(ctx context.Context, g *gateway.Gateway, b banner) (hush func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		warm, enough := context.WithTimeout(ctx, greetAfter)
		defer enough()
		if g.Warm(warm); ctx.Err() == nil {
			a.print(statusOf(g, b), b)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// print prints the banner, in a log of JSON as a record.
func (a *app) print(s status, b banner) {
	if b.format == "text" {
		fmt.Fprint(a.err, a.visible(a.err, s.String()))
		return
	}
	b.log.Info("serving", "url", s.url, "admin", s.admin, "upstreams", s.total, "up", s.up, "down", s.down, "starting", s.starting,
		"tools", s.tools, "models", s.models, "auth", b.auth)
}

// authOf says how clients prove who they are. Only loopback is served without.
func authOf(a *config.Auth) string {
	if a == nil {
		return "none (loopback only)"
	}
	ways := []string{"API keys"}
	for _, w := range []struct {
		name string
		used bool
	}{
		{"signed tokens", len(a.JWT) > 0},
		{"introspected tokens", len(a.Introspection) > 0},
		{"client certificates", len(a.Certificates) > 0},
		{"or none at all", a.Anonymous != nil},
	} {
		if w.used {
			ways = append(ways, w.name)
		}
	}
	return strings.Join(ways, ", ")
}

func statusOf(g *gateway.Gateway, b banner) status {
	s := status{url: g.URL(), auth: b.auth, admin: "http://" + g.AdminAddr(), up: []string{}, down: []string{}, starting: []string{}, models: []string{}}
	for _, u := range g.Upstreams() {
		s.total++
		s.tools += u.Tools
		switch u.State {
		case "up":
			s.up = append(s.up, u.Name)
		case "connecting":
			s.starting = append(s.starting, u.Name)
		default:
			s.down = append(s.down, u.Name+": "+u.Note)
		}
	}
	for _, m := range g.Config().Models {
		if m.Disabled == "" {
			s.models = append(s.models, m.Name)
		}
	}
	command := "tools"
	if s.total == 0 && len(s.models) > 0 && !strings.ContainsAny(s.models[0], "*?") {
		command = "invoke " + s.models[0] + " Hello"
	}
	if b.demo {
		command = "call demo__add a=2 b=3"
	}
	s.next = invocation() + " " + command
	if s.url != defaultURL() {
		s.next += " --url " + s.url
	}
	return s
}

// String returns the banner for people.
func (s status) String() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s %s\n", label, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "Headgate %s\n", buildOf().Version)
	line("clients", "%s", s.url)
	line("operators", "%s/readyz", s.admin)
	line("upstreams", "%s", s.upstreams())
	for _, d := range s.down {
		line("", "down  %s", strings.ReplaceAll(d, "\n", " "))
	}
	if len(s.starting) > 0 {
		line("", "still starting: %s (it may be downloading)", strings.Join(s.starting, ", "))
	}
	line("tools", "%d", s.tools)
	if len(s.models) > 0 {
		line("models", "%s", strings.Join(s.models, ", "))
	}
	line("auth", "%s", s.auth)
	line("try", "%s", s.next)
	return b.String()
}

func (s status) upstreams() string {
	switch {
	case s.total == 0:
		return "none are configured"
	case len(s.up) == 0:
		return fmt.Sprintf("0 of %d up", s.total)
	}
	return fmt.Sprintf("%d of %d up: %s", len(s.up), s.total, strings.Join(s.up, ", "))
}
