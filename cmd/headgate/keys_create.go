package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy/auth"
)

// keyFlags are the flags of keys create.
type keyFlags struct {
	sources
	org, team, user string
	scopes          []string
	expiresIn       time.Duration
	print           bool
}

func (a *app) keysCreateCommand() *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use: "create ID", Short: "Make an API key", Args: oneID,
		Long: "Make a key of 32 random bytes and print it: this once, since only its SHA-256 is kept. Standard output gets the key alone, so\n" +
			"that it can be piped to where it belongs; standard error gets the line for the configuration, for who would rather have it\n" +
			"there. With --print nothing is stored.",
		Example: "  headgate keys create ci --org acme --team build --scope 'mcp:tools/*'\n  headgate keys create ann --user ann --expires-in 2160h > ann.key\n" +
			"  headgate keys create ci --print",
		RunE: func(_ *cobra.Command, args []string) error { return a.createKey(f, args[0]) },
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.org, "org", "", "the organisation that its bearer belongs to")
	cmd.Flags().StringVar(&f.team, "team", "", "the team")
	cmd.Flags().StringVar(&f.user, "user", "", "the user")
	cmd.Flags().StringArrayVar(&f.scopes, "scope", []string{config.DefaultScope}, "what it is good for, such as 'mcp:tools/*'; may be repeated")
	cmd.Flags().DurationVar(&f.expiresIn, "expires-in", 0, "how long it is good, such as 720h (default for ever)")
	cmd.Flags().BoolVar(&f.print, "print", false, "print it and the line for the configuration, and store nothing")
	a.outputFlag(cmd)
	return cmd
}

// newKey is a key that was made, as JSON.
type newKey struct {
	Key  string `json:"key"`
	Line string `json:"line"`           // for the configuration
	File string `json:"file,omitempty"` // where it is stored
	auth.KeyRecord
}

func (a *app) createKey(f keyFlags, id string) error {
	if f.expiresIn < 0 || f.expiresIn > 0 && f.print {
		return usage("--expires-in must be positive, and goes without --print: keys in the configuration have no end")
	}
	for _, s := range f.scopes {
		if err := config.CheckScope(s); err != nil {
			return usage("--scope %q %v", s, err)
		}
	}
	key, hash := auth.NewKey()
	now := time.Now().UTC().Truncate(time.Second)
	made := newKey{Key: key, KeyRecord: auth.KeyRecord{
		ID: id, Hash: hash, Org: f.org, Team: f.team, User: f.user, Scopes: f.scopes, Created: now,
	}}
	if f.expiresIn > 0 {
		made.Expires = now.Add(f.expiresIn)
	}
	made.Line = configLine(made.KeyRecord)
	asked := true
	if !f.print {
		s, err := a.keyStore(f.sources)
		if err != nil {
			return err
		}
		if err := s.store(&made); err != nil {
			return err
		}
		asked = s.cfg.Auth != nil
	}
	return a.showKey(made, asked)
}

// store writes a key to the key file.
func (s *keyStore) store(made *newKey) error {
	if row, taken := s.live(made.ID); taken {
		return &failure{
			exit: exitUnexpected, Code: "key_exists", Message: fmt.Sprintf("there is a key %q already, in %s", made.ID, row.From),
			Hint: "choose another name, or revoke that one first",
		}
	}
	if s.file == "" {
		return usage("data_dir is empty: there is no place for keys")
	}
	if err := auth.AppendKey(s.file, made.KeyRecord); err != nil {
		return unexpected(fmt.Errorf("key file: %w", err))
	}
	made.File = s.file
	return nil
}

// showKey prints a key. asked says whether the gateway asks for keys at all.
func (a *app) showKey(made newKey, asked bool) error {
	if a.output == asJSON {
		return a.printJSON(made)
	}
	if _, err := fmt.Fprintln(a.out, made.Key); err != nil {
		return err
	}
	fmt.Fprintln(a.err, "this is the only time that the key is shown")
	if made.File == "" {
		fmt.Fprintf(a.err, "below auth.keys of the configuration write:\n    %s\n", made.Line)
		return nil
	}
	fmt.Fprintf(a.err, "it is good from now on: its hash is in %s\nto have it in the configuration instead, revoke it and write below auth.keys:\n    %s\n", made.File, made.Line)
	if !asked {
		fmt.Fprintln(a.err, "warning: nobody is asked for keys yet: write auth: {} into the configuration and restart the gateway")
	}
	return nil
}

// configLine is an entry of auth.keys. Values are quoted as YAML and JSON both read
// them.
func configLine(r auth.KeyRecord) string {
	var b strings.Builder
	fmt.Fprintf(&b, "- {id: %s, hash: %s", quoted(r.ID), quoted(r.Hash))
	for _, part := range []struct{ name, value string }{{"org", r.Org}, {"team", r.Team}, {"user", r.User}} {
		if part.value != "" {
			fmt.Fprintf(&b, ", %s: %s", part.name, quoted(part.value))
		}
	}
	b.WriteString(", scopes: [")
	for i, s := range r.Scopes {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoted(s))
	}
	b.WriteString("]}")
	return b.String()
}

// quoted writes a text so that the configuration has it as it is: a dollar sign there
// would begin a variable.
func quoted(s string) string {
	text, err := json.Marshal(strings.ReplaceAll(s, "$", "$$"))
	if err != nil {
		return `""` // text always has a form in JSON
	}
	return string(text)
}
