package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func ring(t testing.TB) *Keyring {
	t.Helper()
	r, err := Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAHandleOpensWhereItWasMade(t *testing.T) {
	t.Parallel()
	r := ring(t)
	for _, plain := range [][]byte{nil, {0}, []byte("session"), bytes.Repeat([]byte("x"), 5000)} {
		h := r.Seal("session", []byte("alice"), plain)
		got, err := r.Open("session", []byte("alice"), h)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %q, %v", len(plain), got, err)
		}
		if i := strings.IndexFunc(h, func(c rune) bool { return c < 0x21 || c > 0x7e }); i >= 0 {
			t.Errorf("handle %q is not visible ASCII", h)
		}
	}
	first, second := r.Seal("s", nil, []byte("x")), r.Seal("s", nil, []byte("x"))
	if first == second {
		t.Error("two handles of the same state are equal")
	}
}

func TestAHandleOpensNowhereElse(t *testing.T) {
	t.Parallel()
	r := ring(t)
	h := r.Seal("session", []byte("alice"), []byte("state"))
	refused := func(what string, r *Keyring, purpose, bind, handle string) {
		t.Helper()
		if plain, err := r.Open(purpose, []byte(bind), handle); !errors.Is(err, ErrInvalid) || plain != nil {
			t.Errorf("%s: %q, %v; want ErrInvalid", what, plain, err)
		}
	}
	refused("another purpose", r, "cursor", "alice", h)
	refused("another principal", r, "session", "bob", h)
	refused("another gateway", ring(t), "session", "alice", h)
	for i := range len(h) {
		refused(fmt.Sprintf("cut to %d", i), r, "session", "alice", h[:i])
	}
	raw, err := base64.RawURLEncoding.DecodeString(h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) * 8 {
		raw[i/8] ^= 1 << (i % 8)
		refused(fmt.Sprintf("bit %d", i), r, "session", "alice", base64.RawURLEncoding.EncodeToString(raw))
		raw[i/8] ^= 1 << (i % 8)
	}
	for i := range len(h) + 1 { // bytes that decoding skips
		refused(fmt.Sprintf("LF at %d", i), r, "session", "alice", h[:i]+"\n"+h[i:])
		refused(fmt.Sprintf("CR LF at %d", i), r, "session", "alice", h[:i]+"\r\n"+h[i:])
	}
	for _, tail := range []string{"=", "==", " ", "A", "AAAA"} {
		refused("with a tail", r, "session", "alice", h+tail)
	}
	for i := range len(h) { // also the bits of the last character that decoding would ignore
		for bit := range 8 {
			c := []byte(h)
			c[i] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of character %d", bit, i), r, "session", "alice", string(c))
		}
	}
}

