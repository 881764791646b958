package job

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// idPrefix tells ids of jobs from others where people read them.
const idPrefix = "job_"

// idText sorts as the bytes do.
var idText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// newID returns the id of a job that is submitted now: the time in milliseconds, so that lists are in the order of submission,
// and 128 random bits, which nobody can guess.
func newID(now time.Time) string {
	var b [6 + 16]byte
	var millis [8]byte
	binary.BigEndian.PutUint64(millis[:], uint64(now.UnixMilli()))
	copy(b[:6], millis[2:])
	_, _ = rand.Read(b[6:]) // which does not fail
	return idPrefix + idText.EncodeToString(b[:])
}

// maxTenant bounds the name of a tenant in bytes, so that what it is the name of fits beside it.
const maxTenant = state.MaxJobName - len("address:") - 1 - 2*sha256.Size

// tenantOf names who takes turns with others: an organisation, or a key or user without one, or an address.
func tenantOf(p *rpc.Principal, from netip.Addr) string {
	switch {
	case p.Org != "":
		return OrgTenant(p.Org)
	case p.Key != "":
		return "key:" + clipped(p.Key)
	case p.User != "":
		return "user:" + clipped(p.User)
	}
	from = from.Unmap()
	if from.Is6() { // one client has as many addresses as it likes (RFC 4291, section 2.5.1)
		prefix, _ := from.WithZone("").Prefix(64)
		from = prefix.Addr()
	}
	return "address:" + from.String()
}

// OrgTenant is the tenant that an organisation is.
func OrgTenant(org string) string { return "org:" + clipped(org) }

// clipped bounds a name, and leaves no two names the same.
func clipped(name string) string {
	if len(name) <= maxTenant {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(name[:maxTenant], "") + "#" + hex.EncodeToString(sum[:])
}

// How an owner is written: its identity, or a hash of one that is too long.
const (
	plainOwner  = '='
	hashedOwner = '#'
)

// ownerOf names who may ask for a job and cancel it.
func ownerOf(p *rpc.Principal) string {
	text := p.AppendIdentity([]byte{plainOwner})
	if len(text) > state.MaxJobName {
		sum := sha256.Sum256(text)
		text = append([]byte{hashedOwner}, sum[:]...)
	}
	return string(text)
}

// principalOf is who an owner is, as far as that can be read.
func principalOf(owner string) rpc.Principal {
	var p rpc.Principal
	text, plain := strings.CutPrefix(owner, string(plainOwner))
	if !plain {
		return p
	}
	for _, part := range []*string{&p.Org, &p.Team, &p.Key, &p.User} {
		size, n := binary.Uvarint([]byte(text))
		if n <= 0 || size > uint64(len(text)-n) {
			return rpc.Principal{}
		}
		*part, text = text[n:n+int(size)], text[n+int(size):]
	}
	return p
}
