package main

import (
	"context"
	"os"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()}
	os.Exit(a.run(context.Background(), os.Args[1:]))
}
