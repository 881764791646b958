package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

// maxSecret is the largest secret file.
const maxSecret = int64(64 * KiB)

// secretFile reads the value of file:PATH. Variables in PATH are replaced; what the file holds is taken as it is, without the line end
// that editors put behind the last line.
func (d *decoder) secretFile(n *node, source, path string) (string, bool) {
	name, ok := d.expand(n, source, rules{}, path)
	if !ok {
		return "", false
	}
	d.note(d.beside(name))
	value, err := readSecret(d.beside(name))
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = "file:PATH reads a secret; for this very text write ${NOT_A_FILE:-}file:…"
		}
		d.fail(n.at, path, fmt.Sprintf("secret file %s %v", name, err), hint)
		return "", false
	}
	return value, true
}

// readSecret returns the content of a regular file. Others (a FIFO, a device) could block or never end.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", readError(err)
	case !info.Mode().IsRegular():
		return "", errors.New("is not a regular file")
	case info.Size() > maxSecret:
		return "", fmt.Errorf("is larger than %s", Size(maxSecret))
	}
	data, err := readBounded(path, maxSecret)
	if err != nil {
		return "", readError(err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case value == "":
		return "", errors.New("is empty")
	case !utf8.ValidString(value):
		return "", errors.New("is not UTF-8")
	}
	return value, nil
}

// readError words the reason without the path, which the caller has said.
func readError(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}
