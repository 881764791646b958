package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
)

func TestFramesFitTheTerminal(t *testing.T) {
	t.Parallel()
	frame := "first line\nsecond\n\nfourth\n"
	for name, test := range map[string]struct {
		width, height int
		want          []string
	}{
		"all of it":  {80, 24, []string{"first line", "second", "", "fourth"}},
		"too narrow": {6, 24, []string{"first…", "second", "", "fourth"}},
		"too low":    {80, 2, []string{"first line", "second"}},
		"no size":    {0, 0, []string{"…"}},
	} {
		got := fitted(frame, test.width, test.height)
		rest, ok := strings.CutPrefix(got, cursorHome)
		rest, ok2 := strings.CutSuffix(rest, clearBelow)
		if diff := cmp.Diff(test.want, strings.Split(strings.ReplaceAll(rest, clearLine, ""), "\r\n")); diff != "" || !ok || !ok2 {
			t.Errorf("%s: %q\n%s", name, got, diff)
		}
	}
}

// What a gateway, or somebody in its place, sends moves no cursor, whatever it is.
func TestFramesShowTextFromOutsideOnly(t *testing.T) {
	t.Parallel()
	evil := "\x1b[2J\x1b]0;title\x07\r\nnew\u202eline\u0085"
	text, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	e := string(text)
	event := fmt.Sprintf(`{"overview":{"version":%s},"upstreams":{"items":[{"name":%s,"state":%s,"error":%s,"backends":[{"backend":%s,"state":%s}]}]},`+
		`"calls":{"total":5,"items":[{"id":%s,"method":%s,"target":%s,"principal":{"org":%s},"phase":%s,"session":%s,"requestId":%s}]},`+
		`"recent":{"items":[{"method":%s,"target":%s,"outcome":%s}]},"sessions":{"items":[{"id":%s,"client":%s}]},"limits":{"items":[{"limit":%s,"address":%s}]}}`,
		e, e, e, e, e, e, e, e, e, e, e, e, e, e, e, e, e, e, e, e)
	var s standing
	if err := s.update([]byte(event)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := errors.Join(s.frame(&out), s.page(&out)); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsAny(got, "\x1b\x07\r\u202e\u0085") || strings.Contains(got, "\nnew") || !strings.Contains(got, "… and 4 more") {
		t.Errorf("%q", got)
	}
}

// A section of an event replaces the whole one before it; the others stay.
func TestEventsAreTakenIn(t *testing.T) {
	t.Parallel()
	stream := ": hb\n\nevent: snapshot\ndata: {\"overview\":{\"calls\":1},\"calls\":{\"total\":1,\"items\":[{\"id\":\"a\",\"target\":\"t\"}]}}\n\n" +
		"event: delta\ndata: {\"calls\":{\"total\":1,\"items\":[{\"id\":\"b\"}]},\"new\":1}\n\nevent: delta\ndata: {\"calls\":{\"total\":0,\"items\":[]}}\n\n"
	var s standing
	var got []string
	err := eachEvent(strings.NewReader(stream), func(data []byte) error {
		err := s.update(data)
		got = append(got, fmt.Sprint(s.Overview.Calls, s.Calls.Total))
		if len(s.Calls.Items) > 0 {
			got = append(got, s.Calls.Items[0].ID+s.Calls.Items[0].Target)
		}
		return err
	})
	if diff := cmp.Diff([]string{"1 1", "at", "1 1", "b", "1 0"}, got); diff != "" || !errors.Is(err, io.EOF) {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, bad := range []string{"data: {\n", "data: {\"calls\":[]}\n"} {
		if err := eachEvent(strings.NewReader(bad), s.update); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestQuitting(t *testing.T) {
	t.Parallel()
	for _, keys := range []string{"q", "xyQ", "a\x03", "\x04", ""} {
		left := 0
		awaitQuit(strings.NewReader(keys), func() { left++ })
		if left != 1 {
			t.Errorf("%q: left %d times", keys, left)
		}
	}
}

// Where operators connect comes from the environment, and so does what they show there, which no list of processes has.
func TestOperatorsComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"": "http://" + config.Default().Admin.Listen, "http://127.0.0.1:1": "http://127.0.0.1:1"} {
		a := &app{environ: []string{"HEADGATE_ADMIN_URL=" + value}}
		if got := a.statusCommand().Flag("admin").DefValue; got != want {
			t.Errorf("%s: default %s, want %s", value, got, want)
		}
	}
	var shown string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = r.Header.Get("Authorization")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer web.Close()
	a := &app{out: io.Discard, err: io.Discard, environ: []string{"HEADGATE_ADMIN_TOKEN=sesame"}}
	if code := a.run(t.Context(), []string{"status", "--admin", web.URL}); code != exitAuth || shown != "Bearer sesame" {
		t.Errorf("exit code %d, shown %q", code, shown)
	}
}

func TestAges(t *testing.T) {
	t.Parallel()
	for ms, want := range map[float64]string{0: "0ms", 999.9: "999ms", 1000: "1.0s", 9949: "9.9s", 59_999: "59s", 90_000: "1m30s", 3_600_000: "1h00m", 200_000_000: "2d07h"} {
		if got := age(ms); got != want {
			t.Errorf("%v: %s, want %s", ms, got, want)
		}
	}
}
