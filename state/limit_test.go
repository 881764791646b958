package state

import (
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"
)

func TestLimitsAreValidated(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		limit Limit
		good  bool
	}{
		"rate":               {Limit{Kind: Rate, Max: 40, Refill: 20, Per: time.Second}, true},
		"rate of nothing":    {Limit{Kind: Rate, Max: 40, Per: time.Second}, false},
		"rate in no time":    {Limit{Kind: Rate, Max: 40, Refill: 20}, false},
		"durable rate":       {Limit{Kind: Rate, Max: 40, Refill: 20, Per: time.Second, Durable: true}, false},
		"calendar":           {Limit{Kind: Calendar, Max: 1, Period: Month, Durable: true}, true},
		"nothing allowed":    {Limit{Kind: Calendar, Period: Day}, true},
		"below nothing":      {Limit{Kind: Calendar, Max: -1, Period: Day}, false},
		"no period":          {Limit{Kind: Calendar, Max: 1}, false},
		"no such period":     {Limit{Kind: Calendar, Max: 1, Period: Month + 1}, false},
		"rolling":            {Limit{Kind: Rolling, Max: 1, Per: time.Hour, Durable: true}, true},
		"rolling in no time": {Limit{Kind: Rolling, Max: 1, Per: time.Millisecond}, false},
		"slots":              {Limit{Kind: InFlight, Max: 4}, true},
		"durable slots":      {Limit{Kind: InFlight, Max: 4, Durable: true}, false},
		"no kind":            {Limit{Max: 4}, false},
		"no such kind":       {Limit{Kind: InFlight + 1, Max: 4}, false},
	}
	for name, test := range tests {
		if err := test.limit.Validate(); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		period         Period
		zone           string
		at, start, end string
	}{
		"minute":                     {Minute, "UTC", "2026-11-22T18:05:59Z", "2026-11-22T18:05:00Z", "2026-11-22T18:06:00Z"},
		"hour, half an hour off":     {Hour, "Asia/Kolkata", "2026-11-22T18:15:00Z", "2026-11-22T17:30:00Z", "2026-11-22T18:30:00Z"},
		"day":                        {Day, "UTC", "2026-12-31T23:59:59Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
		"its first moment":           {Day, "UTC", "2026-12-31T00:00:00Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
		"day of another zone":        {Day, "Asia/Tokyo", "2026-12-31T15:00:00Z", "2026-12-31T15:00:00Z", "2027-01-01T15:00:00Z"},
		"day of 23 hours":            {Day, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		"day of 25 hours":            {Day, "Europe/Berlin", "2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		"week begins on Monday":      {Week, "UTC", "2026-11-22T18:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"},
		"month":                      {Month, "UTC", "2028-02-29T23:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		"month ends the year":        {Month, "UTC", "2026-12-05T00:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		"day that has no midnight":   {Day, "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		"day before such a day":      {Day, "America/Sao_Paulo", "2018-11-04T02:59:59Z", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"},
		"day before one left out":    {Day, "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		"day after one left out":     {Day, "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},
		"no zone is UTC, not a host": {Day, "", "2026-12-31T23:59:59Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
	}
	for name, test := range tests {
		limit := Limit{Kind: Calendar, Period: test.period}
		if test.zone != "" {
			limit.Zone = zoneOf(t, test.zone)
		}
		start, end := limit.Window(timeOf(t, test.at))
		if !start.Equal(timeOf(t, test.start)) || !end.Equal(timeOf(t, test.end)) {
			t.Errorf("%s: from %v to %v, want from %s to %s", name, start.UTC(), end.UTC(), test.start, test.end)
		}
	}
}

// Whatever the zone does to its clocks, each moment is in one window, and where one
// ends the next begins.
func TestWindowsLeaveNoGap(t *testing.T) {
	t.Parallel()
	zones := []*time.Location{nil}
	for _, name := range []string{
		"Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Beirut", "Africa/Cairo",
		"America/St_Johns", "Asia/Kathmandu", "Antarctica/Troll", "America/Havana", "Africa/Monrovia", "Asia/Tehran",
	} {
		zones = append(zones, zoneOf(t, name))
	}
	from, to := timeOf(t, "1970-01-02T00:00:00Z").Unix(), timeOf(t, "2037-12-31T00:00:00Z").Unix()
	rapid.Check(t, func(t *rapid.T) {
		limit := Limit{
			Kind:   Calendar,
			Period: Period(rapid.IntRange(int(Minute), int(Month)).Draw(t, "period")),
			Zone:   rapid.SampledFrom(zones).Draw(t, "zone"),
		}
		at := time.Unix(rapid.Int64Range(from, to).Draw(t, "at"), 0)
		start, end := limit.Window(at)
		if at.Before(start) || !at.Before(end) {
			t.Fatalf("%v is not from %v to %v", at.UTC(), start.UTC(), end.UTC())
		}
		if again, same := limit.Window(end.Add(-time.Nanosecond)); !again.Equal(start) || !same.Equal(end) {
			t.Fatalf("at its end, the window of %v is from %v to %v", at.UTC(), again.UTC(), same.UTC())
		}
		if next, _ := limit.Window(end); !next.Equal(end) {
			t.Fatalf("after %v the next begins at %v", end.UTC(), next.UTC())
		}
	})
}

func TestSameWindow(t *testing.T) {
	t.Parallel()
	day := Limit{Kind: Calendar, Max: 1, Period: Day}
	tests := map[string]struct {
		a, b Limit
		same bool
	}{
		"another budget":  {day, Limit{Kind: Calendar, Max: 2, Period: Day, Durable: true}, true},
		"UTC is no zone":  {day, Limit{Kind: Calendar, Max: 1, Period: Day, Zone: time.UTC}, true},
		"zones by name":   {Limit{Kind: Calendar, Period: Day, Zone: zoneOf(t, "Asia/Tokyo")}, Limit{Kind: Calendar, Period: Day, Zone: zoneOf(t, "Asia/Tokyo")}, true},
		"another zone":    {day, Limit{Kind: Calendar, Max: 1, Period: Day, Zone: zoneOf(t, "Asia/Tokyo")}, false},
		"another period":  {day, Limit{Kind: Calendar, Max: 1, Period: Month}, false},
		"another kind":    {day, Limit{Kind: InFlight, Max: 1}, false},
		"another length":  {Limit{Kind: Rolling, Per: time.Hour}, Limit{Kind: Rolling, Per: time.Minute}, false},
		"a faster rate":   {Limit{Kind: Rate, Refill: 1, Per: time.Second}, Limit{Kind: Rate, Refill: 9, Per: time.Second}, true},
		"slots are slots": {Limit{Kind: InFlight, Max: 1}, Limit{Kind: InFlight, Max: 3}, true},
	}
	for name, test := range tests {
		if got := test.a.SameWindow(&test.b); got != test.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func zoneOf(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func timeOf(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
