package gateway

import (
	"context"
	"slices"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/conversation"
	"github.com/headgate/headgate/router/model"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

// modelRouter is what resolves and answers the calls of the inference dialect.
func (g *Gateway) modelRouter(n *generation) *model.Router {
	return model.New(model.Deps{
		Models: n.modelEntries(), Sees: n.seesModel, Route: n.modelRules(),
		Jobs: g.jobHandler(), Logs: rpc.HandlerFunc(g.serveLogs), Holder: g.sessions, Open: g.openConversation, Session: g.conversationOf,
		Info: g.info, Version: g.version, Started: g.started,
	})
}

// seesModel reports whether a caller may know of a model.
func (n *generation) seesModel(c *rpc.Call, t *rpc.Target) bool {
	return !n.filtersLists() || n.access.Sees(&c.Principal, rpc.Infer, infer.Invoke, t)
}

// openConversation opens a session of the inference dialect.
func (g *Gateway) openConversation(ctx context.Context, c *rpc.Call, i infer.Introduction) (string, error) {
	if err := g.said.Able(i); err != nil {
		return "", err
	}
	client := c.Client
	conversation.Wish(&client, i)
	id, err := g.sessions.Open(ctx, client, c.Principal, c.Endpoint, nil)
	if err != nil || !i.History {
		return id, err
	}
	s, err := g.sessions.Resume(id, c.Endpoint)
	if err != nil {
		return "", err
	}
	return id, g.said.Open(ctx, s.Client().Session, i)
}

// conversationOf tells a client how its session stands.
func (g *Gateway) conversationOf(ctx context.Context, c *rpc.Call) (*model.Session, error) {
	said, remembered, err := g.said.Standing(ctx, c)
	if err != nil {
		return nil, err
	}
	expires, live := g.sessions.Expires(c.Client.Session)
	if !live {
		return nil, nil //nolint:nilnil // a socket that has opened no session
	}
	if !remembered {
		return &model.Session{Expires: expires.UTC()}, nil
	}
	if said.Expires.Before(expires) {
		expires = said.Expires
	}
	return &model.Session{Usage: (*model.Spent)(&said.Used), Turns: said.Turns, Expires: expires.UTC()}, nil
}

// conversationBounds bound what is remembered of conversations.
func conversationBounds(cfg *config.Config) conversation.Config {
	return conversation.Config{
		Idle: cfg.Sessions.Idle, Max: cfg.Sessions.Max, Turns: cfg.Sessions.History.Turns, Bytes: int(cfg.Sessions.History.Bytes),
	}
}

// openConversations makes what remembers conversations.
func (g *Gateway) openConversations(cfg *config.Config) {
	var store state.Conversations
	if g.engine != nil {
		store = g.engine.Conversations()
	}
	g.said = conversation.New(conversation.Deps{
		Store: store, Carries: func(c *rpc.Call) bool { return g.generation().carriesContext(c) }, End: g.endConversation, Log: g.logOf("conversation"),
	}, conversationBounds(cfg))
}

// endConversation ends a session of which nothing is remembered any more.
func (g *Gateway) endConversation(ctx context.Context, session string, cause error) {
	if _, err := g.sessions.Evict(ctx, session, cause); err != nil {
		g.log.WarnContext(ctx, "the end of a session was not written", "error", err.Error())
	}
}

// carriesContext reports whether each backend that may serve a call goes on with a context of a conversation: it is
// for servers of Ollama, and for gateways that may have them.
func (n *generation) carriesContext(c *rpc.Call) bool {
	if c.Route != nil && len(c.Route.Fallback) > 0 {
		return false
	}
	i := slices.IndexFunc(n.cfg.Models, func(m config.Model) bool { return m.Name == c.Target.Upstream })
	return i >= 0 && !slices.ContainsFunc(n.cfg.Models[i].Enabled(), func(b config.ModelBackend) bool {
		return b.Kind != "ollama" && b.Kind != "rpc"
	})
}