func TestAnOldKeyOpensUntilItIsGone(t *testing.T) {
	t.Parallel()
	before, after := Key{1}, Key{2}
	old, err := NewKeyring(before)
	if err != nil {
		t.Fatal(err)
	}
	h := old.Seal("s", nil, []byte("state"))
	both, err := NewKeyring(after, before)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := both.Open("s", nil, h); err != nil || string(got) != "state" {
		t.Errorf("in the grace period: %q, %v", got, err)
	}
	if _, err := old.Open("s", nil, both.Seal("s", nil, nil)); !errors.Is(err, ErrInvalid) {
		t.Errorf("the old key still seals: %v", err)
	}
	gone, err := NewKeyring(after)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Open("s", nil, h); !errors.Is(err, ErrInvalid) {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := NewKeyring(); err == nil {
		t.Error("a keyring without keys was made")
	}
	if _, err := NewKeyring(before, after, before); err == nil {
		t.Error("a keyring with the same key twice was made")
	}
}

func TestKeysAreKeptInADirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	var all sync.WaitGroup
	rings := make([]*Keyring, 16)
	for i := range rings {
		all.Go(func() {
			r, err := Load(dir)
			if err != nil {
				t.Error(err)
			}
			rings[i] = r
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	h := rings[0].Seal("s", nil, []byte("state"))
	for i, r := range rings {
		if _, err := r.Open("s", nil, h); err != nil {
			t.Errorf("process %d has another key", i)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("the directory holds %v, %v; want the key only", files, err)
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestAKeyFileThatIsNotRightIsRefused(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("ab", keyLen)
	tests := []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"readable by others", good + "\n", 0o644, "chmod 600"},
		{"empty", "", 0o600, ":1: not a key"},
		{"short", good[2:], 0o600, ":1: not a key"},
		{"not hexadecimal", strings.Repeat("zz", keyLen), 0o600, ":1: not a key"},
		{"a bad second key", good + "\nxx\n", 0o600, ":2: not a key"},
		{"huge", strings.Repeat(good+"\n", 1000), 0o600, "more than 16 keys"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, keyFile)
			if err := os.WriteFile(path, []byte(tt.text), tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := Load(dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), good) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestKeyFileWithSeveralKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := strings.Repeat("ab", keyLen) + "\r\n" + strings.Repeat("CD", keyLen) + "\n\n"
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte(text), 0o400); err != nil {
		t.Fatal(err)
	}
	r, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	old, err := NewKeyring(Key(bytes.Repeat([]byte{0xcd}, keyLen)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open("s", nil, old.Seal("s", nil, nil)); err != nil {
		t.Error("the second key does not open")
	}
	if _, err := old.Open("s", nil, r.Seal("s", nil, nil)); err == nil {
		t.Error("the second key seals")
	}
}

func TestKeysAreNotKeptWhereOthersMayReplaceThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		mode os.FileMode
		good bool
	}{{0o777, false}, {0o777 | os.ModeSticky, true}, {0o755, true}, {0o700, true}} {
		if err := os.Chmod(dir, tt.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); (err == nil) != tt.good || err != nil && !strings.Contains(err.Error(), "chmod o-w "+dir) {
			t.Errorf("mode %v: %v", tt.mode, err)
		}
	}
	if _, err := Load(filepath.Join(dir, keyFile)); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	k := Key{0xab}
	js, err := json.Marshal(struct{ K Key }{k})
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %s %#v %x %s", k, k, k, k, js); strings.Contains(s, "171") || strings.Contains(s, "ab") {
		t.Errorf("printed %s", s)
	}
}

// FuzzOpen holds that a text which is no handle, or not for this bind, does not open, and that a handle is the only text for
// its bytes.
func FuzzOpen(f *testing.F) {
	r := ring(f)
	handle := r.Seal("s", []byte("bind"), []byte("state"))
	for _, seed := range []string{"", "AAAA", handle, handle + "\n", handle[1:], r.Seal("s", nil, []byte("state")), r.Seal("t", []byte("bind"), nil)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if plain, err := r.Open("s", []byte("bind"), text); err == nil && text != handle {
			t.Errorf("%q opened as %q", text, plain)
		}
	})
}

func FuzzSeal(f *testing.F) {
	r := ring(f)
	f.Add("session", []byte("alice"), []byte("state"))
	f.Add("", []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, purpose string, bind, plain []byte) {
		h := r.Seal(purpose, bind, plain)
		if got, err := r.Open(purpose, bind, h); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%q, %v", got, err)
		}
		if got, err := r.Open(purpose+"x", bind, h); !errors.Is(err, ErrInvalid) || got != nil {
			t.Errorf("for another purpose: %q, %v", got, err)
		}
		if got, err := r.Open(purpose, append(bind, 0), h); !errors.Is(err, ErrInvalid) || got != nil {
			t.Errorf("for another bind: %q, %v", got, err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	r := ring(b)
	h := r.Seal("session", []byte("alice"), make([]byte, 200))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Open("session", []byte("alice"), h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	r := ring(b)
	plain := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		r.Seal("session", []byte("alice"), plain)
	}
}
