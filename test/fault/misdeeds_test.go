package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// misdeeds are all that the hostile upstream can do.
func misdeeds() []misdeed {
	return append(append(append(append(misdeedsOfResponses(), misdeedsOfQuestions()...), misdeedsOfText()...), misdeedsOfHTTP()...), misdeedsOfProcesses()...)
}

// neighbour is the id of the call before or after.
func (v *victim) neighbour(by int) string {
	n, err := strconv.Atoi(v.id)
	if err != nil {
		return v.id
	}
	return strconv.Itoa(n + by)
}

func misdeedsOfResponses() []misdeed {
	return []misdeed{
		{name: "a second response", on: anyway, fate: answered, say: func(v *victim) []string {
			return []string{v.good(), v.respond(v.id, "poison")}
		}},
		{name: "a response to an unknown id", on: anyway, fate: answered, say: func(v *victim) []string {
			return []string{v.respond("999983", "poison"), v.respond(`"x"`, "poison"), v.respond("-1", "poison"), v.respond("0", "poison"), v.good()}
		}},
		{name: "an id of another type", on: anyway, fate: answered, say: func(v *victim) []string {
			return []string{v.respond(`"`+v.id+`"`, "ok")}
		}},
		{name: "an id that is an array", on: anyway, fate: failed, slow: true, say: func(v *victim) []string {
			return []string{v.respond(`[`+v.id+`]`, "poison")}
		}},
		// Where callers share a connection only the server knows whose answer is whose, so this is told where they do not.
		{name: "the id of another call in flight", on: anyHTTP, fate: answered, say: func(v *victim) []string {
			return []string{v.respond(v.neighbour(1), "poison"), v.respond(v.neighbour(-1), "poison"), v.good()}
		}},
		{name: "the id of another session's call", on: httpLegacy | stdioLegacy, fate: answered, asks: true, say: func(v *victim) []string {
			return []string{v.respond(v.neighbour(1), "poison"), v.respond(v.neighbour(2), "poison"), v.good()}
		}},
		{name: "a result and an error", on: anyway, fate: failed, say: func(v *victim) []string {
			return []string{fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{},"error":{"code":1,"message":%q}}`, v.id, v.poison())}
		}},
		{name: "neither result nor error", on: anyway, fate: failed, say: func(v *victim) []string {
			return []string{fmt.Sprintf(`{"jsonrpc":"2.0","id":%s}`, v.id)}
		}},
		{name: "an error that is a text", on: anyway, fate: failed, say: func(v *victim) []string {
			return []string{fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":%q}`, v.id, v.poison())}
		}},
		{name: "an array of responses", on: anyway, fate: failed, slow: true, say: func(v *victim) []string {
			return []string{"[" + v.respond(v.id, "poison") + "]"}
		}},
		{name: "a response with a method", on: anyway, fate: failed, slow: true, say: func(v *victim) []string {
			return []string{fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"ping","result":{"text":%q}}`, v.id, v.poison())}
		}},
		{name: "an id twice", on: anyway, fate: failed, say: func(v *victim) []string {
			return []string{fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"id":%s,"result":{"text":%q}}`, v.id, v.neighbour(1), v.poison())}
		}},
	}
}

