// Package modeltool is an MCP server inside the gateway whose tools are models: invoke_MODEL asks one, by the inference
// dialect, on the account of whoever calls the tool. It speaks the modern era, and stands behind the catalogue and the bridge like any
// upstream, so that names, lists, pages and clients of both eras are theirs.
//
// What it is not: it decides nothing about who may ask which model, and pays for nothing. The call that it makes is judged, queued
// and paid for as any other of its principal, by the function that package gateway gives it.
package modeltool
