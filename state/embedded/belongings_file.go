package embedded

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/headgate/headgate/state"
)

// The buckets of belongings: clients by the session's key, subscriptions by that key and
// their URI.
const (
	clientBucket       = "clients"
	subscriptionBucket = "subscriptions"
)

// entryForm is the first byte of an entry of belongings: how the others are to be read.
// A checksum over them and the key stands at the end.
const entryForm = 1

// read takes over what the file holds.
func (s *Sessions) read(db *bbolt.DB) error {
	if err := readBucket(db, sessionBucket, s.load); err != nil {
		return err
	}
	if err := readBucket(db, clientBucket, s.loadClient); err != nil {
		return err
	}
	return readBucket(db, subscriptionBucket, s.loadSubscription)
}

func (s *Sessions) loadClient(key string, value []byte) error {
	text, err := decodeEntry(key, value)
	if err != nil {
		return err
	}
	s.restore(clientBucket, key, key, func(sh *sessionShard, b *belongings) error {
		return s.takeClient(sh, key, b, slices.Clone(text))
	})
	return nil
}

func (s *Sessions) loadSubscription(at string, value []byte) error {
	text, err := decodeEntry(at, value)
	if err != nil {
		return err
	}
	key, uri, ok := splitSubscriptionKey(at)
	sub := state.ResourceSubscription{URI: uri}
	if !ok || !decodeSubscription(text, &sub) {
		return errRecord
	}
	s.restore(subscriptionBucket, at, key, func(sh *sessionShard, b *belongings) error {
		return s.takeSubscription(sh, key, b, sub)
	})
	return nil
}

// restore takes over an entry of the file, unless its session is not remembered any more
// or there is no room for it.
func (s *Sessions) restore(bucket, at, key string, take func(*sessionShard, *belongings) error) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r, known := sh.records[key]
	if !known || r.ended || take(sh, sh.belongingsOf(key)) != nil {
		s.writes.put(bucket, at, nil)
	}
}

func encodeEntry(at string, text []byte) []byte {
	out := append(make([]byte, 0, len(text)+5), entryForm)
	out = append(out, text...)
	return binary.BigEndian.AppendUint32(out, checksum(at, out))
}

// decodeEntry returns the text of an entry, which is a part of value.
func decodeEntry(at string, value []byte) ([]byte, error) {
	if len(value) > 0 && value[0] != entryForm {
		return nil, errForm
	}
	if len(value) < 5 {
		return nil, errRecord
	}
	body := value[:len(value)-4]
	if binary.BigEndian.Uint32(value[len(body):]) != checksum(at, body) {
		return nil, errRecord
	}
	return body[1:], nil
}

// subscriptionKey is where a subscription lies in its bucket.
func subscriptionKey(key, uri string) string {
	return string(appendText(make([]byte, 0, len(key)+len(uri)+2), key)) + uri
}

func splitSubscriptionKey(at string) (key, uri string, ok bool) {
	first, rest, ok := cutText([]byte(at))
	return first, string(rest), ok
}

func encodeSubscription(s *state.ResourceSubscription) []byte {
	return append(appendText(make([]byte, 0, s.Size()+2), s.Upstream), s.Own...)
}

func decodeSubscription(text []byte, s *state.ResourceSubscription) bool {
	upstream, own, ok := cutText(text)
	s.Upstream, s.Own = upstream, string(own)
	return ok
}

// appendText adds a text so that its end can be found.
func appendText(out []byte, text string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(text))), text...)
}

// cutText returns the text that was appended first, and the rest.
func cutText(from []byte) (text string, rest []byte, ok bool) {
	n, size := binary.Uvarint(from)
	if size <= 0 || n > uint64(len(from)-size) {
		return "", nil, false
	}
	return string(from[size : size+int(n)]), from[size+int(n):], true
}
