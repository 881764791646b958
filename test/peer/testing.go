package peer

import "testing"

// Installed returns the installation for a test. It fails the test when peers are missing and skips it
// under "go test -short".
func Installed(t testing.TB) *Set {
	t.Helper()
	if testing.Short() {
		t.Skip("needs foreign clients and servers")
	}
	set, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Dir returns the folder of the installation.
func Dir(t testing.TB) string {
	t.Helper()
	return Installed(t).Dir()
}

// Command returns the command line that runs a server over stdio.
func Command(t testing.TB, name Name, args ...string) []string {
	t.Helper()
	argv, err := Installed(t).Command(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return argv
}

// Serve starts a server over Streamable HTTP on a free port of 127.0.0.1 and stops it when the test ends.
func Serve(t testing.TB, name Name) *Process {
	t.Helper()
	p, err := Installed(t).Serve(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// ServeWebSocket starts a stdio server behind websocketd and stops it when the test ends.
func ServeWebSocket(t testing.TB, name Name, args ...string) *Process {
	t.Helper()
	p, err := Installed(t).ServeWebSocket(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// ServeProxy starts a reverse proxy in front of a server and stops it when the test ends. It returns the proxy's log.
func ServeProxy(t testing.TB, name, server string) (p *Process, log string) {
	t.Helper()
	p, log, err := Installed(t).ServeProxy(t.Context(), name, t.TempDir(), server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p, log
}

// Wscat starts wscat on a WebSocket and ends it with the test.
func Wscat(t testing.TB, url string, args ...string) *Terminal {
	t.Helper()
	w, err := Installed(t).Wscat(t.Context(), t.TempDir(), url, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// Provider starts the identity provider on a free port of 127.0.0.1 and stops it when the test ends.
func Provider(t testing.TB) *Process {
	t.Helper()
	p, err := Installed(t).Provider(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// Inspector runs the Inspector's command line client and returns how it ended.
func Inspector(t testing.TB, args ...string) Output {
	t.Helper()
	out, err := Installed(t).Inspector(t.Context(), t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Mcporter runs mcporter and returns how it ended.
func Mcporter(t testing.TB, args ...string) Output {
	t.Helper()
	out, err := Installed(t).Mcporter(t.Context(), t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
