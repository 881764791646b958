package seal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// keyFile holds the keys in a data directory: one a line, in hexadecimal, the one
// that seals first.
const keyFile = "seal.key"

// hasModes says whether permission bits mean anything here.
const hasModes = runtime.GOOS != "windows"

// maxKeys bounds the keys of a file.
const maxKeys = 16

// Load returns the keyring kept in a directory. The first call makes the directory
// and a key, readable by their owner only; two processes that start at once end up
// with the same key. A file that others can read, that holds anything but keys, or
// that lies where others could put one of their own, is an error.
func Load(dir string) (*Keyring, error) {
	path := filepath.Join(dir, keyFile)
	keys, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = create(dir, path); err == nil {
			keys, err = read(path)
		}
	}
	if err == nil {
		err = private(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("sealing keys: %w", err)
	}
	return NewKeyring(keys...)
}

// private reports a directory in which anybody may replace files. The sticky bit, as
// on /tmp, keeps them from that.
func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode(); hasModes && mode.Perm()&0o002 != 0 && mode&fs.ModeSticky == 0 {
		return fmt.Errorf("%s: anybody may replace the keys in it (mode %04o); use a directory inside it, or run: chmod o-w %s", dir, mode.Perm(), dir)
	}
	return nil
}

func read(path string) ([]Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); hasModes && mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: others may read it (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	const most = maxKeys * (2*keyLen + 2)
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if len(text) > most {
		return nil, fmt.Errorf("%s: more than %d keys", path, maxKeys)
	}
	var keys []Key
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		raw, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil || len(raw) != keyLen {
			return nil, fmt.Errorf("%s:%d: not a key of %d bytes in hexadecimal; move the file away to have a new one made, which ends all sessions", path, i+1, keyLen)
		}
		keys = append(keys, Key(raw))
	}
	return keys, nil
}

// create writes a new key under another name and links it into place, so that
// nobody ever reads half a file and the first of two processes wins.
func create(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var k Key
	if _, err := rand.Read(k[:]); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, keyFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // linked or useless by then
	_, err = f.WriteString(hex.EncodeToString(k[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
