package auth

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
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

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// KeyFileName is the file in the data directory that holds the API keys which were
// made by command.
const KeyFileName = "keys.jsonl"

const (
	// keyPrefix begins keys, so that they are recognised where they should not be.
	keyPrefix = "hgk_"
	keyBytes  = 32

	maxKeyFile = 4 << 20
	maxKeyLine = 16 << 10
)

// KeyRecord is one line of a key file: a key that was made, or one that is revoked.
// The file is only appended to, so that writers need not know of each other, and says
// later what was when.
type KeyRecord struct {
	ID      string    `json:"id"`
	Hash    string    `json:"hash,omitempty"` // sha256:…, of a key that is made
	Org     string    `json:"org,omitempty"`
	Team    string    `json:"team,omitempty"`
	User    string    `json:"user,omitempty"`
	Scopes  []string  `json:"scopes,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"` // of a key that is revoked
}

// NewKey returns a new API key, 32 random bytes as text, and its hash, which is all
// that may be kept of it.
func NewKey() (key, hash string) {
	var raw [keyBytes]byte
	_, _ = rand.Read(raw[:]) // it never fails: crypto/rand ends the process instead
	key = keyPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	d := digestOf(key)
	return key, config.HashPrefix + hex.EncodeToString(d[:])
}

// ReadKeys reads a key file: all keys that were ever made, in order, those that are
// revoked with the time of it. A file that does not exist has none.
func ReadKeys(path string) ([]KeyRecord, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxKeyFile:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxKeyFile)
	}
	keys, err := parseKeys(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return keys, nil
}

// parseKeys reads the lines of a key file. A last line without an end is one that is
// being written, or was when the machine stopped, and so is one that ends in the middle
// of its JSON: nobody was told that it is there.
func parseKeys(data []byte) ([]KeyRecord, error) {
	var keys []KeyRecord
	live := map[string]int{}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	lines := bufio.NewScanner(bytes.NewReader(whole))
	lines.Buffer(nil, maxKeyLine)
	n := 0
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		r, err := parseRecord(lines.Bytes())
		if errors.Is(err, io.ErrUnexpectedEOF) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%d: %w", n, err)
		}
		i, lives := live[r.ID]
		switch {
		case r.Hash == "" && lives:
			keys[i].Revoked = r.Revoked
			delete(live, r.ID)
		case r.Hash == "":
		case lives:
			return nil, fmt.Errorf("%d: key %q was made before and not revoked", n, r.ID)
		default:
			live[r.ID] = len(keys)
			keys = append(keys, r)
		}
	}
	if lines.Err() != nil {
		return nil, fmt.Errorf("%d: the line is longer than %d bytes", n+1, maxKeyLine)
	}
	return keys, nil
}

func parseRecord(line []byte) (KeyRecord, error) {
	var r KeyRecord
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("is no key: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("has something behind the key")
	}
	if err := config.CheckKeyID(r.ID); err != nil {
		return r, fmt.Errorf("id %w", err)
	}
	switch {
	case (r.Hash == "") == r.Revoked.IsZero():
		return r, errors.New("must have a hash, or the time it was revoked")
	case r.Hash == "":
		return r, nil
	}
	if _, err := parseHash(r.Hash); err != nil {
		return r, fmt.Errorf("key %q %w", r.ID, err)
	}
	return r, nil
}

// AppendKey writes a record to a key file and returns when it is on disk. The file is
// made if it does not exist; only its owner can read it.
func AppendKey(path string, r KeyRecord) (err error) {
	line, err := json.Marshal(r)
	switch {
	case err != nil:
		return err
	case len(line) >= maxKeyLine:
		return fmt.Errorf("the key's names and scopes are longer than %d bytes", maxKeyLine)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// The line begins anew where an earlier one was cut.
	if _, err := f.Write(slices.Concat(cutEnd(f), line, []byte{'\n'})); err != nil {
		return err
	}
	return f.Sync()
}

// cutEnd returns what ends the last line of a file, nothing if it has an end.
func cutEnd(f *os.File) []byte {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil || last[0] == '\n' {
		return nil
	}
	return []byte{'\n'}
}

// good returns the keys of a file that are not revoked. Those that expire are left to
// the table, which knows what time it is.
func good(records []KeyRecord) ([]*apiKey, error) {
	var out []*apiKey
	for _, r := range records {
		if !r.Revoked.IsZero() {
			continue
		}
		d, err := parseHash(r.Hash)
		if err != nil {
			return nil, err
		}
		out = append(out, &apiKey{digest: d, principal: rpc.Principal{
			Org: r.Org, Team: r.Team, Key: r.ID, User: r.User, Scopes: r.Scopes, Expires: r.Expires,
		}})
	}
	return out, nil
}
