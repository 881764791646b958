package policy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxAuditLine bounds a line when it is read back.
const maxAuditLine = 64 << 10

// seal sets the digest of an event: of all its other members, among them the digest of
// the event before.
func (e *AuditEvent) seal() error {
	e.Digest = ""
	text, err := e.line()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	e.Digest = hex.EncodeToString(sum[:])
	return nil
}

// ChainError says where an audit log was changed.
type ChainError struct {
	Line   int // from 1
	Reason string
}

// Error implements error.
func (e *ChainError) Error() string { return fmt.Sprintf("line %d %s", e.Line, e.Reason) }

// VerifyAudit checks the chain of an audit log and returns how many lines it has. A
// [*ChainError] names the first line that is not as it was written, or that does not
// follow the one before it. What was cut off at the end cannot be seen; the last digest,
// kept elsewhere, shows it.
func VerifyAudit(r io.Reader) (lines int, last string, err error) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, 4096), maxAuditLine)
	for scanner.Scan() {
		lines++
		e, err := readEvent(scanner.Bytes())
		switch {
		case err != nil:
			return lines, last, &ChainError{lines, "is not as it was written: " + err.Error()}
		case lines > 1 && e.Previous != last:
			return lines, last, &ChainError{lines, "does not follow the line before it: one is missing, or they were exchanged"}
		}
		last = e.Digest
	}
	if err := scanner.Err(); err != nil {
		return lines, last, &ChainError{lines + 1, "cannot be read: " + err.Error()}
	}
	return lines, last, nil
}

// readEvent reads a line and checks its digest.
func readEvent(line []byte) (*AuditEvent, error) {
	e := new(AuditEvent)
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(e); err != nil {
		return nil, err
	}
	written := e.Digest
	if written == "" {
		return nil, errors.New("it has no digest")
	}
	if err := e.seal(); err != nil {
		return nil, err
	}
	again, err := e.line()
	if err != nil {
		return nil, err
	}
	if e.Digest != written || !bytes.Equal(again, line) {
		return nil, errors.New("its digest is of something else")
	}
	return e, nil
}

// lastDigest returns the digest of the last line of a file, empty if there is none.
func lastDigest(path string) (string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return "", err
	}
	tail := make([]byte, min(info.Size(), maxAuditLine))
	if _, err := file.ReadAt(tail, info.Size()-int64(len(tail))); err != nil {
		return "", err
	}
	whole, ended := bytes.CutSuffix(tail, []byte("\n"))
	if !ended {
		return "", fmt.Errorf("%s ends in the middle of a line; move it away, and a new one is begun", path)
	}
	e, err := readEvent(whole[bytes.LastIndexByte(whole, '\n')+1:])
	if err != nil {
		return "", fmt.Errorf("the last line of %s: %w; move the file away, and a new one is begun", path, err)
	}
	return e.Digest, nil
}
