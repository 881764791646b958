package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Requests as bytes. What two readers could cut into different requests is refused
// and the connection closed (RFC 9112 §6.3, §11.2); everything else is served.
func TestRequestsThatReadersCutDifferentlyAreRefused(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	id := g.session()[1]
	body := `{"jsonrpc":"2.0","method":"notifications/x"}`
	const crlf = "\r\n"
	base := "Host: x" + crlf + "Mcp-Session-Id: " + id + crlf + "Content-Type: application/json" + crlf
	start := "POST /mcp HTTP/1.1" + crlf + base
	length := "Content-Length: " + strconv.Itoa(len(body)) + crlf
	chunked := "Transfer-Encoding: chunked" + crlf
	chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	hidden := "GET /hidden HTTP/1.1" + crlf + "Host: x" + crlf + crlf

	served := map[string]struct {
		text    string
		answers int
	}{
		"length":                           {start + length + crlf + body, 1},
		"length, no space":                 {start + strings.Replace(length, ": ", ":", 1) + crlf + body, 1},
		"length, more space":               {start + strings.Replace(length, ": ", ": \t ", 1) + crlf + body, 1},
		"length in capitals":               {start + strings.ToUpper(length) + crlf + body, 1},
		"length with zeros":                {start + strings.Replace(length, ": ", ": 000", 1) + crlf + body, 1},
		"chunks":                           {start + chunked + crlf + chunks, 1},
		"chunks in capitals":               {start + strings.ToUpper(chunked) + crlf + chunks, 1},
		"many chunks":                      {start + chunked + crlf + oneByOne(body) + "0\r\n\r\n", 1},
		"chunks with an extension":         {start + chunked + crlf + fmt.Sprintf("%x;a=b\r\n%s\r\n0\r\n\r\n", len(body), body), 1},
		"chunks with zeros":                {start + chunked + crlf + fmt.Sprintf("000%x\r\n%s\r\n000\r\n\r\n", len(body), body), 1},
		"chunks with a trailer":            {start + chunked + crlf + strings.TrimSuffix(chunks, crlf) + "X-Sum: 1" + crlf + crlf, 1},
		"two with a length":                {start + length + crlf + body + start + length + crlf + body, 2},
		"two in chunks":                    {start + chunked + crlf + chunks + start + chunked + crlf + chunks, 2},
		"one of each":                      {start + chunked + crlf + chunks + start + length + crlf + body, 2},
		"no length":                        {"GET /mcp HTTP/1.1" + crlf + "Host: x" + crlf + crlf, 1},
		"HTTP/1.0":                         {"POST /mcp HTTP/1.0" + crlf + base + length + crlf + body, 1},
		"a header that looks like another": {start + "X-Content-Length: 0" + crlf + "Transfer-Encoding-X: gzip" + crlf + length + crlf + body, 1},
		"a long header":                    {start + "X-Long: " + strings.Repeat("Transfer-Encoding: chunked ", 500) + crlf + length + crlf + body, 1},
		"chunk-like body":                  {start + "Content-Length: 5" + crlf + crlf + "0\r\n\r\n" + start + length + crlf + body, 2},
		"length behind much space":         {start + "Content-Length: " + strings.Repeat(" ", 100) + strconv.Itoa(len(body)) + crlf + crlf + body, 1},
		"chunked behind much space":        {start + "Transfer-Encoding: " + strings.Repeat(" ", 100) + "chunked" + crlf + crlf + chunks, 1},
		"a request inside the body":        {start + "Content-Length: " + strconv.Itoa(len(hidden)) + crlf + crlf + hidden, 1},
	}
	for name, tt := range served {
		t.Run("served/"+name, func(t *testing.T) {
			t.Parallel()
			if got, _ := g.raw(t, tt.text, tt.answers); got != tt.answers {
				t.Errorf("%d requests were served, want %d", got, tt.answers)
			}
		})
	}

	refused := map[string]string{
		"length and chunks":                   start + length + chunked + crlf + chunks,
		"chunks and length":                   start + chunked + length + crlf + chunks,
		"length of nothing and chunks":        start + "Content-Length: 0" + crlf + chunked + crlf + chunks,
		"length short of the chunks":          start + "Content-Length: 4" + crlf + chunked + crlf + chunks + hidden,
		"two lengths":                         start + length + "Content-Length: 0" + crlf + crlf + body,
		"two equal lengths":                   start + length + length + crlf + body,
		"lengths in a list":                   start + strings.Replace(length, crlf, ", "+strconv.Itoa(len(body))+crlf, 1) + crlf + body,
		"length with a sign":                  start + strings.Replace(length, ": ", ": +", 1) + crlf + body,
		"negative length":                     start + "Content-Length: -1" + crlf + crlf + body,
		"length in hex":                       start + "Content-Length: 0x26" + crlf + crlf + body,
		"length that is empty":                start + "Content-Length: " + crlf + crlf + body,
		"length that is huge":                 start + "Content-Length: 99999999999999999999999" + crlf + crlf + body,
		"length with a comment":               start + strings.Replace(length, crlf, " (x)"+crlf, 1) + crlf + body,
		"space before the colon":              start + strings.Replace(length, ":", " :", 1) + crlf + body,
		"tab before the colon":                start + strings.Replace(chunked, ":", "\t:", 1) + length + crlf + body,
		"gzip coding":                         start + "Transfer-Encoding: gzip" + crlf + crlf + chunks,
		"gzip and chunked":                    start + "Transfer-Encoding: gzip, chunked" + crlf + crlf + chunks,
		"chunked twice":                       start + "Transfer-Encoding: chunked, chunked" + crlf + crlf + chunks,
		"chunked in two fields":               start + chunked + chunked + crlf + chunks,
		"identity coding":                     start + "Transfer-Encoding: identity" + crlf + length + crlf + body,
		"empty coding":                        start + "Transfer-Encoding: " + crlf + length + crlf + body,
		"chunked in quotes":                   start + "Transfer-Encoding: \"chunked\"" + crlf + length + crlf + body,
		"chunked with a vertical tab":         start + "Transfer-Encoding: \x0bchunked" + crlf + length + crlf + body,
		"coding of HTTP/1.0":                  "POST /mcp HTTP/1.0" + crlf + base + chunked + crlf + chunks,
		"coding of HTTP/1.0 and length":       "POST /mcp HTTP/1.0" + crlf + base + chunked + length + crlf + body,
		"bare line feed after the request":    strings.Replace(start, "HTTP/1.1\r\n", "HTTP/1.1\n", 1) + length + crlf + body,
		"bare line feed after a field":        start + strings.Replace(length, crlf, "\n", 1) + crlf + body,
		"bare line feeds":                     strings.ReplaceAll(start+length+crlf, crlf, "\n") + body,
		"bare line feed at the end":           start + length + "\n" + body,
		"bare carriage return in a field":     start + "X-A: b\rContent-Length: 0" + crlf + length + crlf + body,
		"carriage return and carriage return": start + strings.Replace(length, crlf, "\r\r\n", 1) + crlf + body,
		"folded field":                        start + "X-A: b" + crlf + " c" + crlf + length + crlf + body,
		"folded with a tab":                   start + "X-A: b" + crlf + "\tTransfer-Encoding: chunked" + crlf + length + crlf + body,
		"folded length":                       start + "Content-Length:" + crlf + " " + strconv.Itoa(len(body)) + crlf + crlf + body,
		"folded first field":                  "POST /mcp HTTP/1.1" + crlf + " X: y" + crlf + base + length + crlf + body,
		"chunk with a bare line feed":         start + chunked + crlf + strings.Replace(chunks, crlf, "\n", 1) + hidden,
		"chunk that is longer than it says":   start + chunked + crlf + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body)-1, body) + hidden,
		"chunk without a size":                start + chunked + crlf + ";\r\n" + chunks + hidden,
		"chunk size with a sign":              start + chunked + crlf + "+" + chunks + hidden,
		"chunk size with 0x":                  start + chunked + crlf + "0x" + chunks + hidden,
		"chunk size that overflows":           start + chunked + crlf + "1" + strings.Repeat("0", 16) + chunks + hidden,
		"last chunk with a bare line feed":    start + chunked + crlf + strings.TrimSuffix(chunks, "\r\n\r\n") + "\n\r\n" + hidden,
		"trailer that is folded":              start + chunked + crlf + strings.TrimSuffix(chunks, crlf) + "X: 1\r\n 2" + crlf + crlf + hidden,
		"NUL in a field":                      start + "X-A: b\x00c" + crlf + length + crlf + body,
		"two hosts":                           start + "Host: y" + crlf + length + crlf + body,
		"no host":                             strings.Replace(start, "Host: x\r\n", "", 1) + length + crlf + body,
		"field without a colon":               start + "nonsense" + crlf + length + crlf + body,
		"name with a space":                   start + "X A: b" + crlf + length + crlf + body,
		"empty name":                          start + ": b" + crlf + length + crlf + body,
		"version that never was":              strings.Replace(start, "HTTP/1.1", "HTTP/1.11", 1) + length + crlf + body,
		"no version":                          strings.Replace(start, " HTTP/1.1", "", 1) + length + crlf + body,
		"head that is too long":               start + "X-Long: " + strings.Repeat("x", 60_000) + crlf + length + crlf + body,
	}
	for name, text := range refused {
		t.Run("refused/"+name, func(t *testing.T) {
			t.Parallel()
			got, closed := g.raw(t, text, 0)
			if got > 1 || !closed {
				t.Errorf("%d requests were served, connection closed: %v", got, closed)
			}
			// A fault in the framing of a body may be found when its request is served
			// already; what follows must not be.
			if inBody := strings.HasSuffix(text, hidden); got == 1 && !inBody {
				t.Error("the request was served")
			}
		})
	}
	if len(refused)+len(served) < 40 {
		t.Error("the corpus has shrunk")
	}
}

