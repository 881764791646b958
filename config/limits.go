package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limit says how much some calls may take: a rate, which is requests per time with bursts, or a budget, which is reserved before a call and
// settled after it. It holds for each organisation, team, key, user or address of its own.
type Limit struct {
	// Position is where the entry is.
	Position Position `yaml:"-"`

	// What the limit is called, in refusals, in headers and in the log.
	Name string `yaml:"name" check:"limit name"`
	// Whose calls are counted together. A call without such a part of a principal is not concerned.
	Scope string `yaml:"scope" enum:"org,team,key,user,ip"`
	// What is counted. Tokens are those that calls take of models, as is usd without a cost, by the price of the model; bytes are those of requests and of answers.
	Unit string `yaml:"unit" enum:"requests,tokens,usd,bytes,in_flight"`

	// Which methods are concerned; a glob, such as tools/*. Left out, all.
	Method string `yaml:"method" check:"filled"`
	// Which tools are, by canonical name (UPSTREAM__name); a glob.
	Tool string `yaml:"tool" check:"filled"`
	// Which models are, by the names that they have behind aliases; a glob.
	Model string `yaml:"model" check:"filled"`
	// The calls of which upstream are; a glob. Calls of models have none.
	Upstream string `yaml:"upstream" check:"filled"`

	// Of a rate: how many requests in how much time, such as 20/s, 300/m or 1000/h.
	Rate Rate `yaml:"rate"`
	// Of a rate: how many requests at once. Left out, as many as the rate has in its time.
	Burst int `yaml:"burst" min:"0" max:"1000000000"`
	// Of a budget: how much, in the unit.
	Limit Amount `yaml:"limit" min:"0" max:"9000000000000"`
	// Of a budget: minute, hour, day, week or month of the calendar, or the last so much time, such as 90m. Slots in flight have none.
	Per string `yaml:"per" check:"window"`
	// Of a budget: the zone of its calendar, such as Europe/Zurich. Left out, UTC.
	Zone string `yaml:"zone" check:"zone"`
	// What one call costs in requests, slots or usd. Left out, 1 request or slot, and in usd what it takes of a model.
	Cost Amount `yaml:"cost" min:"0" max:"9000000000000"`

	// How much of the budget may be used before the log warns of it.
	WarnAt Percent `yaml:"warn_at" min:"0%" max:"100%"`
	// What happens beyond the limit: enforce refuses the call; warn lets it pass with a line in the log; shadow only counts it.
	Mode string `yaml:"mode" enum:"enforce,warn,shadow"`
}

// Rate is a number of requests per time.
type Rate struct {
	Count int
	Per   time.Duration
}

// ParseRate reads N/s, N/m, N/h or N/d.
func ParseRate(text string) (Rate, error) {
	count, unit, _ := strings.Cut(text, "/")
	per, ok := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[unit]
	n, err := strconv.Atoi(count)
	if err != nil || !ok || n < 1 || n > 1_000_000_000 {
		return Rate{}, errors.New("must be a rate such as 20/s, 300/m, 1000/h or 5000/d")
	}
	return Rate{n, per}, nil
}

// Amount is a decimal number with up to six places, in millionths.
type Amount int64

// Millionths are in one.
const Millionths = 1_000_000

