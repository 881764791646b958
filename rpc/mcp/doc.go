// Package mcp is the Model Context Protocol as tables: its revisions as rows of
// traits, its methods, its error codes and HTTP statuses, the keys of _meta and the
// headers that mirror a message.
//
// Two eras exist. A legacy peer (2024-11-05 to 2025-11-25) opens a session with
// initialize and keeps to the one revision agreed there. A modern peer (2026-07-28)
// says in the _meta of each request which revision it speaks, who it is and what it
// can do, and mirrors the method and the name in HTTP headers.
//
// The package decides nothing and sends nothing. The edge, the router and the
// upstream adapters look things up here, and nothing else in the gateway compares
// revisions or knows an error code.
package mcp
