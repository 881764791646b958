package mcpserver

import (
	"maps"
	"slices"
	"strings"
)

// inherited are the variables of the gateway's own environment that a child process
// sees. Everything else, such as credentials the gateway was given, stays here; what a server
// needs beside these stands in its configuration.
var inherited = []string{
	"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TEMP", "TERM", "TMP", "TMPDIR", "TZ", "USER",
	// What programs need on Windows to run at all.
	"APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATHEXT", "PROGRAMDATA", "PROGRAMFILES",
	"SYSTEMDRIVE", "SYSTEMROOT", "USERNAME", "USERPROFILE", "WINDIR",
}

var inheritedPrefixes = []string{"LC_", "XDG_"}

// environment returns the variables of a child process, sorted: those inherited and
// those configured, which win.
func environment(own []string, configured map[string]string) []string {
	vars := map[string]string{}
	for _, entry := range own {
		name, value, ok := strings.Cut(entry, "=")
		if ok && isInherited(name) && !strings.HasPrefix(value, "()") { // an exported shell function
			vars[name] = value
		}
	}
	maps.Copy(vars, configured)
	out := make([]string, 0, len(vars))
	for name, value := range vars {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}

func isInherited(name string) bool {
	return slices.Contains(inherited, name) ||
		slices.ContainsFunc(inheritedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