// ParseAmount reads the text form of an Amount.
func ParseAmount(text string) (Amount, error) {
	whole, fraction, dotted := strings.Cut(text, ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || dotted && fraction == "" || len(fraction) > 6 || n > (1<<63-1)/Millionths-1 {
		return 0, errors.New("must be a number with at most six decimal places")
	}
	f, err := strconv.ParseUint(fraction+strings.Repeat("0", 6-len(fraction)), 10, 63)
	if err != nil {
		return 0, errors.New("must be a number with at most six decimal places")
	}
	return Amount(n*Millionths + f), nil
}

// Percent is a share, in hundredths.
type Percent int

// ParsePercent reads a whole number with a percent sign.
func ParsePercent(text string) (Percent, error) {
	n, err := strconv.ParseUint(strings.TrimSuffix(text, "%"), 10, 31)
	if err != nil || !strings.HasSuffix(text, "%") {
		return 0, errors.New("must be a share such as 80%")
	}
	return Percent(n), nil
}

// calendarWindows are the words of per.
var calendarWindows = []string{"minute", "hour", "day", "week", "month"}

// checkWindow allows a word of the calendar, or a duration.
func checkWindow(s string) error {
	if slices.Contains(calendarWindows, s) {
		return nil
	}
	if d, err := time.ParseDuration(s); err != nil || d < time.Second || d > 366*24*time.Hour {
		return fmt.Errorf("must be %s, or a duration of a second to a year", strings.Join(calendarWindows, ", "))
	}
	return nil
}

// checkZone allows names of the time zone database.
func checkZone(s string) error {
	if _, err := time.LoadLocation(s); err != nil || s == "" || s == "Local" {
		return errors.New("must be a time zone such as Europe/Zurich")
	}
	return nil
}

// checkLimitName allows what stands in a header without escapes (RFC 8941, Strings).
func checkLimitName(s string) error {
	for i := range len(s) {
		if !isNameByte(s[i], false) && s[i] != '-' && s[i] != '.' {
			return errors.New(`must be letters, digits, "-", "_" and "."`)
		}
	}
	if s == "" || len(s) > 2*maxName {
		return fmt.Errorf("must have 1 to %d characters", 2*maxName)
	}
	return nil
}

// validateLimits checks that each limit is a rate or a budget, and has its name to itself.
func (d *decoder) validateLimits(n *node, limits []Limit) {
	items := elements(n)
	names := map[string]Position{}
	for i := range limits {
		l, path := &limits[i], fmt.Sprintf("limits[%d]", i)
		d.validateLimit(items[i], l, path)
		if first, ok := names[l.Name]; ok && l.Name != "" {
			d.fail(l.Position, join(path, "name"), fmt.Sprintf("the limit %q stands a second time", l.Name), "choose another name; the first is at "+first.String())
		}
		names[l.Name] = l.Position
	}
}

// validateLimit checks which keys go together.
func (d *decoder) validateLimit(n *node, l *Limit, path string) {
	rate, budget := n.first("rate") != nil, n.first("limit") != nil
	for _, key := range []string{"name", "scope", "unit"} {
		if n.first(key) == nil {
			d.fail(l.Position, join(path, key), "a limit needs "+key, "add "+key+": …")
		}
	}
	switch {
	case rate == budget:
		d.fail(l.Position, path, "a limit is either rate: N/s or limit: N", "keep one of them")
	case rate:
		d.misplaced(n, []string{"per", "zone", "warn_at"}, path, "limit")
		if l.Unit != "requests" {
			d.fail(firstOf(n, n.first("unit")), join(path, "unit"), "a rate counts requests", "write unit: requests, or limit: and per: instead of rate:")
		}
		if l.Burst == 0 {
			l.Burst = l.Rate.Count
		}
	case l.Unit == "in_flight":
		d.misplaced(n, []string{"per", "zone", "burst"}, path, "another unit")
	case n.first("per") == nil:
		d.fail(l.Position, join(path, "per"), "a budget needs the time it is for", "add per: day")
	default:
		d.misplaced(n, []string{"burst"}, path, "rate")
	}
	d.wholeAmounts(n, l, path)
	if n.first("cost") == nil && (l.Unit == "requests" || l.Unit == "in_flight") {
		l.Cost = Millionths
	}
}

// wholeAmounts refuses fractions of what has none.
func (d *decoder) wholeAmounts(n *node, l *Limit, path string) {
	if l.Unit == "usd" {
		return
	}
	for key, amount := range map[string]Amount{"limit": l.Limit, "cost": l.Cost} {
		if amount%Millionths != 0 {
			d.fail(n.first(key).at, join(path, key), fmt.Sprintf("%s must be a whole number of %s", key, l.Unit), "")
		}
	}
	if (l.Unit == "tokens" || l.Unit == "bytes") && n.first("cost") != nil {
		d.fail(n.first("cost").at, join(path, "cost"), l.Unit+" are counted, not priced", "remove cost")
	}
}
