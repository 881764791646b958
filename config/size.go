package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. Its text form is a whole number with an optional unit: B, KiB, MiB or GiB.
type Size int64

// The units of a Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

// units lists the units, largest first, so that the first one that divides a Size is the one to print.
var units = []struct {
	name  string
	bytes Size
}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"B", 1}}

// ParseSize reads the text form of a Size. A number without unit is bytes; negative and fractional sizes are refused.
func ParseSize(text string) (Size, error) {
	digits := strings.TrimRight(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	count, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, errors.New("is not a size such as 4MiB")
	}
	unit := text[len(digits):]
	if unit == "" {
		unit = "B"
	}
	for _, u := range units {
		if u.name != unit {
			continue
		}
		if count > math.MaxInt64/uint64(u.bytes) {
			return 0, errors.New("is larger than any memory")
		}
		return Size(count) * u.bytes, nil
	}
	return 0, fmt.Errorf("has the unknown unit %q; units are KiB, MiB and GiB", unit)
}

// String returns the shortest exact text form, such as 4MiB.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return "0B"
}

// MarshalText returns the text form.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
