package pin

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPinsFileIsChecked(t *testing.T) {
	t.Parallel()
	hash := Hash("s", []byte(`{"name":"a"}`))
	good := `{"version":1,"upstreams":{"u":{"tools":{"a":[{"sha256":"` + hash + `","server":"s","trust":"approved","at":"2026-11-22T10:00:00Z","definition":{ "name" : "a" }}]}}}}`
	if pins, err := parsePins([]byte(good)); err != nil || !pins.has("u", Tools, "a", hash) {
		t.Errorf("%v, %v", pins, err)
	}
	for name, tt := range map[string]struct{ old, now, want string }{
		"another version":      {`"version":1`, `"version":2`, "version must be 1"},
		"an unknown member":    {`"trust"`, `"trusts"`, `unknown field "trusts"`},
		"an unknown kind":      {`"tools"`, `"toys"`, `upstream "u": unknown kind "toys"`},
		"an unknown trust":     {`"approved"`, `"blind"`, `trust must be`},
		"a hash in upper case": {hash, strings.ToUpper(hash), "lower case"},
		"a short hash":         {hash, "ab", "64 hexadecimal digits"},
		"another definition":   {`{ "name" : "a" }`, `{"name":"b"}`, `upstream "u": tool "a": sha256 is not that of the definition`},
		"another server":       {`"server":"s"`, `"server":"t"`, "sha256 is not that"},
		"more behind it":       {`}}}}`, `}}}} {}`, "more than one JSON value"},
	} {
		if _, err := parsePins([]byte(strings.Replace(good, tt.old, tt.now, 1))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// Who reads the file sees what does not show.
func TestFilesShowWhatDoesNot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, dir, Warn)
	b.Review(t.Context(), listing(strings.Replace(tool, "Reads", "Re\u200bads\U000e0041 \u00e9 <b>", 1)))
	text, err := os.ReadFile(filepath.Join(dir, PinsFile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"description": "Re\u200bads\udb40\udc41 é <b> a file.",`) {
		t.Errorf("%s", text)
	}
	r, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.pins, r.Pins); diff != "" {
		t.Error(diff)
	}
}

// A file that others were allowed to read stays readable, and no half-written one is left.
func TestFilesKeepTheirMode(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return // which has no such modes
	}
	dir := t.TempDir()
	path := filepath.Join(dir, PinsFile)
	for _, mode := range []os.FileMode{0o600, 0o640} {
		if err := replace(dir, PinsFile, []byte("{}\n")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || mode == 0o640 && info.Mode().Perm() != mode {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}

func FuzzFiles(f *testing.F) {
	hash := Hash("", []byte(`{}`))
	f.Add([]byte(`{"version":1,"upstreams":{"u":{"tools":{"a":[{"sha256":"` + hash + `","trust":"first-use","at":"2026-11-22T10:00:00Z","definition":{}}]}}}}`))
	f.Add([]byte(`{"version":1,"upstreams":{"u":null,"v":{"prompts":null,"tools":{"a":null}}}}`))
	f.Add([]byte(`{"version":1,"changes":[{"upstream":"u","kind":"tools","name":"a","change":"new","sha256":"` + hash + `","definition":{}}]}`))
	f.Add([]byte(`{"version":1,"changes":[{"upstream":"u","kind":"prompts","name":"a","change":"removed"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if pins, err := parsePins(text); err == nil {
			again(t, pinsText{version, pins}, parsePins, func(p Pins) any { return pinsText{version, p} })
			(&Records{Pins: pins}).Flags(Filter{})
		}
		if changes, err := parsePending(text); err == nil {
			again(t, pendingText{version, changes}, parsePending, func(c []Change) any { return pendingText{version, c} })
			r := &Records{Pins: Pins{}, Changes: changes}
			for _, c := range r.Waiting(Filter{}) {
				r.Fields(c)
			}
		}
	})
}

// again checks that what a file was read as is read from what is written of it.
func again[T any](t *testing.T, file any, parse func([]byte) (T, error), wrap func(T) any) {
	t.Helper()
	once, err := render(file)
	if err != nil {
		t.Fatal(err)
	}
	read, err := parse(once)
	if err != nil {
		t.Fatalf("%s: %v", once, err)
	}
	twice, err := render(wrap(read))
	if err != nil || string(once) != string(twice) {
		t.Fatalf("%s, again %s, %v", once, twice, err)
	}
}
