package seal

import (
	"bytes"
	"encoding/base64"
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
	if r.Seal("s", nil, []byte("x")) == r.Seal("s", nil, []byte("x")) {
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
	for i := range len(h) { // also the bits of the last character that decoding would ignore
		c := []byte(h)
		c[i] ^= 1
		refused(fmt.Sprintf("character %d", i), r, "session", "alice", string(c))
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
		{"readable by others", good, 0o644, "chmod 600"},
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

func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	k := Key{0xab}
	if s := fmt.Sprintf("%v %s %#v", k, k, k); strings.Contains(s, "171") || strings.Contains(s, "ab") {
		t.Errorf("printed %s", s)
	}
}

func FuzzOpen(f *testing.F) {
	r := ring(f)
	f.Add("")
	f.Add("AAAA")
	f.Add(r.Seal("s", nil, []byte("state")))
	f.Fuzz(func(t *testing.T, handle string) {
		if plain, err := r.Open("s", []byte("bind"), handle); err == nil {
			t.Errorf("%q opened as %q", handle, plain)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	r := ring(b)
	h := r.Seal("session", []byte("alice"), make([]byte, 200))
	for b.Loop() {
		if _, err := r.Open("session", []byte("alice"), h); err != nil {
			b.Fatal(err)
		}
	}
}
