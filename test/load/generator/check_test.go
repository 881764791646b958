package generator

import (
	"strings"
	"testing"
)

func expected(era Era) *expectation {
	return &expectation{era: era, id: []byte(`7`), nonce: []byte(`n-1`), payload: []byte(`some \"text\" caf\u00e9`)}
}

const (
	goodContent = `"content":[{"type":"text","text":"n-1"},{"type":"text","text":"some \"text\" caf\u00e9"}]`
	good        = `{"jsonrpc":"2.0","id":7,"result":{` + goodContent + `}}`
)

func TestAnswersAreChecked(t *testing.T) {
	t.Parallel()
	replace := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	tests := []struct {
		name string
		body string
		want Fault
	}{
		{"right", good, ""},
		{"right, other order and white space", "{ \"result\" : {\"x\":[{}]," + goodContent + "} ,\n\"id\": 7, \"jsonrpc\":\"2.0\" }", ""},
		{"right, other escapes", replace(`caf\u00e9`, `café`), ""},
		{"other id", replace(`"id":7`, `"id":8`), WrongID},
		{"id of another type", replace(`"id":7`, `"id":"7"`), WrongID},
		{"equal number, other bytes", replace(`"id":7`, `"id":7.0`), WrongID},
		{"null id", replace(`"id":7`, `"id":null`), WrongID},
		{"no id", replace(`"id":7,`, ``), WrongID},
		{"nonce of another call", replace(`n-1`, `n-2`), WrongNonce},
		{"nonce cut off", replace(`n-1`, `n-`), WrongNonce},
		{"no text in the first block", replace(`"text":"n-1"`, `"data":"n-1"`), WrongNonce},
		{"payload cut off", replace(`caf\u00e9`, `caf`), WrongPayload},
		{"payload longer", replace(`caf\u00e9`, `caf\u00e9s`), WrongPayload},
		{"payload changed", replace(`some`, `same`), WrongPayload},
		{"payload missing", replace(`,{"type":"text","text":"some \"text\" caf\u00e9"}`, ``), Malformed},
		{"a third block", replace(`\u00e9"}]`, `\u00e9"},{}]`), Malformed},
		{"no content", `{"jsonrpc":"2.0","id":7,"result":{}}`, Malformed},
		{"truncated", good[:len(good)-1], Malformed},
		{"two messages", good + good, Malformed},
		{"empty", ``, Malformed},
		{"other version", replace(`2.0`, `2.1`), Malformed},
		{"neither result nor error", `{"jsonrpc":"2.0","id":7}`, Malformed},
		{"error", `{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"x"}}`, ServerError},
		{"result and error", replace(`"result"`, `"error":{},"result"`), ServerError},
		{"tool error", replace(`"result":{`, `"result":{"isError":true,`), ServerError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got Fault
			if f := expected(Legacy).check(&response{head: head{status: 200}, body: []byte(tt.body)}); f != nil {
				got = f.fault
			}
			if got != tt.want {
				t.Errorf("%s: fault %q, want %q", tt.body, got, tt.want)
			}
		})
	}
}

func TestModernAnswersNeedTheirResultType(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Fault{
		good: Malformed,
		strings.Replace(good, `"content"`, `"resultType":"complete","content"`, 1):       "",
		strings.Replace(good, `"content"`, `"resultType":"input_required","content"`, 1): Malformed,
	} {
		var got Fault
		if f := expected(Modern).checkResponse([]byte(body)); f != nil {
			got = f.fault
		}
		if got != want {
			t.Errorf("%s: fault %q, want %q", body, got, want)
		}
	}
}

func TestEventStreamsAreChecked(t *testing.T) {
	t.Parallel()
	const progress = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n"
	event := "data: " + good + "\n\n"
	tests := []struct {
		name, stream string
		want         Fault
	}{
		{"answer", event, ""},
		{"heartbeat, priming, progress, answer", ": hb\n\nid: 1\ndata: \n\n" + progress + event, ""},
		{"carriage returns", strings.ReplaceAll(event, "\n", "\r\n"), ""},
		{"data in lines", "data: " + strings.Replace(good, `,"result"`, ",\ndata:\"result\"", 1) + "\n\n", ""},
		{"nothing", "", Malformed},
		{"progress only", progress, Malformed},
		{"event cut off", "data: " + good + "\n", Malformed},
		{"two answers", event + event, Duplicate},
		{"another call's answer as well", event + strings.Replace(event, `"id":7`, `"id":8`, 1), Duplicate},
		{"question", "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"roots/list\"}\n\n" + event, Malformed},
		{"wrong answer", strings.Replace(event, `"id":7`, `"id":8`, 1), WrongID},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got Fault
			if f := expected(Legacy).check(&response{head: head{status: 200, events: true}, body: []byte(tt.stream)}); f != nil {
				got = f.fault
			}
			if got != tt.want {
				t.Errorf("fault %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStatusIsChecked(t *testing.T) {
	t.Parallel()
	if f := expected(Legacy).check(&response{head: head{status: 502}, body: []byte(good)}); f == nil || f.fault != Status {
		t.Errorf("a 502 counts as %v", f)
	}
}
