package infer

import "github.com/headgate/headgate/rpc"

// Version is the revision of the dialect that is spoken here.
const Version rpc.Revision = "2026-11-01"

// Path is where the dialect is spoken.
const Path = "/rpc"

// The methods of the dialect.
const (
	Initialize  = "initialize"
	Invoke      = "invoke"
	InvokeAsync = "invoke_async"
	Status      = "status"
	Cancel      = "cancel"
	Logs        = "logs"
	Heartbeat   = "heartbeat"
	Ping        = "ping"
)

// Methods of the notifications that replies carry. No client can send them.
const (
	Chunk = "chunk" // the params are a chunk of an answer
	Entry = "entry" // the params are an entry of a log
)

// Stream is what a scope has to be good for, beside the method, to have answers streamed.
const Stream = "stream"

// Methods lists the methods, in the order in which clients are told of them.
func Methods() []string {
	return []string{Initialize, Invoke, InvokeAsync, Status, Cancel, Logs, Heartbeat, Ping}
}

// An invoke may be made again until its first message was seen: that something was
// generated and thrown away does no harm.
var methods = map[string]*rpc.Method{
	Initialize:  {Name: Initialize, Dest: rpc.Gateway},
	Invoke:      {Name: Invoke, Dest: rpc.Owner, Subject: "model", Idempotent: true},
	InvokeAsync: {Name: InvokeAsync, Dest: rpc.Owner, Subject: "model", Idempotent: true},
	Status:      {Name: Status, Dest: rpc.Gateway},
	Cancel:      {Name: Cancel, Dest: rpc.Gateway},
	Logs:        {Name: Logs, Dest: rpc.Gateway},
	Heartbeat:   {Name: Heartbeat, Dest: rpc.Gateway},
	Ping:        {Name: Ping, Dest: rpc.Gateway},
}

// Lookup returns the row of a method that clients may send.
func Lookup(name string) (*rpc.Method, bool) {
	m, ok := methods[name]
	return m, ok
}

// Foreign returns a row for a method that is in no table, so that who may not come in is
// told that and not whether there is such a method.
func Foreign(name string) *rpc.Method { return &rpc.Method{Name: name, Dest: rpc.Gateway} }

// MayNotify reports whether a method may be a notification.
func MayNotify(name string) bool { return name == Cancel || name == Heartbeat || name == Ping }

// Verb returns the method as which access to a call is judged. It is empty for calls that everybody may make: those
// that open and keep a conversation, or concern what is the caller's own.
func Verb(c *rpc.Call) string {
	switch c.Method.Name {
	case Invoke, InvokeAsync:
		return Invoke
	case Logs:
		return Logs
	}
	return ""
}

// Also returns what a scope has to be good for beside the verb; empty for nothing.
func Also(c *rpc.Call) string {
	if c.Method.Name == Invoke && Streams(c.Message) {
		return Stream
	}
	return ""
}

// Streams reports whether an invoke asks for its answer in chunks.
func Streams(m *rpc.Message) bool {
	v, ok := m.Get("stream")
	return ok && string(v) == "true"
}
