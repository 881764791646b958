package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/policy/auth"
)

func (a *app) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Make, list and revoke API keys",
		Long: "Make, list and revoke the keys that clients send as \"Authorization: Bearer KEY\". Of a key only its SHA-256 is kept, in the file\n" +
			"keys.jsonl of the data directory, which a running gateway reads again within a second. Keys can also be written into the\n" +
			"configuration, whose own keys are listed here too but are changed only there.",
		Example: "  headgate keys create ci --org acme --scope 'mcp:tools/*'\n  headgate keys list\n  headgate keys revoke ci",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(a.keysCreateCommand(), a.keysListCommand(), a.keysRevokeCommand())
	return cmd
}

// oneID wants the name of a key.
func oneID(cmd *cobra.Command, args []string) error {
	if err := someArgs("the name of a key")(cmd, args); err != nil {
		return err
	}
	if len(args) > 1 {
		return usage("%s takes one name, but was given %q too", cmd.CommandPath(), args[1])
	}
	if err := config.CheckKeyID(args[0]); err != nil {
		return usage("the name of a key %v", err)
	}
	return nil
}

// keyRow is a key as it is listed.
type keyRow struct {
	ID      string    `json:"id"`
	State   string    `json:"state"` // good, revoked, expired or disabled
	Org     string    `json:"org,omitempty"`
	Team    string    `json:"team,omitempty"`
	User    string    `json:"user,omitempty"`
	Scopes  []string  `json:"scopes"`
	Hash    string    `json:"hash,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
	From    string    `json:"from"` // file, with line and column for the configuration
}

// good reports whether the key lets its bearer in.
func (r keyRow) good() bool { return r.State == "good" }

// keyStore is the keys of a configuration and of its key file.
type keyStore struct {
	cfg  *config.Config
	file string
	rows []keyRow
}

// keyStore reads all keys there are.
func (a *app) keyStore(from sources) (*keyStore, error) {
	cfg, err := a.load(from)
	if err != nil {
		return nil, err
	}
	s := &keyStore{cfg: cfg, file: gateway.KeyFile(cfg.DataDir)}
	if cfg.Auth != nil {
		for _, k := range cfg.Auth.Keys {
			row := keyRow{ID: k.ID, State: "good", Org: k.Org, Team: k.Team, User: k.User, Scopes: k.Scopes, Hash: k.Hash, From: k.Position.String()}
			if k.Disabled != "" {
				row.State = "disabled"
			}
			s.rows = append(s.rows, row)
		}
	}
	records, err := auth.ReadKeys(s.file)
	if err != nil {
		return nil, unexpected(fmt.Errorf("key file: %w", err))
	}
	for _, r := range records {
		row := keyRow{
			ID: r.ID, State: "good", Org: r.Org, Team: r.Team, User: r.User, Scopes: r.Scopes, Hash: r.Hash,
			Created: r.Created, Expires: r.Expires, Revoked: r.Revoked, From: s.file,
		}
		switch {
		case !r.Revoked.IsZero():
			row.State = "revoked"
		case !r.Expires.IsZero() && time.Now().After(r.Expires):
			row.State = "expired"
		}
		s.rows = append(s.rows, row)
	}
	return s, nil
}

// live returns the key of a name that is not revoked.
func (s *keyStore) live(id string) (keyRow, bool) {
	i := slices.IndexFunc(s.rows, func(r keyRow) bool { return r.ID == id && r.State != "revoked" })
	if i < 0 {
		return keyRow{}, false
	}
	return s.rows[i], true
}

func (a *app) keysListCommand() *cobra.Command {
	var from sources
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the API keys", Args: noArgs,
		Long: "List the keys of the configuration and of the data directory: who their bearers are and what they are good for. The keys themselves\n" +
			"cannot be shown: nobody has them but their bearers.",
		Example: "  headgate keys list\n  headgate keys list --all -o json",
		RunE: func(*cobra.Command, []string) error {
			s, err := a.keyStore(from)
			if err != nil {
				return err
			}
			return a.listKeys(s, all)
		},
	}
	from.register(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "list those that are revoked or expired too")
	a.outputFlag(cmd)
	return cmd
}

func (a *app) listKeys(s *keyStore, all bool) error {
	rows := make([]keyRow, 0, len(s.rows))
	for _, r := range s.rows {
		if r.Scopes == nil {
			r.Scopes = []string{}
		}
		if all || r.good() || r.State == "disabled" {
			rows = append(rows, r)
		}
	}
	if a.output == asJSON {
		return a.printJSON(map[string]any{"keys": rows})
	}
	var cells [][]string
	for _, r := range rows {
		cells = append(cells, []string{
			r.ID, r.State, dash(r.Org), dash(r.Team), dash(r.User), dash(strings.Join(r.Scopes, ",")), day(r.Created), day(r.Expires), r.From,
		})
	}
	return a.printTable([]string{"ID", "STATE", "ORG", "TEAM", "USER", "SCOPES", "CREATED", "EXPIRES", "FROM"}, cells)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateOnly)
}

func (a *app) keysRevokeCommand() *cobra.Command {
	var from sources
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "Revoke an API key", Args: oneID,
		Long: "Revoke a key that \"headgate keys create\" made. A running gateway refuses it within a second, and ends the streams that were opened\n" +
			"with it at their next heartbeat. A key that the configuration has is revoked there, by removing it.",
		Example: "  headgate keys revoke ci\n  headgate keys revoke ci -c headgate.yaml -o json",
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := a.keyStore(from)
			if err != nil {
				return err
			}
			return a.revokeKey(s, args[0])
		},
	}
	from.register(cmd)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) revokeKey(s *keyStore, id string) error {
	row, ok := s.live(id)
	switch {
	case !ok:
		return &failure{exit: exitUnexpected, Code: "key_unknown", Message: fmt.Sprintf("there is no key %q", id), Hint: invocation() + " keys list --all"}
	case row.From != s.file:
		return &failure{
			exit: exitUnexpected, Code: "key_configured", Message: fmt.Sprintf("key %q is written in the configuration, at %s", id, row.From),
			Hint: "remove it there and restart the gateway",
		}
	}
	now := time.Now().UTC().Truncate(time.Second)
	if err := auth.AppendKey(s.file, auth.KeyRecord{ID: id, Revoked: now}); err != nil {
		return unexpected(fmt.Errorf("key file: %w", err))
	}
	if a.output == asJSON {
		row.State, row.Revoked = "revoked", now
		return a.printJSON(row)
	}
	fmt.Fprintf(a.err, "key %s is revoked\n", id)
	return nil
}
