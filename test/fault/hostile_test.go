package fault

import (
	"encoding/json"
	"fmt"
	"time"
)

// The hostile upstream is written by hand, down to the bytes of HTTP: no library would send what it sends. It shakes hands
// and lists its tools as one should; its tool "plain" answers, and its tool "hostile" does one misdeed.

// way is a kind of connection to the hostile upstream, or several.
type way uint8

const (
	httpLegacy way = 1 << iota
	httpModern
	stdioLegacy
	stdioModern

	anyHTTP  = httpLegacy | httpModern
	anyStdio = stdioLegacy | stdioModern
	anyway   = anyHTTP | anyStdio
)

func (w way) modern() bool { return w&(httpModern|stdioModern) != 0 }
func (w way) stdio() bool  { return w&anyStdio != 0 }

func (w way) String() string {
	return map[way]string{
		httpLegacy: "legacy over HTTP", httpModern: "modern over HTTP", stdioLegacy: "legacy over stdio", stdioModern: "modern over stdio",
	}[w]
}

// fate is what must come of a call that a misdeed is done to.
type fate uint8

const (
	either   fate = iota // a result or an error; one of them
	answered             // the right result
	failed               // an error
)

// misdeed is one way to behave badly.
type misdeed struct {
	name string
	on   way
	fate fate
	// asks is set where the clients declare that they can be asked something, so that a legacy upstream has
	// a connection for each of them.
	asks bool
	// sessions is set where the callers have sessions: between modern ones on one connection only time tells calls apart.
	sessions bool
	// echoes is set where the upstream's own words may reach the client whom they are about.
	echoes bool
	// slow is set where nothing else ends a call than the time-out, or a process's end.
	slow bool
	// lazy makes innocent calls take longer, so that what is left of the last call can come in.
	lazy bool
	// say returns the messages that answer a call.
	say func(v *victim) []string
	// raw does it over HTTP, byte by byte.
	raw func(v *victim, c *hostileConn)
	// end is what a process does after it has spoken.
	end func()
}

// victim is a call that reached the hostile upstream.
type victim struct {
	id     string // as it stands in the request
	nonce  string // of the caller
	modern bool
}

// request is what the hostile upstream reads of a message.
type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Error  json.RawMessage `json:"error"`
	Params struct {
		Name      string `json:"name"`
		Cursor    string `json:"cursor"`
		Arguments struct {
			Nonce string `json:"nonce"`
		} `json:"arguments"`
	} `json:"params"`
}

// complete is what begins a modern result.
func complete(modern bool) string {
	if modern {
		return `"resultType":"complete",`
	}
	return ""
}

// good is the right answer.
func (v *victim) good() string { return v.respond(v.id, "ok") }

// respond answers a request of any id with a word and the caller's nonce.
func (v *victim) respond(id, word string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{%s"content":[{"type":"text","text":"%s %s"}]}}`, id, complete(v.modern), word, v.nonce)
}

// poison is text that may reach nobody.
func (v *victim) poison() string { return "poison " + v.nonce }

// elicit is a question with the given id, which holds poison.
func (v *victim) elicit(id string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"elicitation/create","params":{"message":%q,"requestedSchema":{"type":"object","properties":{}}}}`,
		id, v.poison())
}

// progress is a progress notification about a token.
func (v *victim) progress(token string, progress float64, word string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%g,"message":"%s %s"}}`,
		token, progress, word, v.nonce)
}

// handshake answers what is asked before a tool is called, and the tool "plain"; nothing for "hostile" and for what needs
// no answer.
func handshake(r *request, deed *misdeed, modern bool) string {
	result := ""
	switch r.Method {
	case "initialize":
		if modern {
			return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32022,"message":"modern","data":{"supported":["2026-07-28"]}}}`, r.ID)
		}
		result = `"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"hostile","version":"1"}`
	case "server/discover":
		if !modern {
			return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"unknown"}}`, r.ID)
		}
		result = `"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":60000,"cacheScope":"private"`
	case "tools/list":
		result = complete(modern) + `"tools":[{"name":"plain","inputSchema":{"type":"object"}},{"name":"hostile","inputSchema":{"type":"object"}}]`
		if modern {
			result += `,"ttlMs":600000,"cacheScope":"private"`
		}
	case "tools/call":
		if r.Params.Name == "hostile" {
			return ""
		}
		if deed.lazy {
			time.Sleep(40 * time.Millisecond) // longer than questions are collected
		}
		v := victim{string(r.ID), r.Params.Arguments.Nonce, modern}
		return v.good()
	case "ping":
	default:
		if r.ID == nil || r.Method == "" {
			return ""
		}
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"unknown"}}`, r.ID)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{%s}}`, r.ID, result)
}
