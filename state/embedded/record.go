package embedded

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/headgate/headgate/state"
)

// sessionRecord is a session as it is kept, in memory and in the file. Times are
// milliseconds since 1970, zero for none.
type sessionRecord struct {
	used, until int64
	ended       bool
	level       string
}

// sessionForm is the first byte of a record: how the others are to be read.
const sessionForm = 1

// recordSize is that of form, ended, used, until and checksum. The level stands
// before the checksum.
const recordSize = 1 + 1 + 8 + 8 + 4

// castagnoli is the polynomial that processors compute.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errRecord = errors.New("a record is not what was written")
	errForm   = errors.New("a record has a form that this version of the gateway does not know")
)

func (r *sessionRecord) session() state.Session {
	out := state.Session{Ended: r.ended, Level: r.level}
	if r.used != 0 {
		out.Used = time.UnixMilli(r.used)
	}
	return out
}

func (r *sessionRecord) expired(now time.Time) bool { return now.UnixMilli() >= r.until }

// mattersLess reports whether r is to be given up before other.
func (r *sessionRecord) mattersLess(other sessionRecord) bool {
	if r.ended != other.ended {
		return other.ended
	}
	return r.until < other.until
}

// encode returns the record's bytes with a checksum, which bbolt has none of, over
// them and the key.
func (r *sessionRecord) encode(key string) []byte {
	out := make([]byte, 0, recordSize+len(r.level))
	out = append(out, sessionForm, 0)
	if r.ended {
		out[1] = 1
	}
	out = binary.BigEndian.AppendUint64(out, uint64(r.used))
	out = binary.BigEndian.AppendUint64(out, uint64(r.until))
	out = append(out, r.level...)
	return binary.BigEndian.AppendUint32(out, checksum(key, out))
}

func (r *sessionRecord) decode(key string, text []byte) error {
	if len(text) > 0 && text[0] != sessionForm {
		return errForm
	}
	if len(text) < recordSize || len(text) > recordSize+state.MaxLevel || text[1] > 1 {
		return errRecord
	}
	body := text[:len(text)-4]
	if binary.BigEndian.Uint32(text[len(body):]) != checksum(key, body) {
		return errRecord
	}
	r.ended = body[1] == 1
	r.used = int64(binary.BigEndian.Uint64(body[2:]))
	r.until = int64(binary.BigEndian.Uint64(body[10:]))
	r.level = string(body[18:])
	return nil
}

func checksum(key string, body []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, body)
}
