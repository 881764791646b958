package fault

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headgate/headgate/test/peer"
)

// nobody is the user that processes are limited as where root runs the tests: root itself is exempt from the limit (setrlimit(2), RLIMIT_NPROC).
const nobody = 65534

// account is a user whose processes are limited.
type account struct {
	id   int
	attr *syscall.SysProcAttr // to run something as the user; nil if it is the one who runs the tests
}

// limitable returns a user for whom the limit holds.
func limitable() account {
	if os.Geteuid() != 0 {
		return account{id: os.Geteuid()}
	}
	return account{id: nobody, attr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}}
}

// tasks counts what the limit counts: the threads of all processes of the user.
func (a account) tasks(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		text, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "status")) // it may have ended
		fields := map[string]string{}
		for l := range strings.Lines(string(text)) {
			name, rest, _ := strings.Cut(l, ":")
			fields[name] = strings.TrimSpace(rest)
		}
		if owner, _, _ := strings.Cut(fields["Uid"], "\t"); owner == strconv.Itoa(a.id) {
			threads, _ := strconv.Atoi(fields["Threads"])
			n += max(threads, 1) // of a process that has ended and was not waited for there are none
		}
	}
	return n
}

// folder is one of the user's own, where programs of the tests are too.
func (a account) folder(t *testing.T, programs ...string) string {
	t.Helper()
	dir := shortDir(t)
	for _, path := range programs {
		copyProgram(t, path, filepath.Join(dir, filepath.Base(path)))
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // another user must get in
		t.Fatal(err)
	}
	if a.attr == nil {
		return dir
	}
	if err := os.Chown(dir, a.id, a.id); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// crowd returns what starts processes of the user until there are so many, and what ends them.
func (a account) crowd(t *testing.T, most int) (fill, free func()) {
	t.Helper()
	var all []*exec.Cmd
	fill = func() {
		for missing := most - a.tasks(t); missing > 0; missing = most - a.tasks(t) {
			for range missing {
				p := exec.Command("sleep", "600")
				p.SysProcAttr = a.attr
				if err := p.Start(); err != nil {
					t.Fatal(err)
				}
				all = append(all, p)
			}
		}
	}
	free = func() {
		for _, p := range all {
			_ = p.Process.Kill()
			_ = p.Wait() // it was killed
		}
		all = nil
	}
	t.Cleanup(free)
	return fill, free
}

// TestF17_Processes lets a gateway's user have no process and no thread more. Whom it is connected to it serves, a child that ends then
// cannot be started again, which its callers are told, operators are answered, and all recovers.
func TestF17_Processes(t *testing.T) {
	clients, hold := 16, time.Duration(times(2, 20))*time.Second
	row := &Row{
		ID: "F17", What: "Processes run out (RLIMIT_NPROC): other upstreams are served, calls of the child that cannot be started are refused in words, health answers, all recovers",
		Count: fmt.Sprintf("%d clients beside, for %v", clients, hold),
	}
	enter(t, row)
	user := limitable()
	dir := user.folder(t, program(t), os.Args[0])
	child := filepath.Join(dir, "testimony")
	argv := witness(child, "tame")
	argv[0] = filepath.Join(dir, filepath.Base(os.Args[0]))
	fine := serveHostile(t, &misdeed{}, true)
	at := peer.Backend{Address: freeAddress(t), Health: freeAddress(t)}
	file := filepath.Join(dir, "headgate.yaml")
	text := "version: 1\nlisten: " + at.Address + "\nadmin: {listen: " + at.Health + "}\ndata_dir: " + filepath.Join(dir, "data") +
		"\nshutdown: {grace: 0s, drain: 5s}\nupstreams:\n" + upstreamEntry("fine", "modern", fine.url(), nil) + upstreamEntry("home", "legacy", "", argv)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // another user must read it
		t.Fatal(err)
	}
	most := user.tasks(t) + 64
	s := launchAs(t, user.attr, "prlimit", fmt.Sprintf("--nproc=%d", most), filepath.Join(dir, "headgate"), "serve", "-c", file)
	s.writes(t, `"msg":"serving"`)
	url := "http://" + at.Address + "/mcp"
	asker := newClient(t, url, true, "{}")
	asks := func() string {
		_, all, err := asker.call(t.Context(), "home__plain", `"arguments":{"nonce":"n"}`, "", nil)
		if err != nil || len(all) != 1 {
			t.Fatalf("%.300s %v", texts(all), err)
		}
		return all[0].text
	}
	if got := asks(); !strings.Contains(got, `"ok n"`) {
		t.Fatal(got)
	}

	fill, free := user.crowd(t, most)
	fill()
	stop := watchHealth(t, at)
	others := gather(t, url, clients)
	if err := syscall.Kill(readTestimony(t, child).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for began := time.Now(); time.Since(began) < hold; time.Sleep(20 * time.Millisecond) {
		fill() // also the place of the child
		switch got := asks(); {
		case strings.Contains(got, `"retryable":true`):
			refused++
		case !strings.Contains(got, `"ok n"`):
			t.Fatal(got)
		}
	}
	lines := strings.Count(s.log.String(), `"msg":"upstream is down"`)
	others.leave()
	free()
	healed := time.Now()
	eventually(t, "the child is started again", func() bool { return strings.Contains(asks(), `"ok n"`) })
	took, asked := time.Since(healed), stop()
	for i, f := range others.failed {
		if i < 10 {
			t.Error(f)
		}
	}
	if refused == 0 {
		t.Error("nothing was refused: the limit was not met")
	}
	if lines > int(hold/time.Second)+1 {
		t.Errorf("%d lines of the log say that the child is away", lines)
	}
	row.Figures = fmt.Sprintf("limit %d; %d calls of the child refused, %d lines in the log about it; health asked %d times; the child served again after %v; of the others: %s",
		most, refused, lines, asked, took.Round(time.Millisecond), others.figures())
}
