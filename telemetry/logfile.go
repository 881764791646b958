package telemetry

import (
	"fmt"
	"os"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

// LogFile is a file that a new one takes the place of each day.
type LogFile struct {
	Path string
	Keep int // how many older files stay; 0 for all
	// Now is the clock; nil means the system's.
	Now func() time.Time
}

// wholeDay is a size, in MiB, that no file reaches: files change with the day.
const wholeDay = 1 << 24

// dailyFile adds to a file, and begins a new one with the first line of a day. The old one stays beside it, with the time in
// its name. It is used by one goroutine at a time.
type dailyFile struct {
	file *lumberjack.Logger
	now  func() time.Time
	day  string // of what is in the file
}

// openDaily opens a file. The error is why nothing can be added to it. What removes older files has a goroutine, which lasts as long
// as the process.
func openDaily(c LogFile) (*dailyFile, error) {
	d := &dailyFile{file: &lumberjack.Logger{Filename: c.Path, MaxBackups: c.Keep, MaxSize: wholeDay, LocalTime: true}, now: c.Now}
	if d.now == nil {
		d.now = time.Now
	}
	f, err := os.OpenFile(c.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	if d.day = dayOf(d.now()); info.Size() > 0 {
		d.day = dayOf(info.ModTime())
	}
	return d, nil
}

func dayOf(t time.Time) string { return t.Local().Format(time.DateOnly) }

// Write adds lines, in a new file if the day has changed. A file that cannot be replaced is added to.
func (d *dailyFile) Write(lines []byte) (int, error) {
	if today := dayOf(d.now()); today != d.day {
		d.day = today
		_ = d.file.Rotate() // what stands in its way does so in Write's too, or is of no harm to it
	}
	return d.file.Write(lines)
}

// Close closes the file.
func (d *dailyFile) Close() error { return d.file.Close() }
