package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// raw is a request as bytes. ITEM in it stands for its number.
type raw struct{ name, text string }

// render returns the bytes, followed by a plain request that ends the connection.
func (r raw) render(item int) string {
	end := "GET /end?item=ITEM HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n"
	return strings.ReplaceAll(r.text+end, "ITEM", strconv.Itoa(item))
}

const (
	hello  = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`
	hidden = "GET /hidden?item=ITEM HTTP/1.1\r\nHost: gate\r\n\r\n"
	usual  = "Host: gate\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
	begin  = "POST /mcp?item=ITEM HTTP/1.1\r\n"
)

var (
	length = "Content-Length: " + strconv.Itoa(len(hello)) + "\r\n"
	chunks = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hello), hello)
)

// desyncs is the corpus: what is known to be read differently by different servers
// (RFC 9112 §11.1 and §11.2), each with and without a request hidden in it.
func desyncs() (out []raw) {
	for _, part := range []func(func(name, text string)){lengths, codings, chunkings, endings, targets, hosts, fields} {
		part(func(name, text string) { out = append(out, raw{name, text}) })
	}
	return out
}

func lengths(add func(name, text string)) {
	n := len(hello)
	for _, value := range []string{
		"%d", "0%d", "+%d", "-%d", "%d ", "%d\t", "\t%d", "%d,%[1]d", "%d, %[1]d", "%d, 0", "0, %d", "0x%x", "%d.0", "%de0", "\"%d\"", "%d;", "", " ",
		"%d\x0b", "%d\x00", "%d\xa0", "00000000000000000000%d", "18446744073709551616", "9223372036854775808", "99999999999999999999%d",
	} {
		text := value
		if strings.Contains(value, "%") {
			text = fmt.Sprintf(value, n)
		}
		add("length "+strconv.Quote(value), begin+usual+"Content-Length: "+text+"\r\n\r\n"+hello)
		add("length "+strconv.Quote(value)+" and one hidden", begin+usual+"Content-Length: "+text+"\r\n\r\n"+hello+hidden)
	}
	other := "Content-Length: " + strconv.Itoa(n+len(hidden)) + "\r\n"
	for name, head := range map[string]string{
		"twice the same": length + length, "two that differ": length + other, "two that differ, the longer first": other + length,
		"space before the colon": "Content-Length : " + strconv.Itoa(n) + "\r\n", "an underscore": "Content_Length: " + strconv.Itoa(n) + "\r\n",
		"lower case": strings.ToLower(length), "folded": "Content-Length:\r\n " + strconv.Itoa(n) + "\r\n", "a space in front": " " + length,
		"none": "", "zero": "Content-Length: 0\r\n", "more than comes": "Content-Length: 100000\r\n", "less than comes": "Content-Length: 10\r\n",
	} {
		add("length: "+name, begin+usual+head+"\r\n"+hello)
		add("length: "+name+", and one hidden", begin+usual+head+"\r\n"+hello+hidden)
	}
}

func codings(add func(name, text string)) {
	for _, value := range []string{
		"chunked", "Chunked", "CHUNKED", " chunked", "chunked ", "\tchunked", "chunked\t", "chunked, identity", "identity, chunked", "identity", "gzip, chunked",
		"chunked, chunked", "xchunked", "chunkedx", "chunk ed", "\"chunked\"", "chunked;q=1", "chunked,", ",chunked", "\x0bchunked", "chunked\x00", "chunked\xa0", "",
	} {
		quoted := strconv.Quote(value)
		add("coding "+quoted, begin+usual+"Transfer-Encoding: "+value+"\r\n\r\n"+chunks)
		add("coding "+quoted+" beside a length", begin+usual+"Transfer-Encoding: "+value+"\r\nContent-Length: 5\r\n\r\n"+chunks)
		add("coding "+quoted+" behind a length, and one hidden", begin+usual+length+"Transfer-Encoding: "+value+"\r\n\r\n0\r\n\r\n"+hidden)
	}
	for name, head := range map[string]string{
		"two": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "two that differ": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"folded": "Transfer-Encoding:\r\n chunked\r\n", "space before the colon": "Transfer-Encoding : chunked\r\n",
		"an underscore": "Transfer_Encoding: chunked\r\n", "a line feed in front": "X: y\nTransfer-Encoding: chunked\r\n", "a carriage return in front": "X: y\rTransfer-Encoding: chunked\r\n",
	} {
		add("coding: "+name, begin+usual+head+"\r\n"+chunks)
		add("coding: "+name+", beside a length", begin+usual+length+head+"\r\n"+chunks)
	}
	add("coding in HTTP/1.0", strings.Replace(begin, "1.1", "1.0", 1)+usual+"Transfer-Encoding: chunked\r\n\r\n"+chunks)
	add("coding in HTTP/1.0 beside a length", strings.Replace(begin, "1.1", "1.0", 1)+usual+length+"Transfer-Encoding: chunked\r\n\r\n"+hello)
}

func chunkings(add func(name, text string)) {
	n := len(hello)
	for _, size := range []string{
		"%x\r\n", "%X\r\n", "000%x\r\n", "0x%x\r\n", "+%x\r\n", "-%x\r\n", " %x\r\n", "%x \r\n", "%x\t\r\n", "\t%x\r\n", "%x;a=b\r\n", "%x;a=\"\r\n\"\r\n", "%x ;a\r\n", "%x;\r\n", "%x,\r\n",
		"%x\n", "%x\r", "%x;a\n\r\n", "%xg\r\n", "1000000000000000%x\r\n", "\r\n%x\r\n", "%x;" + strings.Repeat("x", 100) + "\r\n",
	} {
		add("chunk size "+strconv.Quote(size), begin+usual+"Transfer-Encoding: chunked\r\n\r\n"+fmt.Sprintf(size, n)+hello+"\r\n0\r\n\r\n")
	}
	for name, body := range map[string]string{
		"no end of data": fmt.Sprintf("%x\r\n%s0\r\n\r\n", n, hello), "a line feed behind the data": fmt.Sprintf("%x\r\n%s\n0\r\n\r\n", n, hello),
		"two bytes behind the data": fmt.Sprintf("%x\r\n%sXX0\r\n\r\n", n, hello), "line feeds at the end": fmt.Sprintf("%x\r\n%s\r\n0\n\n", n, hello),
		"a trailer": fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n", n, hello), "a trailer that is a length": fmt.Sprintf("%x\r\n%s\r\n0\r\nContent-Length: 5\r\n\r\n", n, hello),
		"a trailer that is no field": fmt.Sprintf("%x\r\n%s\r\n0\r\nGET /hidden?item=ITEM HTTP/1.1\r\n\r\n", n, hello), "an end of two": fmt.Sprintf("%x\r\n%s\r\n00\r\n\r\n", n, hello),
		"one hidden behind": chunks + hidden, "no end": fmt.Sprintf("%x\r\n%s\r\n", n, hello), "nothing": "",
	} {
		add("chunks: "+name, begin+usual+"Transfer-Encoding: chunked\r\n\r\n"+body)
	}
}

func endings(add func(name, text string)) {
	plain := begin + usual + length + "\r\n" + hello
	for name, text := range map[string]string{
		"as they should be": plain, "line feeds only": strings.ReplaceAll(plain, "\r\n", "\n"), "carriage returns only": strings.ReplaceAll(plain, "\r\n", "\r"),
		"a line feed in the first": strings.Replace(plain, "\r\n", "\n", 1), "a line feed before the body": strings.Replace(plain, "\r\n\r\n", "\r\n\n", 1),
		"line feeds before the body": strings.Replace(plain, "\r\n\r\n", "\n\n", 1), "doubled": strings.Replace(plain, "\r\n", "\r\r\n", 1),
		"an empty line in front": "\r\n" + plain, "three in front": "\r\n\r\n\r\n" + plain, "a line feed in front": "\n" + plain, "a space in front": " " + plain,
		"folded": strings.Replace(plain, "Host: gate\r\n", "Host: gate\r\nX: a\r\n b\r\n", 1), "folded by a tab": strings.Replace(plain, "Host: gate\r\n", "Host: gate\r\nX: a\r\n\tb\r\n", 1),
		"a NUL in a value": strings.Replace(plain, "Host: gate\r\n", "Host: gate\r\nX: a\x00b\r\n", 1), "a line without a colon": strings.Replace(plain, "Host: gate\r\n", "Host: gate\r\nnonsense\r\n", 1),
		"a field without a name": strings.Replace(plain, "Host: gate\r\n", "Host: gate\r\n: x\r\n", 1), "a name of two words": strings.Replace(plain, "Host: gate\r\n", "Host: gate\r\nX Y: x\r\n", 1),
		"two of them": plain + plain, "one hidden behind": plain + hidden,
	} {
		add("lines: "+name, text)
	}
}

func targets(add func(name, text string)) {
	rest := usual + length + "\r\n" + hello
	for _, line := range []string{
		"POST  /mcp?item=ITEM HTTP/1.1", "POST\t/mcp?item=ITEM\tHTTP/1.1", "POST /mcp?item=ITEM  HTTP/1.1", "POST /mcp?item=ITEM HTTP/1.1 ", "POST /mcp?item=ITEM", "POST /mcp?item=ITEM HTTP/1.2",
		"POST /mcp?item=ITEM HTTP/1.10", "POST /mcp?item=ITEM HTTP/2.0", "POST /mcp?item=ITEM HTTP/0.9", "POST /mcp?item=ITEM http/1.1", "POST /mcp?item=ITEM HTTP/01.1", "post /mcp?item=ITEM HTTP/1.1",
		"PO ST /mcp?item=ITEM HTTP/1.1", "P\x00ST /mcp?item=ITEM HTTP/1.1", "XYZZY /mcp?item=ITEM HTTP/1.1", "POST mcp?item=ITEM HTTP/1.1", "POST //mcp?item=ITEM HTTP/1.1", "POST /./mcp?item=ITEM HTTP/1.1",
		"POST /x/../mcp?item=ITEM HTTP/1.1", "POST /%6dcp?item=ITEM HTTP/1.1", "POST /mcp%2f?item=ITEM HTTP/1.1", "POST /mcp%00?item=ITEM HTTP/1.1", "POST /mcp%?item=ITEM HTTP/1.1", "POST /mcp#x?item=ITEM HTTP/1.1",
		"POST /mcp?item=ITEM#x HTTP/1.1", "POST /mcp?item=ITEM\xff HTTP/1.1", "POST /mcp\\?item=ITEM HTTP/1.1", "POST /mcp;x?item=ITEM HTTP/1.1", "POST http://gate/mcp?item=ITEM HTTP/1.1",
		"POST http://other/mcp?item=ITEM HTTP/1.1", "POST https://gate/mcp?item=ITEM HTTP/1.1", "POST http://user@gate/mcp?item=ITEM HTTP/1.1", "OPTIONS /mcp?item=ITEM HTTP/1.1", "PATCH /mcp?item=ITEM HTTP/1.1",
		"GET /mcp?item=ITEM HTTP/1.1", "HEAD /mcp?item=ITEM HTTP/1.1", "DELETE /mcp?item=ITEM HTTP/1.1",
	} {
		add("first line "+strconv.Quote(line), line+"\r\n"+rest)
	}
}

func hosts(add func(name, text string)) {
	rest := strings.Replace(usual, "Host: gate\r\n", "", 1) + length + "\r\n" + hello
	for _, head := range []string{
		"", "Host:\r\n", "Host: gate\r\nHost: gate\r\n", "Host: gate\r\nHost: other\r\n", "Host: gate:80\r\n", "Host: gate, other\r\n", "Host: gate other\r\n", "Host: user@gate\r\n", "Host: gate/x\r\n",
		"Host: [::1]\r\n", "Host: g\xe4te\r\n", "Host : gate\r\n", "Host:gate\r\n", "HOST: gate\r\n", "Host: gate\r\nX-Forwarded-Host: other\r\n",
	} {
		add("host "+strconv.Quote(head), begin+head+rest)
	}
}

func fields(add func(name, text string)) {
	rest := length + "\r\n" + hello
	for _, head := range []string{
		"Content-Type: application/json\r\n", "Content_Type: text/plain\r\n", "Authorization: a\r\nAuthorization: b\r\n", "Authorization: a\r\nauthorization: b\r\n", "Authorization : a\r\n", "Mcp_Session_Id: a\r\n",
		"Mcp-Method: a\r\nMcp-Method: b\r\n", "Mcp-Method: a\r\n b\r\n", "Origin: http://a\r\nOrigin: http://b\r\n", "Mcp-Method: \xc3\xa9\r\n", "Mcp-Method: a\x01\r\n", "Mcp-Method:\ta\t\r\n", "Expect: 100-continue\r\n",
		"Expect: nonsense\r\n", "Connection: content-length\r\n", "Connection: mcp-method\r\nMcp-Method: x\r\n", "Connection: keep-alive, upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n", "Connection: close\r\n",
		"Proxy-Connection: close\r\n", "TE: trailers\r\n", "X-Long: " + strings.Repeat("x", 40<<10) + "\r\n", "X-HTTP-Method-Override: DELETE\r\n", "Max-Forwards: 0\r\n",
	} {
		name := head[:min(len(head), 60)]
		add("field "+strconv.Quote(name), begin+usual+head+rest)
		add("field "+strconv.Quote(name)+" and one hidden", begin+usual+head+rest+hidden)
	}
}
