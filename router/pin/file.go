package pin

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// The files in the data directory: what is trusted, for people and their version control, and what waits.
const (
	PinsFile    = "pins.json"
	pendingFile = "pins-pending.json"
)

// maxFile bounds either file in bytes.
const maxFile = 256 << 20

// version of the files' format.
const version = 1

// pinsText and pendingText are the files as JSON.
type (
	pinsText struct {
		Version   int  `json:"version"`
		Upstreams Pins `json:"upstreams"`
	}
	pendingText struct {
		Version int      `json:"version"`
		Changes []Change `json:"changes"`
	}
)

// parsePins reads what is trusted. Whoever writes the file by hand is told what is wrong.
func parsePins(text []byte) (Pins, error) {
	var file pinsText
	if err := strict(text, &file); err != nil {
		return nil, err
	}
	if file.Version != version {
		return nil, fmt.Errorf("version must be %d", version)
	}
	for upstream, kinds := range file.Upstreams {
		for kind, names := range kinds {
			if nouns[kind] == "" {
				return nil, fmt.Errorf("upstream %q: unknown kind %q", upstream, kind)
			}
			for name, pins := range names {
				for i := range pins {
					if err := pins[i].settle(); err != nil {
						return nil, fmt.Errorf("upstream %q: %s %q: %w", upstream, nouns[kind], name, err)
					}
				}
			}
		}
	}
	if file.Upstreams == nil {
		file.Upstreams = Pins{}
	}
	return file.Upstreams, nil
}

// settle checks a pin and brings its definition, which the file shows over many lines, into its canonical form.
func (e *Pin) settle() error {
	if e.Trust != FirstUse && e.Trust != Approved {
		return fmt.Errorf("trust must be %q or %q", FirstUse, Approved)
	}
	var err error
	e.Definition, err = settled(e.Hash, e.Server, e.Definition)
	return err
}

// settled returns the canonical form of a definition, which must be what the hash says.
func settled(hash, server string, definition json.RawMessage) (json.RawMessage, error) {
	if raw, err := hex.DecodeString(hash); err != nil || len(raw) != 32 || hash != hex.EncodeToString(raw) {
		return nil, errors.New("sha256 must be 64 hexadecimal digits in lower case")
	}
	if definition == nil {
		return nil, nil
	}
	canonical, err := Canonical(definition)
	if err != nil {
		return nil, err
	}
	if Hash(server, canonical) != hash {
		return nil, errors.New("sha256 is not that of the definition")
	}
	return canonical, nil
}

// parsePending reads what waits.
func parsePending(text []byte) ([]Change, error) {
	var file pendingText
	if err := strict(text, &file); err != nil {
		return nil, err
	}
	if file.Version != version {
		return nil, fmt.Errorf("version must be %d", version)
	}
	for i := range file.Changes {
		c := &file.Changes[i]
		if nouns[c.Kind] == "" || !slices.Contains([]string{New, Changed, Removed}, c.Change) {
			return nil, fmt.Errorf("changes[%d]: unknown kind %q or change %q", i, c.Kind, c.Change)
		}
		if c.Change == Removed {
			continue
		}
		var err error
		if c.Definition, err = settled(c.Hash, c.Server, c.Definition); err != nil {
			return nil, fmt.Errorf("changes[%d]: %w", i, err)
		}
	}
	return file.Changes, nil
}

// strict decodes one JSON value and knows all its members.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// render writes a file's text. Characters that do not show are escaped, so that who reads the file sees them.
func render(file any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(file); err != nil {
		return nil, err
	}
	return appendVisible(make([]byte, 0, b.Len()), b.Bytes()), nil
}

// appendVisible appends JSON in which characters that do not show are escaped.
func appendVisible(out, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		high, low := utf16.EncodeRune(r)
		switch {
		case r == '\n' || unicode.IsPrint(r) && kindOf(r) == "":
			out = utf8.AppendRune(out, r)
		case high != unicode.ReplacementChar:
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// stamp tells whether a file is the one that was seen before.
type stamp struct {
	modified time.Time
	size     int64
}

// stampOf returns the stamp of a file; zero if there is none.
func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, nil
	}
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// read reads one of the files; nothing if it is not there.
func read[T any](dir, name string, parse func([]byte) (T, error)) (out T, err error) {
	path := filepath.Join(dir, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return out, err
	}
	if len(text) > maxFile {
		return out, fmt.Errorf("%s: more than %d bytes", path, maxFile)
	}
	if out, err = parse(text); err != nil {
		return out, fmt.Errorf("%s: %w; mend it, or move it away to trust what is listed next", path, err)
	}
	return out, nil
}

// write replaces one of the files.
func write(dir, name string, file any) error {
	text, err := render(file)
	if err != nil {
		return err
	}
	return replace(dir, name, text)
}

// replace puts a text in the place of a file, so that nobody ever reads half of it. Who may read the file stays as it was
// chosen.
func replace(dir, name string, text []byte) error {
	f, err := os.CreateTemp(dir, name+".*") // mode 0600
	if err != nil {
		return err
	}
	if info, known := os.Stat(filepath.Join(dir, name)); known == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err == nil {
		_, err = f.Write(text)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
