package main

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/admin"
)

func (a *app) jobsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "jobs", Short: "List, show, cancel and send again what models are to do later",
		Long: "Clients submit jobs with invoke_async, and ask for their results. These commands show the jobs of a running gateway, whoever's they\n" +
			"are, but neither what is wanted in them nor their results. A job that failed as often as it may is dead: it is kept for a week, and\n" +
			"can be sent again.",
		Example: "  headgate jobs list --state dead\n  headgate jobs show JOB\n  headgate jobs redrive --all",
	}
	cmd.AddCommand(a.jobsListCommand(), a.jobsShowCommand(), a.jobsCancelCommand(), a.jobsRedriveCommand())
	return cmd
}

// jobsChosen are the flags that choose jobs.
type jobsChosen struct {
	state, org, after string
	limit             int
}

// query returns the path of a page of jobs.
func (c jobsChosen) query() string {
	q := url.Values{"limit": {strconv.Itoa(c.limit)}}
	for name, value := range map[string]string{"state": c.state, "org": c.org, "after": c.after} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return "?" + q.Encode()
}

func (a *app) jobsListCommand() *cobra.Command {
	var to operators
	var chosen jobsChosen
	cmd := &cobra.Command{
		Use: "list", Short: "List jobs", Args: noArgs,
		Long: "List jobs in the order of their submission. A job is queued, running, succeeded, failed, cancelled, or dead if it failed as often as it may.\n" +
			"Those that have ended are listed as long as they are kept.",
		Example: "  headgate jobs list\n  headgate jobs list --state dead --org acme -o json\n  headgate jobs list --limit 20 --after job_0cd2f8r5e8h3n6k9q2t4v7a1b5d8f0g3j6m9",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if chosen.state != "" && !slices.Contains(admin.JobStates, chosen.state) {
				return usage("--state %s is none: it is one of %s", chosen.state, strings.Join(admin.JobStates, ", "))
			}
			if chosen.limit < 1 || chosen.limit > maxJobs {
				return usage("--limit must be from 1 to %d", maxJobs)
			}
			return a.listJobs(cmd.Context(), &to, chosen)
		},
	}
	to.register(cmd, a)
	cmd.Flags().StringVar(&chosen.state, "state", "", "only those in this `STATE`")
	cmd.Flags().StringVar(&chosen.org, "org", "", "only those of this organisation")
	cmd.Flags().StringVar(&chosen.after, "after", "", "only those after this `JOB`: the next page")
	cmd.Flags().IntVar(&chosen.limit, "limit", 100, "how many at most")
	a.outputFlag(cmd)
	return cmd
}

// maxJobs bounds a page.
const maxJobs = 999

func (a *app) jobsShowCommand() *cobra.Command {
	var to operators
	cmd := &cobra.Command{
		Use: "show JOB", Short: "Show a job", Args: oneArg("a job"),
		Long:    "Show how a job stands, and why it has no result if it has ended without one.",
		Example: "  headgate jobs show job_0cd2f8r5e8h3n6k9q2t4v7a1b5d8f0g3j6m9\n  headgate jobs show JOB -o json",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.showJob(cmd.Context(), &to, args[0]) },
	}
	to.register(cmd, a)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) jobsCancelCommand() *cobra.Command {
	var to operators
	cmd := &cobra.Command{
		Use: "cancel JOB...", Short: "Cancel jobs", Args: someArgs("a job"),
		Long:    "Cancel jobs, whether they run or not. Those that have ended stay as they are. What a job has used until then is paid for.",
		Example: "  headgate jobs cancel job_0cd2f8r5e8h3n6k9q2t4v7a1b5d8f0g3j6m9",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeJobs(cmd.Context(), &to, "cancel", args)
		},
	}
	to.register(cmd, a)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) jobsRedriveCommand() *cobra.Command {
	var to operators
	var all bool
	chosen := jobsChosen{state: "dead", limit: maxJobs}
	cmd := &cobra.Command{
		Use: "redrive [JOB...]", Short: "Send dead jobs again",
		Long:    "Queue dead jobs again, with as many attempts and as much time as they had. With --all, all that are dead.",
		Example: "  headgate jobs redrive job_0cd2f8r5e8h3n6k9q2t4v7a1b5d8f0g3j6m9\n  headgate jobs redrive --all --org acme",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				f := usage("jobs redrive needs a job, or else --all")
				f.Hint = "headgate jobs list --state dead shows which there are"
				return f
			}
			if all {
				var err error
				if args, err = allJobs(cmd.Context(), &to, chosen); err != nil {
					return err
				}
			}
			return a.changeJobs(cmd.Context(), &to, "redrive", args)
		},
	}
	to.register(cmd, a)
	cmd.Flags().BoolVar(&all, "all", false, "send all again that are dead")
	cmd.Flags().StringVar(&chosen.org, "org", "", "with --all: only those of this organisation")
	a.outputFlag(cmd)
	return cmd
}
