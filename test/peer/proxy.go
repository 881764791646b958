package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Proxies.
const (
	Nginx   = "nginx"
	HAProxy = "haproxy"
)

// ServeProxy starts a reverse proxy in front of a server, with files in home, a folder of the caller's. It changes no
// more of a request than it does by itself. The log it writes has a line for each request: the method, the URI, and
// what the server answered, which is "-" or begins with "<NOSRV>" where the server was not asked. The rest is as for
// Serve.
func (s *Set) ServeProxy(ctx context.Context, name, home, server string) (p *Process, log string, err error) {
	log = filepath.Join(home, "seen.log")
	file := filepath.Join(home, name+".conf")
	var unwritten error
	p, err = Launch(ctx, func(addr string) Launched {
		l := Launched{URL: "http://" + addr}
		var text string
		if name == Nginx {
			text = nginxConfig(addr, server, home, log)
			l.Argv = []string{s.debian(Proxies, Nginx), "-p", home, "-e", filepath.Join(home, "error.log"), "-c", file}
		} else {
			text = haproxyConfig(addr, server)
			l.Argv = []string{"sh", "-c", `exec "$0" -f "$1" >"$2"`, s.debian(Proxies, HAProxy), file, log}
			l.Env = s.libraries(Proxies)
		}
		unwritten = os.WriteFile(file, []byte(text), 0o600)
		return l
	})
	return p, log, errors.Join(unwritten, err)
}

// libraries lets a program find the libraries that were unpacked with it.
func (s *Set) libraries(part Part) []string {
	folders, err := filepath.Glob(filepath.Join(s.dir, string(part), "usr", "lib", "*-linux-*"))
	if err != nil || len(folders) == 0 {
		return nil
	}
	return []string{"LD_LIBRARY_PATH=" + strings.Join(folders, ":")}
}

func nginxConfig(addr, server, home, log string) string {
	var folders strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&folders, "%s_temp_path %s;\n", kind, filepath.Join(home, kind))
	}
	return strings.Join(slices.Concat([]string{
		"daemon off; master_process off; pid " + filepath.Join(home, "pid") + ";",
		"events { worker_connections 256; }",
		"http {", folders.String(),
		`log_format seen escape=none "$request_method $request_uri $upstream_status";`,
		"access_log " + log + " seen;",
		"server { listen " + addr + "; client_max_body_size 8m; location / {",
		"proxy_pass http://" + server + "; proxy_http_version 1.1; proxy_ignore_client_abort on;",
		`proxy_set_header Host $http_host; proxy_set_header Connection "";`,
		"} } }",
	}), "\n") + "\n"
}

func haproxyConfig(addr, server string) string {
	return strings.Join([]string{
		"global", " nbthread 1", " log stdout format raw local0",
		"defaults", " mode http", " log global", ` log-format "%HM %HU %s/%ST"`,
		" timeout connect 5s", " timeout client 20s", " timeout server 20s",
		"frontend front", " bind " + addr, " default_backend back",
		"backend back", " server one " + server,
	}, "\n") + "\n"
}
