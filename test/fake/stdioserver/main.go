// Command stdioserver is a fake MCP server on stdio, for tests of everything that can befall a child process.
//
// Its tools are echo (answers its string arguments, after a random latency), pid (answers the process id), hang (reports
// progress once, if asked to, and never answers) and crash (writes the argument "stderr" to the standard error, then exits
// with the argument "status").
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/fake/rawjson"
)

func main() { os.Exit(run()) }

func run() int {
	era := flag.String("era", "both", "legacy, modern or both")
	latency := flag.Duration("latency", 0, "echo waits a random time below this")
	name := flag.String("name", "stdioserver", "the server's name")
	flag.Parse()
	eras, ok := map[string]fake.Era{"legacy": fake.Legacy, "modern": fake.Modern, "both": fake.Legacy | fake.Modern}[*era]
	if !ok {
		fmt.Fprintf(os.Stderr, "unknown era %q: legacy, modern or both\n", *era)
		return 2
	}
	server := fake.New(fake.Config{
		Name: *name,
		Eras: eras,
		Tools: []fake.Tool{
			{Name: "echo", Behaviour: fake.Delayed(fake.UpTo(*latency), fake.Echo)},
			{Name: "pid", Behaviour: pid},
			{Name: "hang", Behaviour: fake.Progressing(1, 0, fake.Hang)},
			{Name: "crash", Behaviour: crash},
		},
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, func() { _ = os.Stdin.Close() })
	if err := server.ServeStdio(ctx, os.Stdin, os.Stdout); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "reading standard input:", err)
		return 1
	}
	return 0
}

// pid answers the id of this process, for tests that kill it.
func pid(_ context.Context, c *fake.Call) ([]byte, error) {
	return text(c, strconv.Itoa(os.Getpid())), nil
}

// crash ends the process in mid-call.
func crash(_ context.Context, c *fake.Call) ([]byte, error) {
	last, _ := rawjson.Text(rawjson.Member(c.Arguments, "stderr")) // absent: nothing to say
	status, err := strconv.Atoi(string(rawjson.Member(c.Arguments, "status")))
	if err != nil {
		status = 1
	}
	fmt.Fprint(os.Stderr, last)
	os.Exit(status)
	return nil, nil
}

// text returns a result with one text block; the text must not need escapes.
func text(c *fake.Call, s string) []byte {
	members := ""
	if c.Era == fake.Modern {
		members = `"resultType":"complete",`
	}
	return fmt.Appendf(nil, `{%s"content":[{"type":"text","text":%q}]}`, members, s)
}
