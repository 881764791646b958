package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/router/pin"
)

// shortHash is how many digits of a hash tables show.
const shortHash = 12

func (a *app) pinsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pins", Short: "Compare what servers tell models with what was approved",
		Long: "A gateway pins the tools, prompts and instructions of each server as they are listed first, in pins.json of its data_dir. What\n" +
			"changes or comes later waits for approval; pins.mode says what follows until then. These commands read and change the files of\n" +
			"the data directory, whether a gateway runs or not; one that runs takes up approvals within seconds.",
		Example: "  headgate pins diff\n  headgate pins approve files read_file --hash 3f2a91c04d5e",
	}
	cmd.AddCommand(a.pinsDiffCommand(), a.pinsApproveCommand())
	return cmd
}

func (a *app) pinsDiffCommand() *cobra.Command {
	var from sources
	cmd := &cobra.Command{
		Use: "diff [UPSTREAM [NAME]]", Short: "Show what waits for approval", Args: cobra.MaximumNArgs(2),
		Long: "Show what servers listed to the gateway and nobody has approved: each member that is new or differs from what was approved last.\n" +
			"Characters that do not show are written as \\u escapes, and text that hides or names another server's tools is pointed out, also in what\n" +
			"was trusted only because it was listed first. The exit code is 8 if anything waits.",
		Example: "  headgate pins diff\n  headgate pins diff files read_file\n  headgate pins diff -c headgate.yaml -o json",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.pinsDiff(from, filterOf(args))
		},
	}
	from.register(cmd)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) pinsApproveCommand() *cobra.Command {
	var from sources
	var hash string
	var all bool
	cmd := &cobra.Command{
		Use: "approve [UPSTREAM [NAME]]", Short: "Approve what waits", Args: cobra.MaximumNArgs(2),
		Long: "Approve what waits of a server, or one definition of it. With --hash only the definition that diff showed under that hash is approved,\n" +
			"not one that came since. What was trusted because it was listed first counts as approved by a person then. A definition that was\n" +
			"approved once stays so until it is removed from pins.json.",
		Example: "  headgate pins approve files read_file --hash 3f2a91c04d5e\n  headgate pins approve files\n  headgate pins approve --all",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && !all && hash == "" {
				f := usage("pins approve needs an upstream, a hash or --all")
				f.Hint = "headgate pins diff shows what waits"
				return f
			}
			if hash != "" && len(hash) < shortHash {
				return usage("--hash %s is too short: give at least the %d digits that diff shows", hash, shortHash)
			}
			f := filterOf(args)
			f.Hash = hash
			return a.pinsApprove(from, f)
		},
	}
	from.register(cmd)
	cmd.Flags().StringVar(&hash, "hash", "", "approve only what has this `SHA256`, or one that begins so")
	cmd.Flags().BoolVar(&all, "all", false, "approve all that waits, of every upstream")
	a.outputFlag(cmd)
	return cmd
}

// filterOf reads the arguments.
func filterOf(args []string) (f pin.Filter) {
	if len(args) > 0 {
		f.Upstream = args[0]
	}
	if len(args) > 1 {
		f.Name = args[1]
	}
	return f
}

// records reads the files of the data directory that a configuration names.
func (a *app) records(from sources, f pin.Filter) (dir string, r *pin.Records, err error) {
	cfg, err := a.load(from)
	if err != nil {
		return "", nil, err
	}
	if r, err = pin.Load(cfg.DataDir); err != nil {
		return "", nil, unexpected(err)
	}
	if f.Upstream != "" && r.Pins[f.Upstream] == nil {
		if _, err := pick(cfg.Upstreams, []string{f.Upstream}); err != nil {
			return "", nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, pin.PinsFile)); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(a.err, "nothing is pinned in %s yet; headgate serve pins what servers list first\n", cfg.DataDir)
	}
	return cfg.DataDir, r, nil
}

// difference is a change as JSON.
type difference struct {
	pin.Change
	Fields   []pin.Field   `json:"fields"`
	Findings []pin.Finding `json:"findings"`
}

