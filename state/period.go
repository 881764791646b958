package state

import "time"

// Period is a window of the calendar.
type Period uint8

// Weeks begin on Monday (ISO 8601).
const (
	Minute Period = 1 + iota
	Hour
	Day
	Week
	Month
)

// Window returns when the limit's period that t is in begins and when the next one
// does. The limit is a Calendar one.
func (l *Limit) Window(t time.Time) (start, end time.Time) {
	t = t.In(l.zone())
	switch l.Period {
	case Minute:
		return clockWindow(t, time.Minute)
	case Hour:
		return clockWindow(t, time.Hour)
	}
	// A day may begin twice, or not at all, where clocks are put back or forward at
	// midnight: the window of t may be the one beside that of its date.
	for n := -1; ; n++ {
		if end = l.begin(t, n+1); t.Before(end) {
			return l.begin(t, n), end
		}
	}
}

// begin returns when the period n after that of t begins.
func (l *Limit) begin(t time.Time, n int) time.Time {
	year, month, day := t.Date()
	switch l.Period {
	case Week:
		day += 7*n - (int(t.Weekday())+6)%7
	case Month:
		month, day = month+time.Month(n), 1
	default:
		day += n
	}
	start := time.Date(year, month, day, 0, 0, 0, 0, t.Location())
	if start.Day() == time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Day() {
		return start
	}
	_, gap := start.ZoneBounds() // there is no such midnight; the day begins where clocks are put forward
	return gap
}

// clockWindow cuts t by the face of the clock, which in some zones is not that of UTC
// by whole hours.
func clockWindow(t time.Time, length time.Duration) (start, end time.Time) {
	_, offset := t.Zone()
	shift := time.Duration(offset) * time.Second
	start = t.Add(shift).Truncate(length).Add(-shift)
	return start, start.Add(length)
}
