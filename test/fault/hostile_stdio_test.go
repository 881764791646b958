package fault

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// act is what this program does as a child process: the server of a role on stdio. It returns the exit status.
func act(role string, args []string) int {
	switch role {
	case "hostile":
		return actHostile(args[0], args[1] == "modern")
	case "asker":
		return actAsker()
	case "gateway":
		return actGateway(args[0])
	case "witness":
		return actWitness(args[0], args[1] == "stubborn", args[2:])
	case "leaker":
		return actLeaker(args[0])
	case "mortal":
		return actMortal(args[0], args[1], args[2], append(args, "")[3])
	case "worker":
		return actWorker(args[0], args[1])
	}
	fmt.Fprintf(os.Stderr, "there is no role %q\n", role)
	return 2
}

// actHostile is a hostile upstream on stdio, of one misdeed.
func actHostile(name string, modern bool) int {
	i := slices.IndexFunc(misdeeds(), func(d misdeed) bool { return d.name == name })
	if i < 0 {
		return 2
	}
	return serveStdio(&misdeeds()[i], modern)
}

// serveStdio is a server on stdio until its input ends. It returns the exit status.
func serveStdio(deed *misdeed, modern bool) int {
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return 0
		}
		var r request
		if json.Unmarshal(line, &r) != nil {
			continue
		}
		if answer := handshake(&r, deed, modern); answer != "" {
			fmt.Println(answer)
			continue
		}
		if r.Method != "tools/call" {
			continue
		}
		for _, m := range deed.say(&victim{string(r.ID), r.Params.Arguments.Nonce, modern}) {
			fmt.Println(m)
		}
		if deed.end != nil {
			deed.end()
		}
	}
}
