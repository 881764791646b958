package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outcome is what a command line came to.
type outcome struct {
	code        int
	out, errors string
}

// run runs a command line in this process.
func run(t *testing.T, args ...string) outcome {
	t.Helper()
	return runWith(t, &app{in: strings.NewReader("")}, args...)
}

func runWith(t *testing.T, a *app, args ...string) outcome {
	t.Helper()
	var out, errors bytes.Buffer
	a.out, a.err = &out, &errors
	code := a.run(t.Context(), args)
	return outcome{code, out.String(), errors.String()}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Long == "" {
			t.Errorf("%s: needs a short and a long description", c.CommandPath())
		}
		if !strings.Contains(c.Example, "headgate ") {
			t.Errorf("%s: needs an example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&app{}).root())
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--help"}, {"help", "call"}, {"call", "--help"}} {
		got := run(t, args...)
		if got.code != exitOK || got.errors != "" || !strings.Contains(got.out, "Examples:") {
			t.Errorf("%q: exit code %d, standard error %q", args, got.code, got.errors)
		}
	}
}

func TestWrongUsageSaysWhatWasMeant(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"serv"}, "headgate: unknown command \"serv\" for \"headgate\"\n  did you mean: headgate serve\n"},
		{[]string{"zzz"}, "headgate: unknown command \"zzz\" for \"headgate\"\n  headgate --help lists the commands\n"},
		{[]string{"jobs", "lst"}, "headgate: unknown command \"lst\" for \"headgate jobs\"\n  did you mean: headgate jobs list\n"},
		{[]string{"keys", "zzz", "-o", "json"}, "headgate: unknown command \"zzz\" for \"headgate keys\"\n  headgate keys --help lists the commands\n"},
		{[]string{"jobs", "show"}, "headgate: headgate jobs show needs a job\n  for example:\n    headgate jobs show job_0cd2f8r5e8h3n6k9q2t4v7a1b5d8f0g3j6m9\n    headgate jobs show JOB -o json\n"},
		{[]string{"jobs", "show", "a", "b"}, "headgate: headgate jobs show needs a job, and was given \"b\" too\n  headgate jobs show --help\n"},
		{[]string{"serve", "--lissen", "x"}, "headgate: unknown flag: --lissen\n  did you mean --listen?\n"},
		{[]string{"serve", "--zzz"}, "headgate: unknown flag: --zzz\n  headgate serve --help\n"},
		{[]string{"version", "x"}, "headgate: headgate version takes no arguments, but was given \"x\"\n  headgate version --help\n"},
		{[]string{"tools", "--url"}, "headgate: flag needs an argument: --url\n  headgate tools --help\n"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()
			if got := run(t, tt.args...); got.code != exitUnexpected || got.out != "" || got.errors != tt.want {
				t.Errorf("exit code %d, standard error\n%s\nwant\n%s", got.code, got.errors, tt.want)
			}
		})
	}
}

func TestURLComesFromTheEnvironment(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"": defaultURL(), "http://127.0.0.1:1/mcp": "http://127.0.0.1:1/mcp"} {
		a := &app{environ: []string{"HEADGATE_URLS=wrong", "HEADGATE_URL=" + value}}
		if got := a.callCommand().Flag("url").DefValue; got != want {
			t.Errorf("HEADGATE_URL=%s: default %s, want %s", value, got, want)
		}
	}
}
