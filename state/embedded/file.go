package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// buckets of the file.
var buckets = []string{
	budgetBucket, jobBucket, payloadBucket, resultBucket, sessionBucket, clientBucket, subscriptionBucket,
	conversationBucket, turnBucket, contextBucket,
}

// ErrDamaged is in the chain of the error for a file whose content is not what was
// written.
var ErrDamaged = errors.New("the file is damaged; move it away to begin with an empty one")

// openFile opens the file for this process alone, after it has proved sound. It
// returns the sums of its buckets too.
func openFile(path string, wait time.Duration) (*bbolt.DB, map[string]bucketSum, error) {
	if err := verify(path, wait); err != nil {
		return nil, nil, err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: wait, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, nil, openError(err)
	}
	var sums map[string]bucketSum
	err = db.Update(func(tx *bbolt.Tx) error {
		if sums, err = readSums(tx); err != nil {
			return err
		}
		for _, name := range append([]string{sumBucket}, buckets...) {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return writeSums(tx, sums)
	})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, sums, nil
}

// verify reads the whole file without changing it. A file that is not there yet, or
// holds nothing yet, is sound.
func verify(path string, wait time.Duration) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	var db *bbolt.DB
	err = guarded(func() error {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true, Timeout: wait})
		return openError(err)
	})
	if err != nil {
		return err
	}
	err = guarded(func() error {
		return db.View(func(tx *bbolt.Tx) error { return verifyPages(tx, info.Size()) })
	})
	return errors.Join(err, db.Close())
}

// verifyPages reads every entry in order and finds it again by its key, which
// follows every pointer. Tx.Check comes last: it reads in a goroutine of its own,
// where a pointer or length that is wrong would end the process instead of being
// reported, and finds what is left: pages that are in use and free, or neither.
func verifyPages(tx *bbolt.Tx, size int64) error {
	if tx.Size() > size {
		return fmt.Errorf("%w: %d of %d bytes are there", ErrDamaged, size, tx.Size())
	}
	if err := verifyLengths(tx, int(tx.Size()/int64(tx.DB().Info().PageSize))); err != nil {
		return err
	}
	err := tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		return b.ForEach(func(key, value []byte) error {
			if !bytes.Equal(b.Get(key), value) {
				return fmt.Errorf("%w: an entry of %q is out of order", ErrDamaged, name)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := verifySums(tx); err != nil {
		return err
	}
	for problem := range tx.Check() { // to its end, or its goroutine would wait
		if err == nil {
			err = fmt.Errorf("%w: %w", ErrDamaged, problem)
		}
	}
	return err
}

// verifyLengths sees that no page says it is longer than the file, and that all pages
// that are said to be free are in it.
func verifyLengths(tx *bbolt.Tx, count int) error {
	free := 0
	for id := 0; id < count; id++ {
		page, err := tx.Page(id)
		if err != nil {
			return err
		}
		if page.Type == "free" {
			free++
			continue
		}
		if page.OverflowCount < 0 || page.OverflowCount >= count-id {
			return fmt.Errorf("%w: page %d of %d says that %d follow", ErrDamaged, id, count, page.OverflowCount)
		}
		id += page.OverflowCount
	}
	if listed := tx.DB().Stats().FreePageN; listed != free {
		return fmt.Errorf("%w: %d pages are free, of %d that are said to be", ErrDamaged, free, listed)
	}
	return nil
}

// readBucket reads all entries of a bucket. The bytes are valid during visit only.
func readBucket(db *bbolt.DB, name string, visit func(key string, value []byte) error) error {
	read := func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(name)).ForEach(func(key, value []byte) error {
			if err := visit(string(key), value); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
			}
			return nil
		})
	}
	return guarded(func() error { return db.View(read) })
}

// guarded runs f, in which bbolt may panic about what it reads, or read where the
// file has no page.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}

func openError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return errors.New("another process has the file open; is a gateway with the same data_dir running?")
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
