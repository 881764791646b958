package embedded

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// sumBucket has the sum of each other bucket. Its name is the first of all, so that
// damage that cuts the list of buckets short spares it before others.
const sumBucket = "!sums"

// bucketSum tells whether the entries of a bucket are those that were written: each of them
// has a checksum of its own, but nothing in the file would miss one that is gone.
type bucketSum struct{ entries, total uint64 }

func (s *bucketSum) add(key, value []byte) {
	s.entries++
	s.total += uint64(checksum(string(key), value))
}

func (s *bucketSum) remove(key, value []byte) {
	s.entries--
	s.total -= uint64(checksum(string(key), value))
}

func (s *bucketSum) encode(name string) []byte {
	out := binary.BigEndian.AppendUint64(nil, s.entries)
	return sealed(name, binary.BigEndian.AppendUint64(out, s.total))
}

func decodeSum(name string, text []byte) (bucketSum, error) {
	text, err := unsealed(name, text)
	if err != nil || len(text) != 16 {
		return bucketSum{}, fmt.Errorf("%w: %s: %w", ErrDamaged, sumBucket, errRecord)
	}
	return bucketSum{binary.BigEndian.Uint64(text), binary.BigEndian.Uint64(text[8:])}, nil
}

// readSums returns what the file says of its buckets; of one that is older than sums,
// what is in them.
func readSums(tx *bbolt.Tx) (map[string]bucketSum, error) {
	b := tx.Bucket([]byte(sumBucket))
	if b == nil {
		return sumsOf(tx)
	}
	out := make(map[string]bucketSum)
	err := b.ForEach(func(name, text []byte) error {
		s, err := decodeSum(string(name), text)
		out[string(name)] = s
		return err
	})
	return out, err
}

// sumsOf adds up what is in the buckets.
func sumsOf(tx *bbolt.Tx) (map[string]bucketSum, error) {
	out := make(map[string]bucketSum)
	err := tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		if string(name) == sumBucket {
			return nil
		}
		if !slices.Contains(buckets, string(name)) {
			return fmt.Errorf("%w: it has a part %q that this version of the gateway does not know", ErrDamaged, name)
		}
		var s bucketSum
		err := b.ForEach(func(key, value []byte) error {
			s.add(key, value)
			return nil
		})
		out[string(name)] = s
		return err
	})
	return out, err
}

// writeSums has the file say what its buckets have.
func writeSums(tx *bbolt.Tx, sums map[string]bucketSum) error {
	b := tx.Bucket([]byte(sumBucket))
	for name, s := range sums {
		text := s.encode(name)
		if bytes.Equal(b.Get([]byte(name)), text) {
			continue
		}
		if err := b.Put([]byte(name), text); err != nil {
			return err
		}
	}
	return nil
}

// verifySums sees that nothing is missing.
func verifySums(tx *bbolt.Tx) error {
	want, err := readSums(tx)
	if err != nil {
		return err
	}
	got, err := sumsOf(tx)
	if err != nil {
		return err
	}
	if len(got) == 0 && tx.ID() > 1 {
		return fmt.Errorf("%w: all is gone that was in it", ErrDamaged)
	}
	for name, s := range want {
		if got[name] != s {
			return fmt.Errorf("%w: of %q %d entries are there, of %d", ErrDamaged, name, got[name].entries, s.entries)
		}
	}
	for name, s := range got {
		if _, known := want[name]; !known && s.entries > 0 {
			return fmt.Errorf("%w: nobody counted the %d entries of %q", ErrDamaged, s.entries, name)
		}
	}
	return nil
}
