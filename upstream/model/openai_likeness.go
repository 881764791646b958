package model

import (
	"bytes"
	"hash/maphash"
	"unicode/utf8"
)

// likeness is what the last event of a stream looked like. The next one nearly always differs from it in nothing but the text that
// the model has said, and need not be read again then: what stands before and behind a JSON string is the same bytes, so
// that all other members are the same too.
type likeness struct {
	// Of the event, before and behind the string. That bytes are the same is told by their hashes, since it would take longer to fetch what
	// was kept for one stream of many.
	head, tail         int // how many bytes; no head where there is nothing to go by
	headHash, tailHash uint64
	made               int      // what the model has made beside the string, in bytes
	rest               int      // how many bytes stand behind the string in the chunk that was made of it
	room               [24]byte // these bytes, so that they are fetched with all else
	more               []byte   // these bytes instead, where the room is too small
}

// chunkRest returns what stands behind the string in a chunk.
func (l *likeness) chunkRest() []byte {
	if l.rest <= len(l.room) {
		return l.room[:l.rest]
	}
	return l.more
}

// seed is of the hashes. Nobody else knows it, and so nobody can make two events with one hash.
var seed = maphash.MakeSeed()

// chunkHead is how each chunk begins that has a text.
const chunkHead = `{"text":`

// learn notes an event that a chunk was made of, because of a text in it. Where the text stands in the event has to be
// certain.
func (l *likeness) learn(event []byte, k *choice, chunk []byte) {
	text, ok := bytes.CutPrefix(chunk, []byte(chunkHead))
	if !ok || !isPlainText(k.text) || !bytes.HasPrefix(text, k.text) || bytes.Count(event, k.text) != 1 {
		return
	}
	at := bytes.Index(event, k.text)
	head, tail := event[:at], event[at+len(k.text):]
	rest := text[len(k.text):]
	if len(head) < len(chunkHead) || len(tail) < len(rest) {
		return // there is no room for the chunk
	}
	l.head, l.headHash = len(head), maphash.Bytes(seed, head)
	l.tail, l.tailHash = len(tail), maphash.Bytes(seed, tail)
	l.rest = len(rest)
	if copy(l.room[:], rest) < len(rest) {
		l.more = bytes.Clone(rest)
	}
	l.made = k.made() - len(k.text)
}

// forget makes the next event one that is read.
func (l *likeness) forget() { l.head = 0 }

// take makes a chunk of an event that is like the last one, in its place, and says how many bytes of it the model has made.
func (l *likeness) take(event []byte) (chunk []byte, made int, ok bool) {
	from, to := l.head, len(event)-l.tail
	if from == 0 || to < from || maphash.Bytes(seed, event[:from]) != l.headHash || maphash.Bytes(seed, event[to:]) != l.tailHash {
		return nil, 0, false
	}
	text := event[from:to]
	if !isPlainText(text) {
		return nil, 0, false
	}
	from -= copy(event[from-len(chunkHead):], chunkHead)
	to += copy(event[to:], l.chunkRest())
	return event[from:to:to], len(text) + l.made, true
}

// isPlainText reports whether a text is one JSON string that is not empty (RFC 8259 §7). Those with escapes other than that of
// a line end are left to who reads all of JSON.
func isPlainText(text []byte) bool {
	last := len(text) - 1
	if last < len(`"a`) || text[0] != '"' || text[last] != '"' {
		return false
	}
	ascii := true
	for i := 1; i < last; i++ {
		switch c := text[i]; {
		case c == '\\' && text[i+1] == 'n' && i+1 < last:
			i++
		case c == '"' || c == '\\' || c < ' ':
			return false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return ascii || utf8.Valid(text)
}
