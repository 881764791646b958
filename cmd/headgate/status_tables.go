package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/admin/live"
)

// table is a part of a page. One without rows is left out.
type table struct {
	header []string
	rows   [][]string
	more   int // rows that are not shown
}

// below writes the table after an empty line.
func (t table) below(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := writeTable(w, t.header, t.rows); err != nil || t.more <= 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "… and %d more\n", t.more)
	return err
}

func (s *standing) upstreams() table {
	t := table{header: []string{"UPSTREAM", "STATE", "ERA", "TRANSPORT", "TOOLS", "IN FLIGHT", "WAITING", "SHED", "RESTARTS", "NOTE"}, more: s.Upstreams.Total - len(s.Upstreams.Items)}
	for i := range s.Upstreams.Items {
		u := &s.Upstreams.Items[i]
		flying, waiting, shed := 0, "-", "-"
		for _, b := range u.Backends {
			flying += b.InFlight
		}
		if u.Queue != nil {
			waiting, shed = queued(u.Queue)
		}
		t.rows = append(t.rows, []string{
			u.Name, u.State, dash(u.Era), dash(u.Transport), strconv.Itoa(u.Tools), strconv.Itoa(flying), waiting, shed, strconv.Itoa(u.Restarts),
			shorten(firstOr(u.Error, firstOr(u.Note, mirrored(u.Mirror))), 100),
		})
	}
	return t
}

// queued says how many calls wait, and how many were refused.
func queued(q *admin.Queue) (waiting, shed string) {
	waiting = strconv.Itoa(q.Waiting)
	if q.Waiting > 0 {
		waiting += " (" + age(q.Oldest) + ")"
	}
	var n uint64
	for _, count := range q.Shed {
		n += count
	}
	return waiting, strconv.FormatUint(n, 10)
}

func (s *standing) models() table {
	t := table{header: []string{"MODEL", "STATE", "BACKENDS", "IN FLIGHT", "WAITING", "SHED", "NOTE"}, more: s.Models.Total - len(s.Models.Items)}
	for i := range s.Models.Items {
		m := &s.Models.Items[i]
		flying, well, waiting, shed := 0, 0, "-", "-"
		for _, b := range m.Backends {
			flying += b.InFlight
			if b.State == "up" {
				well++
			}
		}
		if m.Queue != nil {
			waiting, shed = queued(m.Queue)
		}
		t.rows = append(t.rows, []string{m.Name, m.State, fmt.Sprintf("%d of %d up", well, len(m.Backends)), strconv.Itoa(flying), waiting, shed, shorten(m.Note, 100)})
	}
	return t
}

// mirrored says what became of the copies that an upstream got.
func mirrored(m *admin.Mirror) string {
	if m == nil {
		return ""
	}
	return fmt.Sprintf("mirror: %d equal, %d different, %d failed, %d dropped", m.Equal, m.Different, m.Failed, m.Dropped)
}

// backends are those of upstreams and models with several, and those that something is wrong with.
func (s *standing) backends() table {
	t := table{header: []string{"OF", "BACKEND", "STATE", "BREAKER", "IN FLIGHT", "WEIGHT", "FAILURES", "EJECTIONS", "BACK IN"}}
	add := func(name string, all []admin.Backend) {
		for _, b := range all {
			if len(all) == 1 && b.State == "up" && (b.Breaker == "" || b.Breaker == "closed") {
				continue
			}
			back := "-"
			if b.Back > 0 {
				back = age(b.Back)
			}
			t.rows = append(t.rows, []string{
				name, dash(b.Backend), b.State, dash(b.Breaker), strconv.Itoa(b.InFlight), fmt.Sprintf("%g", float64(b.Weight)*b.Share),
				strconv.FormatUint(b.Failures, 10), strconv.Itoa(b.Ejections), back,
			})
		}
	}
	for i := range s.Upstreams.Items {
		add(s.Upstreams.Items[i].Name, s.Upstreams.Items[i].Backends)
	}
	for i := range s.Models.Items {
		add(s.Models.Items[i].Name, s.Models.Items[i].Backends)
	}
	return t
}

