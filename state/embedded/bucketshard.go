package embedded

import (
	"hash/maphash"
	"sync"

	"github.com/headgate/headgate/state"
)

// maxSample is how many buckets are looked at for one that may be given up.
const maxSample = 128

type bucketShard struct {
	mu      sync.Mutex
	buckets map[string]*bucket // the first of those with that key
	count   int
	_       [40]byte // two shards do not share a line of the processor's cache
}

// find returns the bucket of a charge, or nil.
func (sh *bucketShard) find(c *state.Charge) *bucket {
	for b := sh.buckets[c.Bucket]; b != nil; b = b.next {
		if b.limit == c.Limit || b.limit.SameWindow(c.Limit) {
			return b
		}
	}
	return nil
}

// add takes a bucket in, if there is room or can be made.
func (q *Quota) add(sh *bucketShard, b *bucket, now int64) bool {
	if sh.count >= q.room && !q.giveUp(sh, now) {
		return false
	}
	b.next = sh.buckets[b.key]
	sh.buckets[b.key] = b
	sh.count++
	return true
}

// drop takes a bucket out.
func (q *Quota) drop(sh *bucketShard, b *bucket) {
	if b.limit.Durable {
		q.writes.put(budgetBucket, b.fileKey(), nil)
	}
	sh.count--
	first := sh.buckets[b.key]
	if first != b {
		for first.next != b {
			first = first.next
		}
		first.next = b.next
		return
	}
	if b.next == nil {
		delete(sh.buckets, b.key)
		return
	}
	sh.buckets[b.key] = b.next
}

// giveUp makes room by a bucket that nobody holds and that matters least: of a few,
// the one that is least full. What a crash must not forget is never forgotten for
// want of room either.
func (q *Quota) giveUp(sh *bucketShard, now int64) bool {
	var victim *bucket
	least, seen := 0.0, 0
	for _, b := range sh.buckets {
		b.advance(now)
		full := float64(b.used) / float64(max(b.limit.Max, 1))
		if b.holds == 0 && (!b.limit.Durable || b.used == 0) && (victim == nil || full < least) {
			victim, least = b, full
		}
		if seen++; seen >= sample && victim != nil || seen >= maxSample {
			break
		}
	}
	if victim == nil {
		return false
	}
	q.drop(sh, victim)
	return true
}

// forgetBuckets drops the empty ones.
func (q *Quota) forgetBuckets() {
	for i := range q.shards {
		q.forgetShard(&q.shards[i])
	}
}

func (q *Quota) forgetShard(sh *bucketShard) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := q.clock.nanos()
	for _, first := range sh.buckets {
		for b := first; b != nil; b = b.next {
			if b.advance(now); b.used == 0 && b.holds == 0 {
				q.drop(sh, b)
			}
		}
	}
}

// load takes over a bucket from the file.
func (q *Quota) load(key string, value []byte) error {
	b, err := decodeBudget(key, value)
	if err != nil {
		return err
	}
	b.shard = uint8(maphash.String(q.seed, b.key) % shardCount)
	sh := &q.shards[b.shard]
	b.next = sh.buckets[b.key]
	sh.buckets[b.key] = b
	sh.count++
	return nil
}

// close refuses what comes later, and has the file say what is spent, without the
// blocks.
func (q *Quota) close() {
	q.closed.Store(true)
	for i := range q.shards {
		sh := &q.shards[i]
		sh.mu.Lock()
		for _, first := range sh.buckets {
			for b := first; b != nil; b = b.next {
				if b.limit.Durable && b.budget.asked+b.budget.behind > b.recent() {
					b.budget = budget{asked: b.recent()}
					q.write(b)
				}
			}
		}
		sh.mu.Unlock()
	}
}
