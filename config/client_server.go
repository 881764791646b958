package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clientServer reads one server of a client's file into an upstream.
type clientServer struct {
	*clientReader
	upstream  Upstream
	transport string
	envFile   map[string]string
}

// clientKeys are the keys of a server that mean something here.
var clientKeys = map[string]func(s *clientServer, n *node, path string){
	"type":           (*clientServer).readTransport,
	"transport":      (*clientServer).readTransport,
	"command":        func(s *clientServer, n *node, path string) { s.upstream.Command = s.text(n, path, checkFilled) },
	"args":           func(s *clientServer, n *node, path string) { s.upstream.Args = s.list(n, path) },
	"env":            (*clientServer).readEnv,
	"envFile":        (*clientServer).readEnvFile,
	"cwd":            (*clientServer).readDir,
	"url":            (*clientServer).readURL,
	"httpUrl":        (*clientServer).readURL,
	"serverUrl":      (*clientServer).readURL,
	"headers":        (*clientServer).readHeaders,
	"includeTools":   (*clientServer).readAllow,
	"enabled_tools":  (*clientServer).readAllow,
	"allowed_tools":  (*clientServer).readAllow,
	"tools":          (*clientServer).readAllow,
	"excludeTools":   (*clientServer).readDeny,
	"disabled_tools": (*clientServer).readDeny,
	"timeout":        (*clientServer).readTimeout,
	"protocolEra":    (*clientServer).readEra,
}

// clientOnlyKeys concern the client, or a person, and lose nothing here.
var clientOnlyKeys = []string{"alwaysAllow", "alwaysLoad", "autoApprove", "description", "disabled", "enabled", "name", "trust"}

// lostKeys are keys whose loss a person should know about, with what follows from it.
var lostKeys = map[string]string{
	"auth":           "give the server a header with a token: this version of Headgate cannot log in",
	"headersHelper":  "give the server its headers: Headgate runs no program for them",
	"oauth":          "give the server a header with a token: this version of Headgate cannot log in",
	"sandbox":        "the program runs without a sandbox; wrap its command if it needs one",
	"sandboxEnabled": "the program runs without a sandbox; wrap its command if it needs one",
}

// read reads every key; what is wrong switches the server off, what is unknown is a warning.
func (s *clientServer) read(n *node, path string) {
	if n.kind != mapping {
		s.disable(n.at, path, fmt.Sprintf("it is %s instead of a mapping", n.kind), "")
		return
	}
	if off := switchedOff(n); off != nil {
		s.upstream.Off, s.upstream.Disabled = true, fmt.Sprintf("switched off in its file (%s %s)", off.at, path)
		if n.last("command") == nil {
			s.upstream.Transport = "http"
		}
		return
	}
	if remote := unwrapRemote(n); remote != nil {
		s.warn(n.at, path, fmt.Sprintf("server %q is connected to directly, without mcp-remote", s.upstream.Name), "")
		n = remote
	}
	members, overridden := n.settle()
	for _, m := range overridden {
		s.warn(m.at, join(path, m.key), fmt.Sprintf("key %q stands again below; only the last one is used", m.key), "remove one")
	}
	for _, m := range members {
		field := join(path, m.key)
		switch read := clientKeys[m.key]; {
		case m.value.kind == null || slices.Contains(clientOnlyKeys, m.key):
		case read == nil:
			s.warn(m.at, field, fmt.Sprintf("%s is left out, since Headgate does not know it", m.key), lostKeys[m.key])
		default:
			read(s, m.value, field)
		}
	}
	for key, value := range s.envFile {
		if _, ok := s.upstream.Env[key]; !ok {
			s.setEnv(key, value)
		}
	}
	s.inferTransport(n, path)
}

// switchedOff returns the value that says that the person does not want the server, or nil.
func switchedOff(n *node) *node {
	if v := n.last("disabled"); v != nil && v.kind == boolean && v.text == "true" {
		return v
	}
	if v := n.last("enabled"); v != nil && v.kind == boolean && v.text == "false" {
		return v
	}
	return nil
}

// inferTransport settles whether the server is a program or remote.
func (s *clientServer) inferTransport(n *node, path string) {
	u := &s.upstream
	switch {
	case u.Disabled != "":
		return
	case u.Command != "" && u.URL != "" && s.transport == "http":
		s.warn(u.Position, path, "command is left out, since the type says that the server is remote", "")
		u.Command, u.Args, u.Env, u.Dir = "", nil, nil, ""
	case u.Command != "" && u.URL != "":
		s.warn(u.Position, path, "url is left out, since the server has a command", "")
		u.URL, u.Headers, u.Transport = "", nil, ""
	case u.Command == "" && u.URL == "":
		s.disable(n.at, path, "it has neither a command nor a url", "")
	case u.Command == "" && s.transport == "stdio":
		s.disable(n.at, path, "its type is stdio, and it has no command", "")
	case u.URL == "" && s.transport == "http":
		s.disable(n.at, path, "its type is http, and it has no url", "")
	}
	if strings.HasPrefix(u.URL, "ws") {
		u.Transport = "ws"
	}
}