func (s *standing) sessions() table {
	t := table{header: []string{"SESSION", "CLIENT", "REVISION", "ENDPOINT", "WHO", "AGE", "LAST USED", "IN FLIGHT", "STREAMS"}, more: s.Sessions.Total - len(s.Sessions.Items)}
	for i := range s.Sessions.Items {
		v := &s.Sessions.Items[i]
		t.rows = append(t.rows, []string{
			v.ID, dash(strings.TrimSpace(v.Client + " " + v.Version)), v.Revision, v.Endpoint, who(v.Principal), since(v.Created), since(v.Used) + " ago",
			strconv.Itoa(v.InFlight), strconv.Itoa(v.Streams),
		})
	}
	return t
}

func (s *standing) limits() table {
	t := table{header: []string{"LIMIT", "WHOSE", "USED", "OF", "LEFT", "UNIT", "EMPTY IN", "RULE"}, more: s.Limits.Total - len(s.Limits.Items)}
	for i := range s.Limits.Items {
		l := &s.Limits.Items[i]
		reset := "-"
		if l.Reset > 0 {
			reset = age(l.Reset * 1000)
		}
		text := l.Text
		if !l.Enforced {
			text += " (not enforced)"
		}
		t.rows = append(t.rows, []string{
			l.Limit, firstOr(l.Address, who(l.Principal)), fmt.Sprintf("%g", l.Used), fmt.Sprintf("%g", l.Max), fmt.Sprintf("%g", l.Remaining), l.Unit, reset, text,
		})
	}
	return t
}

// calls are those in flight and the streams that stand open.
func (s *standing) calls() table {
	t := table{
		header: []string{"ID", "METHOD", "TARGET", "WHO", "PHASE", "AGE", "UPSTREAM", "SESSION", "REQUEST"},
		more:   s.Calls.Total - len(s.Calls.Items) + s.Streams.Total - len(s.Streams.Items) + s.Connections.Total - len(s.Connections.Items),
	}
	for _, list := range [][]live.Call{s.Calls.Items, s.Streams.Items} {
		for i := range list {
			c := &list[i]
			phase := c.Phase
			switch {
			case c.Waits != "":
				phase += " (" + c.Waits + ")"
			case c.Usage != nil:
				phase += fmt.Sprintf(" (%d tokens)", c.Usage.Output)
			}
			t.rows = append(t.rows, []string{
				c.ID, c.Method, firstOr(shorten(c.Target, 40), c.Endpoint), who(c.Principal), phase, age(c.Age), strings.TrimSpace(c.Upstream + " " + c.Backend),
				dash(c.Session), dash(shorten(c.Request, 20)),
			})
		}
	}
	for i := range s.Connections.Items {
		c := &s.Connections.Items[i]
		t.rows = append(t.rows, []string{
			c.ID, c.Transport, c.Endpoint, who(c.Principal), fmt.Sprintf("open (%d calls)", c.InFlight), since(c.Since), "", dash(c.Session), "-",
		})
	}
	return t
}

func (s *standing) recent() table {
	t := table{header: []string{"ENDED", "METHOD", "TARGET", "WHO", "OUTCOME", "TOTAL", "POLICY", "QUEUE", "FIRST", "UPSTREAM", "RELAY"}}
	for i := range s.Recent.Items {
		e := &s.Recent.Items[i]
		outcome := e.Outcome
		if e.Cached {
			outcome += " (cached)"
		}
		t.rows = append(t.rows, []string{
			e.Received.Add(time.Duration(e.Timing.Total * float64(time.Millisecond))).Local().Format(time.TimeOnly), e.Method, firstOr(shorten(e.Target, 40), e.Endpoint),
			who(e.Principal), outcome, ms(e.Timing.Total), ms(e.Timing.Policy), ms(e.Timing.Queue), ms(e.Timing.First), ms(e.Timing.Upstream), ms(e.Timing.Relay),
		})
	}
	return t
}

func ms(n float64) string { return fmt.Sprintf("%.2fms", n) }

// who is a principal for people.
func who(p live.Principal) string {
	var parts []string
	for _, part := range []string{p.Org, p.Team, p.Key, p.User} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return dash(strings.Join(parts, "/"))
}

func since(t time.Time) string { return age(float64(time.Since(t).Milliseconds())) }
