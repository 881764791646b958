package conversation

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// What a client wishes of its session has to be known wherever the session is used. It goes into the session's id, in
// the place of the client's capabilities: none of them are of any use in this dialect.
var wishMark = []byte(`{"session":`)

// wish is what a client wants of its session.
type wish struct {
	history bool
	ttl     time.Duration // 0 for none
}

// Wish writes what a client wants of its session into what it said of itself, before the session is opened.
func Wish(c *rpc.Client, i infer.Introduction) {
	c.Capabilities = nil
	if !i.History && i.TTL == 0 {
		return
	}
	out := append(bytes.Clone(wishMark), `{"history":`...)
	out = strconv.AppendBool(out, i.History)
	out = strconv.AppendInt(append(out, `,"ttl_ms":`...), max(i.TTL.Milliseconds(), 0), 10)
	c.Capabilities = append(out, "}}"...)
}

// wishOf reads what a client wants of its session.
func wishOf(c *rpc.Client) (w wish) {
	if !bytes.HasPrefix(c.Capabilities, wishMark) {
		return wish{}
	}
	var said struct {
		Session struct {
			History bool  `json:"history"`
			TTL     int64 `json:"ttl_ms"`
		} `json:"session"`
	}
	if json.Unmarshal(c.Capabilities, &said) != nil {
		return wish{}
	}
	return wish{said.Session.History, time.Duration(said.Session.TTL) * time.Millisecond}
}

// Idle returns how long a client wants its session to last when it is not used; 0 if it did not say.
func Idle(c *rpc.Client) time.Duration { return wishOf(c).ttl }
