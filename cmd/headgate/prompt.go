package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// inputs returns a way to ask for the values that a client's file leaves to a person (${input:ID}); nil where nobody can be asked.
func (a *app) inputs() inputs {
	typed, ok := a.in.(*os.File)
	if !ok || !isTerminal(typed) {
		return nil
	}
	lines := bufio.NewReader(typed)
	return func(id, description string, password bool) (string, bool) {
		console, done := a.console()
		defer done()
		if description == "" {
			description = id
		}
		fmt.Fprintf(console, "%s: ", visible(description))
		if password {
			secret, err := term.ReadPassword(int(typed.Fd()))
			fmt.Fprintln(console)
			return string(secret), err == nil && len(secret) > 0
		}
		line, err := lines.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		return line, err == nil && line != ""
	}
}

// console returns where a person sees a question, even if standard error goes to a file.
func (a *app) console() (w io.Writer, done func()) {
	if tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil {
		return tty, func() { _ = tty.Close() } // nothing is left to write
	}
	return a.err, func() {}
}