func (a *app) pinsDiff(from sources, f pin.Filter) error {
	_, r, err := a.records(from, f)
	if err != nil {
		return err
	}
	flags := r.Flags(f)
	changes := make([]difference, 0, len(r.Changes))
	for _, c := range r.Waiting(f) {
		d := difference{Change: c, Fields: r.Fields(c), Findings: []pin.Finding{}}
		flags = slices.DeleteFunc(flags, func(other pin.Flag) bool {
			same := other.Upstream == c.Upstream && other.Kind == c.Kind && other.Name == c.Name && other.Hash == c.Hash
			if same {
				d.Findings = other.Findings
			}
			return same
		})
		changes = append(changes, d)
	}
	if a.output == asJSON {
		if flags == nil {
			flags = []pin.Flag{}
		}
		err = a.printJSON(map[string]any{"changes": changes, "trusted": flags})
	} else {
		err = a.printDifferences(changes, flags)
	}
	if err != nil || len(changes) == 0 {
		return err
	}
	return &failure{
		exit: exitRefused, Code: "unapproved", Message: fmt.Sprintf("%d changes wait for approval", len(changes)),
		Hint: "headgate pins approve UPSTREAM NAME --hash SHA256",
	}
}

// printDifferences prints a table of what waits, then each in detail, then what was trusted and should be looked at.
func (a *app) printDifferences(changes []difference, flags []pin.Flag) error {
	rows := make([][]string, 0, len(changes))
	for _, c := range changes {
		rows = append(rows, row(c.Change))
	}
	if err := a.printTable(changeHeader, rows); err != nil {
		return err
	}
	for _, c := range changes {
		if c.Change.Change == pin.Removed {
			continue
		}
		fmt.Fprintf(a.out, "\n%s\n", visible(c.Upstream+" "+c.Name))
		for _, field := range c.Fields {
			fmt.Fprintf(a.out, "  %s: %s\n", visible(field.Where), visible(fieldText(field)))
		}
		if c.Definition == nil {
			fmt.Fprintln(a.out, "  it is too long to be kept; headgate tools -o json shows tools that are not withheld")
		}
		a.printFindings(c.Findings)
	}
	for _, flag := range flags {
		fmt.Fprintf(a.out, "\n%s\n", visible(flag.Upstream+" "+flag.Name+": trusted as it was listed first ("+flag.Hash[:shortHash]+")"))
		a.printFindings(flag.Findings)
	}
	return nil
}

func (a *app) printFindings(all []pin.Finding) {
	for _, found := range all {
		fmt.Fprintf(a.out, "  look at %s: %s\n", visible(found.Where), visible(found.What))
	}
}

// fieldText writes what a member was and is.
func fieldText(f pin.Field) string {
	switch {
	case f.Before == "":
		return "new " + f.After
	case f.After == "":
		return "no more " + f.Before
	}
	return f.Before + " is now " + f.After
}

var changeHeader = []string{"UPSTREAM", "KIND", "NAME", "CHANGE", "SHA256"}

// row is a change in a table.
func row(c pin.Change) []string {
	hash := "-"
	if c.Hash != "" {
		hash = c.Hash[:shortHash]
	}
	return []string{c.Upstream, c.Kind, c.Name, c.Change, hash}
}

func (a *app) pinsApprove(from sources, f pin.Filter) error {
	dir, _, err := a.records(from, f)
	if err != nil {
		return err
	}
	done, err := pin.Approve(dir, f)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unexpected(err)
	}
	if len(done) == 0 {
		failed := usage("nothing that waits is chosen by %s", chosenBy(f))
		failed.Hint = "headgate pins diff shows what waits"
		return failed
	}
	if a.output == asJSON {
		return a.printJSON(map[string][]pin.Change{"approved": done})
	}
	rows := make([][]string, 0, len(done))
	for _, c := range done {
		rows = append(rows, row(c))
	}
	return a.printTable(changeHeader, rows)
}

// chosenBy says what a filter chooses by.
func chosenBy(f pin.Filter) string {
	words := []string{f.Upstream, f.Name}
	if f.Hash != "" {
		words = append(words, "--hash "+f.Hash)
	}
	if text := strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " "); text != "" {
		return text
	}
	return "--all"
}