// readTransport reads the names that clients have for the transports.
func (s *clientServer) readTransport(n *node, path string) {
	switch word := strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s.text(n, path, checkFilled))); word {
	case "":
	case "stdio", "local":
		s.transport = "stdio"
	case "http", "streamablehttp", "remote":
		s.transport = "http"
	case "sse":
		s.transport, s.upstream.Transport = "http", "sse"
	case "ws", "websocket":
		s.transport, s.upstream.Transport = "http", "ws"
	default:
		s.disable(n.at, path, fmt.Sprintf("%q is no transport", n.text), "stdio, http, sse or ws")
	}
}

func (s *clientServer) readURL(n *node, path string) {
	s.upstream.Transport = cmp.Or(s.upstream.Transport, "http")
	if url := s.text(n, path, checkURL); url != "" && (s.upstream.URL == "" || lastKey(path) == "httpUrl") {
		s.upstream.URL = url
	}
}

func (s *clientServer) readDir(n *node, path string) {
	s.upstream.Dir = beside(s.dir, s.text(n, path, checkFilled))
}

func (s *clientServer) readEnv(n *node, path string) {
	s.entries(n, path, checkVariable, func(m member, field string) {
		if value, ok := s.scalar(m.value, field, looksSecret(m.key), checkNoNUL); ok {
			s.setEnv(m.key, value)
		}
	})
}

func (s *clientServer) setEnv(key, value string) {
	if s.upstream.Env == nil {
		s.upstream.Env = map[string]string{}
	}
	s.upstream.Env[key] = value
}

// readEnvFile reads variables that env does not have.
func (s *clientServer) readEnvFile(n *node, path string) {
	name := s.text(n, path, checkFilled)
	if name == "" {
		return
	}
	if s.note != nil {
		s.note(beside(s.dir, name))
	}
	values, err := readEnvFile(beside(s.dir, name))
	if err != nil {
		s.disable(n.at, path, fmt.Sprintf("envFile %s %v", name, err), "")
		return
	}
	if s.template {
		for key, value := range values {
			values[key] = escape(value)
		}
	}
	s.envFile = values
}

// readHeaders leaves out headers that the gateway sets itself: clients' files often hold them without need.
func (s *clientServer) readHeaders(n *node, path string) {
	check := func(name string) error {
		if isReserved(name) {
			return nil
		}
		return checkHeader(name)
	}
	s.entries(n, path, check, func(m member, field string) {
		if isReserved(m.key) {
			s.warn(m.at, field, fmt.Sprintf("header %s is left out, since Headgate sets it itself", m.key), "")
			return
		}
		value, ok := s.scalar(m.value, field, true, checkHeaderValue)
		if !ok {
			return
		}
		if value == "" {
			s.disable(m.value.at, field, fmt.Sprintf("header %s is empty", m.key), "give it a value or remove it")
			return
		}
		if s.upstream.Headers == nil {
			s.upstream.Headers = map[string]Secret{}
		}
		s.upstream.Headers[m.key] = Secret(value)
	})
}

func (s *clientServer) readAllow(n *node, path string) {
	s.upstream.Tools.Allow = append(s.upstream.Tools.Allow, s.list(n, path)...)
}

func (s *clientServer) readDeny(n *node, path string) {
	s.upstream.Tools.Deny = append(s.upstream.Tools.Deny, s.list(n, path)...)
}

func (s *clientServer) readEra(n *node, path string) {
	if era := s.text(n, path, checkFilled); era == "auto" || era == "legacy" || era == "modern" {
		s.upstream.Era = era
		return
	}
	s.warn(n.at, path, "protocolEra is left out; it is neither auto, legacy nor modern", "")
}

// readTimeout guesses the unit, which clients do not agree on, and says what it guessed.
func (s *clientServer) readTimeout(n *node, path string) {
	count, err := strconv.ParseFloat(n.text, 64)
	timeout, unit := time.Duration(count*float64(time.Second)), "seconds"
	if count >= 1000 {
		timeout, unit = time.Duration(count*float64(time.Millisecond)), "milliseconds"
	}
	if n.kind == text {
		timeout, err = time.ParseDuration(n.text)
	}
	if err != nil || timeout < 100*time.Millisecond || timeout > 24*time.Hour {
		s.warn(n.at, path, "timeout is left out; it is no time from 100ms to 24h", "")
		return
	}
	if n.kind == number {
		s.warn(n.at, path, fmt.Sprintf("timeout %s is taken as %s", n.text, unit), fmt.Sprintf("write %q to be sure", timeout))
	}
	s.upstream.Timeout, s.upstream.MaxTimeout = timeout, max(s.upstream.MaxTimeout, timeout)
}
