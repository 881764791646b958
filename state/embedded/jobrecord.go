package embedded

import (
	"encoding/binary"
	"time"

	"github.com/headgate/headgate/state"
)

const (
	jobBucket     = "jobs"
	payloadBucket = "job payloads"
	resultBucket  = "job results"
	jobForm       = 2
	firstJobForm  = 1 // has neither the last of the numbers nor the last two of the strings
)

// jobRecord is a job as it is kept, in memory and in the file, without its payload and
// its result. Times are nanoseconds since 1970, zero for none.
type jobRecord struct {
	owner, tenant, class, key, digest, label string

	state             state.JobState
	lost              bool
	attempt, attempts int64
	fence             int64 // of the last claim; never used again
	order             int64 // jobs of a tenant go in it

	created, started, finished int64
	notBefore                  int64
	keep                       int64 // nanoseconds
	until                      int64 // when a final job is forgotten
	keyUntil                   int64
	size                       int64 // bytes of payload and result
	queued                     int64 // when it was enqueued, or sent again
	forgotten                  bool  // only its key is left
}

func (r *jobRecord) job(id string) state.Job {
	return state.Job{
		ID: id, Owner: r.owner, Tenant: r.tenant, Class: r.class, Label: r.label,
		State: r.state, Attempt: int(r.attempt), Attempts: int(r.attempts), Lost: r.lost,
		Created: timeOf(r.created), Started: timeOf(r.started), Finished: timeOf(r.finished), NotBefore: timeOf(r.notBefore), Queued: timeOf(r.queued),
	}
}

func timeOf(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// numbers are all fields that are, in the order of the file.
func (r *jobRecord) numbers() [13]*int64 {
	return [...]*int64{
		&r.attempt, &r.attempts, &r.fence, &r.order, &r.created, &r.started, &r.finished,
		&r.notBefore, &r.keep, &r.until, &r.keyUntil, &r.size, &r.queued,
	}
}

func (r *jobRecord) strings() [6]*string {
	return [...]*string{&r.owner, &r.tenant, &r.class, &r.key, &r.digest, &r.label}
}

// open is 1 for a job that is not final, and 0 for others.
func (r *jobRecord) open() int {
	if r.state == 0 || r.state.Final() {
		return 0
	}
	return 1
}

func (r *jobRecord) encode(id string) []byte {
	out := make([]byte, 0, 128)
	out = append(out, jobForm, byte(r.state), flag(r.lost)|flag(r.forgotten)<<1)
	for _, n := range r.numbers() {
		out = binary.AppendVarint(out, *n)
	}
	for _, s := range r.strings() {
		out = append(binary.AppendUvarint(out, uint64(len(*s))), *s...)
	}
	return sealed(id, out)
}

func (r *jobRecord) decode(id string, text []byte) error {
	if len(text) > 0 && text[0] != jobForm && text[0] != firstJobForm {
		return errForm
	}
	text, err := unsealed(id, text)
	if err != nil {
		return err
	}
	if len(text) < 3 || text[1] < byte(state.JobQueued) || text[1] > byte(state.JobDead) || text[2] > 3 {
		return errRecord
	}
	r.state, r.lost, r.forgotten = state.JobState(text[1]), text[2]&1 != 0, text[2]&2 != 0
	all, texts := r.numbers(), r.strings()
	numbers, strings := all[:], texts[:]
	if text[0] == firstJobForm {
		numbers, strings = numbers[:len(all)-1], strings[:len(texts)-2]
	}
	text = text[3:]
	for _, number := range numbers {
		v, n := binary.Varint(text)
		if n <= 0 {
			return errRecord
		}
		*number, text = v, text[n:]
	}
	for _, s := range strings {
		size, n := binary.Uvarint(text)
		if n <= 0 || size > uint64(len(text)-n) {
			return errRecord
		}
		*s, text = string(text[n:n+int(size)]), text[n+int(size):]
	}
	if len(text) > 0 {
		return errRecord
	}
	if len(numbers) < len(all) {
		r.queued = r.created
	}
	return nil
}

func flag(is bool) byte {
	if is {
		return 1
	}
	return 0
}

// sealed appends the checksum, which bbolt has none of, over the bytes and their key.
func sealed(key string, text []byte) []byte {
	return binary.BigEndian.AppendUint32(text, checksum(key, text))
}

func unsealed(key string, text []byte) ([]byte, error) {
	body := len(text) - 4
	if body < 0 || binary.BigEndian.Uint32(text[body:]) != checksum(key, text[:body]) {
		return nil, errRecord
	}
	return text[:body], nil
}
