package model

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// sessionHeader is the HTTP header field of an answer that opens a session.
const sessionHeader = "Mcp-Session-Id"

// introduction is the result of initialize.
type introduction struct {
	Version      rpc.Revision    `json:"protocolVersion"`
	Info         json.RawMessage `json:"serverInfo"`
	Session      string          `json:"sessionId,omitempty"`
	Capabilities capabilities    `json:"capabilities"`
	Models       []description   `json:"models"`
}

type capabilities struct {
	Streaming bool     `json:"streaming"`
	Async     bool     `json:"async"`
	Cancel    bool     `json:"cancel"`
	Logs      bool     `json:"logs"`
	Methods   []string `json:"methods"`
}

// description is what clients are told of a model.
type description struct {
	Name      string            `json:"name"`
	Streaming bool              `json:"streaming"`
	Context   int64             `json:"context,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Aliases   []string          `json:"aliases,omitempty"`
}

// initialize tells a client what it may use here, and opens a session unless it has one.
func (r *Router) initialize(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	intro, err := infer.ReadIntroduction(c.Message)
	if err != nil {
		return nil, err
	}
	out := introduction{Version: infer.Version, Info: r.Info, Capabilities: r.capabilities(), Models: []description{}}
	r.visible(c, func(e *Entry, t *rpc.Target) {
		d := description{Name: t.Canonical, Streaming: e.Streams, Context: e.Context, Labels: e.Labels, Aliases: e.Aliases}
		out.Models = append(out.Models, d)
	})
	if c.Client.Session == "" && r.Open != nil {
		if out.Session, err = r.Open(ctx, c, intro); err != nil {
			return nil, err
		}
	}
	reply, err := respond(c, out)
	if err == nil && out.Session != "" {
		reply.Header = http.Header{sessionHeader: {out.Session}}
	}
	return reply, err
}

func (r *Router) capabilities() capabilities {
	out := capabilities{Streaming: true, Async: r.Jobs != nil, Cancel: true, Logs: r.Logs != nil}
	out.Methods = slices.DeleteFunc(infer.Methods(), func(name string) bool {
		return name == infer.InvokeAsync && !out.Async || name == infer.Logs && !out.Logs
	})
	return out
}

// visible calls f with each model that the caller may know of.
func (r *Router) visible(c *rpc.Call, f func(*Entry, *rpc.Target)) {
	for i := range r.Models {
		e := &r.Models[i]
		for _, t := range e.models() {
			if r.Sees == nil || r.Sees(c, &t) {
				f(e, &t)
			}
		}
	}
}

func respond(c *rpc.Call, result any) (*rpc.Reply, error) {
	if c.Message.IsNotification() {
		return rpc.Respond(nil), nil
	}
	text, err := json.Marshal(result)
	if err != nil {
		return nil, &rpc.Error{Code: rpc.Internal, Message: "internal error", Cause: err}
	}
	return rpc.Respond(rpc.NewResult(c.Message.ID, text)), nil
}
