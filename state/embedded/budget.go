package embedded

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/state"
)

const (
	budgetBucket = "budgets"
	budgetForm   = 1
	blockShare   = 100 // a block is this part of what remains
)

// budget is what the file says of a durable bucket: that more of the window that has begun
// is spent than is. Up to that much is granted from memory; a crash has it spent. It
// counts what was charged in that window, or of a rolling one, in its step.
type budget struct {
	asked  int64 // what the file will say
	sure   int64 // what it will say at least, whenever the process ends
	behind int64 // what it does not know to have been given back to earlier steps
}

// begin is for a window of which the file says nothing yet.
func (g *budget) begin() { g.asked, g.sure = 0, 0 }

// recent is what was charged in the window, or step, that has begun.
func (b *bucket) recent() int64 {
	if b.rolling != nil {
		return b.rolling[b.step]
	}
	return b.used
}

// keep has the file say more where little of the block is left, or less where much was
// given back. It reports whether what was charged is not sure to be in the file.
func (q *Quota) keep(b *bucket) (wait bool) {
	if !b.limit.Durable {
		return false
	}
	g, recent := &b.budget, b.recent()
	block := max(b.limit.Max-b.used, 0) / blockShare
	if left := g.asked - recent; left < block/4 || left < 0 || left+g.behind > block {
		g.asked, g.behind = recent+block-block/4, 0
		g.sure = min(g.sure, g.asked)
		q.write(b)
	}
	return recent > g.sure
}

// write has the file say what is asked. The shard is locked, so that it says so in the
// order in which that changed.
func (q *Quota) write(b *bucket) {
	start, asked := b.start, b.budget.asked
	key := b.fileKey()
	q.writes.putThen(budgetBucket, key, b.encode(key), func() {
		sh := &q.shards[b.shard]
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if b.start == start {
			b.budget.sure = min(asked, b.budget.asked)
		}
	})
}

// fileKey names the bucket and its window.
func (b *bucket) fileKey() string {
	l := b.limit
	text := append([]byte(b.key), 0)
	switch l.Kind {
	case state.Calendar:
		text = append(strconv.AppendInt(append(text, 'c'), int64(l.Period), 10), ' ')
		text = append(text, l.ZoneName()...)
	case state.Rolling:
		text = strconv.AppendInt(append(text, 'r'), int64(l.Per), 10)
	}
	return string(text)
}

// encode returns the bucket with what is asked as what was charged last.
func (b *bucket) encode(key string) []byte {
	out := make([]byte, 0, 32)
	out = append(out, budgetForm)
	out = binary.AppendVarint(out, b.start)
	out = binary.AppendVarint(out, b.end)
	out = binary.AppendVarint(out, b.budget.asked)
	if b.rolling != nil {
		for age := 1; age < steps; age++ {
			out = binary.AppendVarint(out, b.rolling[(b.step+steps-age)%steps])
		}
	}
	return sealed(key, out)
}

// decodeBudget returns the bucket that was encoded. What was granted ahead is spent.
func decodeBudget(key string, text []byte) (*bucket, error) {
	b, err := decodeFileKey(key)
	if err != nil {
		return nil, err
	}
	if len(text) > 0 && text[0] != budgetForm {
		return nil, errForm
	}
	text, err = unsealed(key, text)
	if err != nil || len(text) == 0 {
		return nil, errRecord
	}
	numbers := text[1:]
	next := func() (v int64) {
		var n int
		if v, n = binary.Varint(numbers); n <= 0 {
			err, n = errRecord, 0
		}
		numbers = numbers[n:]
		return v
	}
	b.start, b.end, b.used = next(), next(), next()
	b.budget = budget{asked: b.used, sure: b.used}
	if b.limit.Kind == state.Rolling {
		b.rolling = new([steps]int64)
		b.rolling[0] = b.used
		for age := 1; age < steps; age++ {
			b.rolling[steps-age] = next()
			b.used = sum(b.used, b.rolling[steps-age])
		}
	}
	if len(numbers) > 0 {
		err = errRecord
	}
	return b, err
}

// decodeFileKey returns a bucket whose limit is good for its window only; the next
// charge brings the whole.
func decodeFileKey(key string) (*bucket, error) {
	at := strings.LastIndexByte(key, 0)
	if at < 0 || len(key) < at+3 {
		return nil, errRecord
	}
	l := &state.Limit{Durable: true}
	number, zone, _ := strings.Cut(key[at+2:], " ")
	n, err := strconv.ParseInt(number, 10, 64)
	switch key[at+1] {
	case 'c':
		l.Kind, l.Period, l.Zone = state.Calendar, state.Period(n), time.FixedZone(zone, 0)
	case 'r':
		l.Kind, l.Per = state.Rolling, time.Duration(n)
	}
	if err != nil || l.Validate() != nil {
		return nil, errRecord
	}
	return &bucket{key: key[:at], limit: l}, nil
}