func misdeedsOfQuestions() []misdeed {
	return []misdeed{
		{name: "a request with the id of the call", on: anyway, fate: answered, say: func(v *victim) []string {
			return []string{v.elicit(v.id), v.good()}
		}},
		{name: "a question that nobody can be asked", on: anyway, fate: answered, say: func(v *victim) []string {
			return []string{v.elicit(`"q"`), `{"jsonrpc":"2.0","id":"r","method":"roots/list"}`, v.good()}
		}},
		{name: "a question on a modern stream", on: httpModern | stdioModern, fate: answered, asks: true, say: func(v *victim) []string {
			return []string{v.elicit(`"q"`), v.elicit(v.id), v.good()}
		}},
		{name: "a question after the result", on: anyway, fate: answered, say: func(v *victim) []string {
			return []string{v.good(), v.elicit(`"late"`)}
		}},
		{name: "a question after the result to who can be asked", on: anyway, fate: answered, asks: true, echoes: true, sessions: true, say: func(v *victim) []string {
			return []string{v.good(), v.elicit(`"late"`)}
		}},
		{name: "a question on another stream", on: httpLegacy, fate: answered, asks: true, echoes: true, raw: func(v *victim, c *hostileConn) {
			c.onStream(v.elicit(`"aside"`))
			c.events(v.good())
		}},
		{name: "notifications for others", on: anyway, fate: answered, say: func(v *victim) []string {
			return []string{
				fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///x","title":%q}}`, v.poison()),
				fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":3},"notifications":{},"text":%q}}`, v.poison()),
				fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s,"reason":%q}}`, v.id, v.poison()),
				v.good(),
			}
		}},
		{name: "progress for foreign tokens", on: anyway, fate: answered, say: func(v *victim) []string {
			return []string{
				v.progress(`"foreign"`, 1, "poison"), v.progress("999983", 1, "poison"), v.progress("-1", 1, "poison"), v.progress("1.5", 1, "poison"),
				v.progress("null", 1, "poison"), v.progress(`{"a":1}`, 1, "poison"), v.good(),
			}
		}},
		{name: "progress of a neighbour", on: anyHTTP, fate: answered, say: func(v *victim) []string {
			return []string{v.progress(v.neighbour(1), 1, "poison"), v.progress(v.neighbour(-1), 1, "poison"), v.good()}
		}},
		{name: "decreasing progress", on: anyway, fate: answered, say: func(v *victim) []string {
			return []string{
				v.progress(v.id, 5, "step"), v.progress(v.id, 3, "step"), v.progress(v.id, -4, "step"), v.progress(v.id, 5.5, "step"), v.good(),
			}
		}},
		{name: "progress after the result", on: anyway, fate: answered, say: func(v *victim) []string {
			return []string{v.good(), v.progress(v.id, 9, "poison")}
		}},
	}
}

func misdeedsOfText() []misdeed {
	return []misdeed{
		{name: "invalid JSON", on: anyway, fate: failed, say: func(v *victim) []string {
			return []string{fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"text":%q}`, v.id, v.poison())}
		}},
		{name: "invalid UTF-8", on: anyway, fate: failed, say: func(v *victim) []string {
			return []string{fmt.Sprintf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"text\":\"\xff\xfe %s\"}}", v.id, v.poison())}
		}},
		{name: "nested too deep", on: anyway, fate: failed, say: func(v *victim) []string {
			deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
			return []string{fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"content":[],"deep":%s}}`, v.id, deep)}
		}},
		{name: "over the size limit", on: anyway, fate: failed, say: func(v *victim) []string {
			return []string{fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"text":"poison %s"}}`, v.id, strings.Repeat("x", 200<<10))}
		}},
		{name: "messages without end", on: anyway, fate: answered, say: func(v *victim) []string {
			notes := make([]string, 0, 2001)
			for range cap(notes) - 1 {
				notes = append(notes, v.progress(`"foreign"`, 1, "poison"))
			}
			return append(notes, v.good())
		}},
	}
}

// misdeedsOfProcesses are those that end the process or its output.
func misdeedsOfProcesses() []misdeed {
	return []misdeed{
		{
			name: "exits without an answer", on: anyStdio, fate: failed,
			say: func(*victim) []string { return nil }, end: func() { os.Exit(3) },
		},
		{
			name: "exits in the middle of a line", on: anyStdio, fate: failed,
			say: func(v *victim) []string {
				_, _ = os.Stdout.WriteString(v.good()[:40])
				return nil
			}, end: func() { os.Exit(0) },
		},
		{
			name: "closes its output", on: anyStdio, fate: failed, slow: true,
			say: func(*victim) []string { return nil }, end: func() { _ = os.Stdout.Close() },
		},
		{
			name: "speaks of other things", on: anyStdio, fate: answered,
			say: func(v *victim) []string {
				return []string{"", "Listening on port 3000", "\x00\x01\x02", "{}", "[]", "null", "42", v.good()}
			},
		},
	}
}
