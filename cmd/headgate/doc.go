// Command headgate is the gateway and the tools around it, in one static binary.
//
// main.go starts it, root.go lists the subcommands, and each of them has a file of its name. They are thin: serve and doctor drive
// package gateway, validate, import and schema drive package config, keys, audit and pins work on the files of a gateway, explain asks
// one that runs, and tools and call are MCP clients made of the gateway's own upstream adapter.
//
// What every subcommand keeps to: data goes to standard output and everything else to standard error; success without data is
// silent; -o json makes both machine-readable; a failure says what to do next (exit.go has the exit codes). No colours.
package main
