// Package fake is MCP upstream servers made for tests and load: strict about what they receive, told exactly what to
// answer, and cheap enough not to dominate a benchmark.
//
// One Server speaks both eras, each request by the era it is written in: Streamable HTTP as an [net/http.Handler], and
// stdio through [Server.ServeStdio]. What a tool does is a [Behaviour]: [Echo], [Result] with bytes that the test gives,
// [Fail], [Hang], or a function of the test's own; [Delayed] and [Progressing] wrap any of them. With Config.Record the
// server keeps what it received, headers and bytes.
//
// It is not an MCP SDK and not a demonstration: it offers tools, change notifications and what is needed to reach them.
// Tests, the load benchmark and test/fake/stdioserver use it; the product never does. It shares no code with the
// gateway, so that a mistake in the gateway's codec is not made twice.
package fake
