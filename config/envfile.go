package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// readEnvFile reads lines NAME=VALUE, as editors' envFile has them: comments begin with #, an export in front is allowed, a value may stand in
// single quotes (as it is) or double quotes (with \n, \t, \" and \\). Variables in values are not replaced.
func readEnvFile(path string) (map[string]string, error) {
	data, err := readBounded(path, maxFile)
	switch {
	case err != nil:
		return nil, readError(err)
	case !utf8.Valid(data):
		return nil, errors.New("is not UTF-8")
	}
	values := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	lines.Buffer(nil, maxFile+1)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		if !ok || checkVariable(name) != nil || checkNoNUL(value) != nil {
			return nil, fmt.Errorf("has no NAME=VALUE on line %d", number)
		}
		if values[name], ok = unquote(strings.TrimSpace(value)); !ok {
			return nil, fmt.Errorf("has a quotation mark without its partner on line %d", number)
		}
	}
	return values, lines.Err()
}

// unquote returns the value of one line.
func unquote(s string) (string, bool) {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		if i := strings.Index(s, " #"); i >= 0 {
			s = strings.TrimSpace(s[:i])
		}
		return s, true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			rest := strings.TrimSpace(s[i+1:])
			return b.String(), rest == "" || rest[0] == '#'
		case s[i] == '\\' && s[0] == '"' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			default:
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", false
}
