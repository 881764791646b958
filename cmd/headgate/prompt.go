package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// inputs returns a way to ask for the values that a client's file leaves to a person (${input:ID}); nil where nobody can be asked.
func (a *app) inputs() func(id, description string, password bool) (string, bool) {
	terminal, ok := a.in.(*os.File)
	if !ok || !isTerminal(terminal) || !isTerminal(a.err) {
		return nil
	}
	lines := bufio.NewReader(terminal)
	return func(id, description string, password bool) (string, bool) {
		if description == "" {
			description = id
		}
		fmt.Fprintf(a.err, "%s: ", visible(description))
		if password {
			secret, err := term.ReadPassword(int(terminal.Fd()))
			fmt.Fprintln(a.err)
			return string(secret), err == nil && len(secret) > 0
		}
		line, err := lines.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		return line, err == nil && line != ""
	}
}
