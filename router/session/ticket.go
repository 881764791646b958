package session

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/headgate/headgate/rpc"
)

// purpose separates session ids from all other sealed handles.
const purpose = "session"

// Sealer makes handles that come back unread and unchanged, or not at all. Handles
// consist of visible ASCII, as session ids must (MCP 2025-11-25, Session Management).
type Sealer interface {
	// Seal encrypts plain for a purpose. Only Open with the same purpose and the same
	// bind gives it back.
	Seal(purpose string, bind, plain []byte) string
	// Open returns what was sealed, or an error for anything else.
	Open(purpose string, bind []byte, handle string) ([]byte, error)
}

// Forms of a ticket, in its first byte.
const (
	whole   = 1 // everything is inside
	shelved = 2 // what the client said of itself is in the store, because an id with it inside would be too long
)

const (
	keySize   = 16
	ownerSize = 16
	formBits  = 4 // of the first byte; the rest are lists
	headSize  = 1 + keySize + ownerSize + 8
)

// ticket is what a session id says once its seal is opened.
type ticket struct {
	form    byte
	unknown lists // those that the client was not offered
	key     [keySize]byte
	owner   owner
	created time.Time
	client  rpc.Client // revision, info and capabilities only
}

// owner is a digest of who opened a session.
type owner [ownerSize]byte

// ownerOf leaves out what changes when a credential is renewed.
func ownerOf(p *rpc.Principal) owner {
	var space [128]byte
	sum := sha256.Sum256(p.AppendIdentity(space[:0]))
	return owner(sum[:ownerSize])
}

// encode returns the ticket's bytes.
func (t *ticket) encode() []byte {
	out := make([]byte, 0, headSize+len(t.client.Revision)+len(t.client.Info)+len(t.client.Capabilities)+8)
	out = append(out, t.form|byte(t.unknown)<<formBits)
	out = append(out, t.key[:]...)
	out = append(out, t.owner[:]...)
	out = binary.BigEndian.AppendUint64(out, uint64(t.created.UnixMilli()))
	if t.form == shelved {
		return out
	}
	return appendClient(out, &t.client)
}

// appendClient adds what a client said of itself.
func appendClient(out []byte, c *rpc.Client) []byte {
	for _, part := range [][]byte{[]byte(c.Revision), c.Info, c.Capabilities} {
		out = binary.AppendUvarint(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}

// decode reads what encode wrote; the ticket keeps parts of text. It returns false
// for a form that is not known, which a newer process may have written.
func (t *ticket) decode(text []byte) bool {
	if len(text) < headSize {
		return false
	}
	t.form, t.unknown = text[0]&(1<<formBits-1), lists(text[0]>>formBits)
	if t.form != whole && t.form != shelved {
		return false
	}
	text = text[1:]
	text = text[copy(t.key[:], text):]
	text = text[copy(t.owner[:], text):]
	t.created = time.UnixMilli(int64(binary.BigEndian.Uint64(text)))
	text = text[8:]
	if t.form == shelved {
		return len(text) == 0
	}
	return readClient(text, &t.client)
}

// readClient reads what appendClient wrote; c keeps parts of text.
func readClient(text []byte, c *rpc.Client) bool {
	var parts [3][]byte
	for i := range parts {
		n, size := binary.Uvarint(text)
		if size <= 0 || n > uint64(len(text)-size) {
			return false
		}
		text = text[size:]
		parts[i], text = text[:n:n], text[n:]
	}
	c.Revision = rpc.Revision(parts[0])
	c.Info = object(parts[1])
	c.Capabilities = object(parts[2])
	return len(text) == 0
}

// object is nil for a member the client did not send.
func object(text []byte) json.RawMessage {
	if len(text) == 0 {
		return nil
	}
	return text
}
