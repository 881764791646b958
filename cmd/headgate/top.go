package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// What moves a terminal's cursor, clears what is to the right of it or below, and shows another screen for a while.
const (
	cursorHome  = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
	otherScreen = "\x1b[?1049h\x1b[?25l"
	firstScreen = "\x1b[?25h\x1b[?1049l"
)

// maxEvent bounds one event of the stream.
const maxEvent = 16 << 20

func (a *app) topCommand() *cobra.Command {
	var to operators
	var frames int
	cmd := &cobra.Command{
		Use: "top", Short: "Watch what a running gateway does", Args: noArgs,
		Long: "Watch a running gateway: the process, its upstreams, the calls in flight, and those that ended last with where their time went. It is drawn\n" +
			"anew each second. q or Ctrl-C leaves. Where the output is no terminal one frame is printed after the other, with -o json one object a line.",
		Example: "  headgate top\n  headgate top --frames 1\n  headgate top -o json | jq .overview.calls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			return a.top(ctx, &to, frames)
		},
	}
	to.register(cmd, a)
	a.outputFlag(cmd)
	cmd.Flags().IntVar(&frames, "frames", 0, "how many frames to show; 0 goes on")
	return cmd
}

// errLeft ends the watching when the user wants that.
var errLeft = errors.New("left")

func (a *app) top(ctx context.Context, to *operators, frames int) error {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	response, err := to.open(ctx, http.MethodGet, "/api/v1/events", struct{}{})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return &failure{exit: exitRefused, Code: "unavailable", Status: response.StatusCode, Message: to.address + " lets nobody else watch", Hint: "try again later"}
	}
	shown := &screen{app: a}
	shown.enter(func() { leave(errLeft) })
	defer shown.exit()
	var s standing
	left := frames
	err = eachEvent(response.Body, func(data []byte) error {
		if err := s.update(data); err != nil {
			return err
		}
		if err := shown.draw(&s); err != nil {
			return err
		}
		if left--; left == 0 {
			return errLeft
		}
		return nil
	})
	switch {
	case errors.Is(err, errLeft), ctx.Err() != nil:
		return nil
	case errors.Is(err, io.EOF):
		return &failure{exit: exitUnreachable, Code: "ended", Message: to.address + " has ended the stream", Hint: "did the gateway stop?"}
	}
	return unexpected(err)
}

// eachEvent calls f with the data of each event of a stream.
func eachEvent(r io.Reader, f func(data []byte) error) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if len(data) > maxEvent {
			return fmt.Errorf("an event of %d bytes", len(data))
		}
		if !ok {
			continue
		}
		if err := f(data); err != nil {
			return err
		}
	}
}

// update takes in the sections of an event, each of which is whole.
func (s *standing) update(data []byte) error {
	var sections map[string]json.RawMessage
	if err := json.Unmarshal(data, &sections); err != nil {
		return err
	}
	for name, into := range map[string]func(json.RawMessage) error{
		"overview": section(&s.Overview), "upstreams": section(&s.Upstreams), "models": section(&s.Models), "calls": section(&s.Calls), "streams": section(&s.Streams),
		"connections": section(&s.Connections), "sessions": section(&s.Sessions), "limits": section(&s.Limits), "recent": section(&s.Recent),
	} {
		if text := sections[name]; text != nil {
			if err := into(text); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// section reads a section that replaces the one before it.
func section[T any](into *T) func(json.RawMessage) error {
	return func(text json.RawMessage) error {
		var next T
		err := json.Unmarshal(text, &next)
		*into = next
		return err
	}
}

// screen is where frames are shown: a terminal, or anything else.
type screen struct {
	app     *app
	file    *os.File // the terminal; nil if it is none
	restore func()
}

// enter prepares the terminal, if it is one, and calls leave when its user wants to.
func (s *screen) enter(leave func()) {
	s.restore = func() {}
	out, ok := s.app.out.(*os.File)
	if !ok || s.app.output == asJSON || !isTerminal(out) {
		return
	}
	s.file = out
	fmt.Fprint(out, otherScreen)
	if in, ok := s.app.in.(*os.File); ok && isTerminal(in) {
		if old, err := term.MakeRaw(int(in.Fd())); err == nil {
			s.restore = func() { _ = term.Restore(int(in.Fd()), old) } // the shell mends it else
			go awaitQuit(in, leave)
		}
	}
}

// awaitQuit calls leave when somebody types q, Ctrl-C or Ctrl-D. The read ends with the process.
func awaitQuit(in io.Reader, leave func()) {
	var key [1]byte
	for {
		if n, err := in.Read(key[:]); err != nil || n == 1 && strings.IndexByte("qQ\x03\x04", key[0]) >= 0 {
			leave()
			return
		}
	}
}

func (s *screen) exit() {
	s.restore()
	if s.file != nil {
		fmt.Fprint(s.file, firstScreen)
	}
}

// draw shows a frame: in place of the last one, or below it.
func (s *screen) draw(now *standing) error {
	if s.app.output == asJSON {
		return json.NewEncoder(s.app.out).Encode(now)
	}
	var frame bytes.Buffer
	if err := now.frame(&frame); err != nil {
		return err
	}
	if s.file == nil {
		_, err := fmt.Fprintf(s.app.out, "%s\n", frame.Bytes())
		return err
	}
	width, height, err := term.GetSize(int(s.file.Fd()))
	if err != nil {
		width, height = 80, 24
	}
	_, err = io.WriteString(s.file, fitted(frame.String(), width, height))
	return err
}

// frame writes all that is watched.
func (s *standing) frame(w io.Writer) error {
	if _, err := fmt.Fprintln(w, s.headline()); err != nil {
		return err
	}
	for _, t := range []table{s.upstreams(), s.models(), s.backends(), s.calls(), s.recent()} {
		if err := t.below(w); err != nil {
			return err
		}
	}
	return nil
}

// fitted returns a frame as a terminal of a size shows it in the place of another one.
func fitted(frame string, width, height int) string {
	lines := strings.Split(strings.TrimRight(frame, "\n"), "\n")
	if len(lines) > height {
		lines = lines[:max(height, 1)]
	}
	var out strings.Builder
	out.WriteString(cursorHome)
	for i, line := range lines {
		if i > 0 {
			out.WriteString("\r\n")
		}
		out.WriteString(shorten(line, max(width, 1)))
		out.WriteString(clearLine)
	}
	out.WriteString(clearBelow)
	return out.String()
}