// oneByOne is a text in chunks of one byte.
func oneByOne(text string) string {
	var out strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&out, "1\r\n%s\r\n", text[i:i+1])
	}
	return out.String()
}

// raw sends bytes and returns how many requests were served (by anything but a
// refusal), and whether the gate closed the connection after it. It stops after
// as many answers as are expected.
func (g *gate) raw(t *testing.T, text string, expect int) (served int, closed bool) {
	t.Helper()
	own := *g
	own.tb = t
	c, in := own.dial()
	go func() { _, _ = io.WriteString(c, text) }() // a connection that is closed cannot be written to
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for expect == 0 || served < expect {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return served, isClosed(in)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return served, true
		}
		if strings.Contains(string(text), "hidden") {
			t.Errorf("the hidden request was served: %s", text)
		}
		switch resp.StatusCode {
		case http.StatusBadRequest, http.StatusNotImplemented, http.StatusHTTPVersionNotSupported, http.StatusRequestHeaderFieldsTooLarge:
			if !strings.Contains(string(text), `"message":"message refused`) {
				continue
			}
			served++ // the framing was fine, the body was no message
		default:
			served++
		}
	}
	return served, false
}

func isClosed(in *bufio.Reader) bool {
	_, err := in.ReadByte()
	return err != nil && !strings.Contains(err.Error(), "timeout")
}
