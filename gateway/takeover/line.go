package takeover

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
)

// What the two say to each other, a line at a time. Neither speaks before it has been answered, so that lines never come
// together.
const (
	wordTakeover = "takeover 1" // the version of what follows
	wordSockets  = "sockets"    // and their names
	wordReady    = "ready"
	wordYours    = "yours"
	wordServing  = "serving"
)

const (
	maxLine    = 1 << 10
	maxSockets = 8
)

// line is a connection between predecessor and successor.
type line struct{ conn *net.UnixConn }

func (l *line) say(word string) error {
	_, err := l.conn.Write([]byte(word + "\n"))
	return err
}

// expect reads a line that has to be a word.
func (l *line) expect(word string) error {
	got, _, err := l.read(nil)
	if err == nil && got != word {
		err = fmt.Errorf("it said %q, not %q", got, word)
	}
	return err
}

// read reads a line, and what of out-of-band data comes with its first bytes.
func (l *line) read(aside []byte) (text string, besides int, err error) {
	buf := make([]byte, 0, maxLine)
	for len(buf) < maxLine {
		n, oob, _, _, err := l.conn.ReadMsgUnix(buf[len(buf):maxLine], aside[besides:])
		besides += oob
		if err != nil {
			return "", besides, err
		}
		if n == 0 {
			return "", besides, errors.New("it has ended")
		}
		buf = buf[:len(buf)+n]
		if text, ok := strings.CutSuffix(string(buf), "\n"); ok {
			return text, besides, nil
		}
	}
	return "", besides, fmt.Errorf("it said more than %d bytes", maxLine)
}

// sendSockets passes sockets on, in the order of their names.
func (l *line) sendSockets(s Sockets) error {
	names := slices.Sorted(maps.Keys(s))
	fds := make([]int, 0, len(names))
	for _, name := range names {
		fd, err := descriptor(s[name])
		if err != nil {
			return err
		}
		fds = append(fds, fd)
	}
	text := []byte(strings.Join(append([]string{wordSockets}, names...), " ") + "\n")
	n, _, err := l.conn.WriteMsgUnix(text, rightsOf(fds), nil)
	if err == nil && n < len(text) {
		_, err = l.conn.Write(text[n:])
	}
	return err
}

// takeSockets receives what sendSockets sends.
func (l *line) takeSockets() (Sockets, error) {
	aside := make([]byte, rightsSize(maxSockets))
	text, n, err := l.read(aside)
	fds, wrong := descriptors(aside[:n])
	files := make([]*os.File, 0, len(fds))
	for _, fd := range fds {
		files = append(files, os.NewFile(uintptr(fd), "socket"))
	}
	words := strings.Fields(text)
	if err = errors.Join(err, wrong); err == nil && (len(words) == 0 || words[0] != wordSockets || len(words)-1 != len(files)) {
		err = fmt.Errorf("it said %q with %d sockets", text, len(files))
	}
	if err != nil {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
		return nil, err
	}
	out := Sockets{}
	for i, f := range files {
		out[words[i+1]] = f
	}
	return out, nil
}

// descriptor returns a file's descriptor. File.Fd would make it a blocking one, which it shares with those who accept.
func descriptor(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}
