package config

import (
	"path"
	"slices"
	"strings"
)

// remoteFlags are options of mcp-remote that need nothing of us, with how many words follow each. With any other option the program
// does something that a plain connection does not, and is run as it stands.
var remoteFlags = map[string]int{
	"--allow-http": 0, "--debug": 0, "--silent": 0, "--enable-proxy": 0, "--host": 1, "--auth-timeout": 1,
}

// unwrapRemote recognises npx mcp-remote URL --header "NAME: VALUE", by which clients that start only programs reach a remote server, and
// returns the server it stands for; otherwise nil. Without a header it is left alone: then mcp-remote may be there to log a person in.
func unwrapRemote(n *node) *node {
	args := remoteArgs(n)
	if len(args) == 0 {
		return nil
	}
	url, args := args[0], args[1:]
	if !strings.HasPrefix(url.text, "http://") && !strings.HasPrefix(url.text, "https://") {
		return nil
	}
	headers := &node{kind: mapping, at: n.at, size: 1}
	for len(args) > 0 {
		flag := args[0]
		words, known := remoteFlags[flag.text]
		switch {
		case flag.text == "--header" && len(args) > 1:
			name, value, ok := strings.Cut(args[1].text, ":")
			if !ok {
				return nil
			}
			value = fillIn(strings.TrimSpace(value), n.last("env"))
			headers.members = append(headers.members, member{
				key: strings.TrimSpace(name), at: args[1].at, value: &node{kind: text, at: args[1].at, text: value, size: 1},
			})
			args = args[2:]
		case flag.text == "--transport" && len(args) > 1 && strings.HasPrefix(args[1].text, "http"):
			args = args[2:]
		case known && len(args) > words:
			args = args[1+words:]
		default:
			return nil
		}
	}
	if len(headers.members) == 0 {
		return nil
	}
	remote := &node{kind: mapping, at: n.at, size: n.size}
	for _, m := range n.members {
		if !slices.Contains([]string{"command", "args", "env", "envFile", "cwd", "type", "transport"}, m.key) {
			remote.members = append(remote.members, m)
		}
	}
	remote.members = append(remote.members, member{key: "url", at: url.at, value: url}, member{key: "headers", at: headers.at, value: headers})
	return remote
}

// remoteArgs returns the words behind mcp-remote, or nothing when the server is not started that way.
func remoteArgs(n *node) []*node {
	command, args := n.last("command"), n.last("args")
	if command == nil || args == nil || command.kind != text {
		return nil
	}
	words := args.items
	for _, w := range words {
		if w.kind != text && w.kind != number {
			return nil
		}
	}
	switch program := path.Base(strings.ReplaceAll(command.text, `\`, "/")); program {
	case "mcp-remote":
		return words
	case "npx", "npx.cmd", "bunx":
	default:
		return nil
	}
	for len(words) > 0 && (words[0].text == "-y" || words[0].text == "--yes") {
		words = words[1:]
	}
	if len(words) == 0 || words[0].text != "mcp-remote" && !strings.HasPrefix(words[0].text, "mcp-remote@") {
		return nil
	}
	return words[1:]
}

// fillIn replaces the variables that the server's own env sets, which is how headers with spaces are passed to mcp-remote. What it puts
// in stands in the same file, and is expanded with the rest.
func fillIn(value string, env *node) string {
	if env == nil {
		return value
	}
	var pairs []string
	for _, m := range env.members {
		if m.value.kind == text && isVariableName(m.key) {
			pairs = append(pairs, "${"+m.key+"}", m.value.text)
		}
	}
	return strings.NewReplacer(pairs...).Replace(value)
}
