package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Bounds of a part of a list.
const (
	usualPart = 100
	maxPart   = 1000
)

// Part is a part of a list.
type Part[T any] struct {
	Total  int `json:"total"` // of the whole list
	Offset int `json:"offset"`
	Items  []T `json:"items"`
}

// span is which part of a list somebody wants.
type span struct{ offset, limit int }

// spanOf reads the query of a request for a part of a list: limit and offset.
func spanOf(query string) (span, error) {
	out := span{limit: usualPart}
	values, err := url.ParseQuery(query)
	if err != nil {
		return out, errors.New("the query cannot be read")
	}
	for name, given := range values {
		to, least, most := &out.offset, 0, 1<<30
		switch name {
		case "offset":
		case "limit":
			to, least, most = &out.limit, 1, maxPart
		default:
			return out, errors.New("the query may have limit and offset, and nothing else")
		}
		n, err := strconv.Atoi(given[0])
		if err != nil || n < least || n > most || len(given) > 1 {
			return out, fmt.Errorf("%s must be one number from %d to %d", name, least, most)
		}
		*to = n
	}
	return out, nil
}

// part cuts a part out of a list.
func part[T any](all []T, s span) Part[T] {
	from := min(s.offset, len(all))
	return Part[T]{Total: len(all), Offset: s.offset, Items: append([]T{}, all[from:min(from+s.limit, len(all))]...)}
}

// listing answers with the part of a list that a request wants.
func listing[T any](list func() []T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := spanOf(r.URL.RawQuery)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		respond(w, http.StatusOK, part(list(), s))
	}
}
