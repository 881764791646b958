package model

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
)

// What a client allows for is no measure of what was made: it may allow for more than all budgets have together, and need not have paid for it.
func TestALostAnswerIsNoLongerThanThereWasTime(t *testing.T) {
	t.Parallel()
	for params, most := range map[string]int64{
		`{"model":"m","prompt":"a","max_tokens":7}`:                                            7,
		`{"model":"m","prompt":"a","stream":true,"max_completion_tokens":1099511627776}`:       5000,
		`{"model":"m","prompt":"a","max_tokens":5,"options":{"num_predict":1099511627776}}`:    5,
		`{"model":"m","prompt":"a","options":{"num_predict":6}}`:                               6,
		`{"model":"m","prompt":"a","stream":true,"max_tokens":1099511627776,"n":2}`:            10000,
		`{"model":"m","prompt":"a","stream":true,"max_tokens":5,"max_completion_tokens":6000}`: 5000,
	} {
		synctest.Test(t, func(t *testing.T) {
			o, err := rpc.ReadObject([]byte(params))
			if err != nil {
				t.Fatal(err)
			}
			v := invocation{params: o}
			v.limit, v.answers = v.most()
			r := &rpc.Record{}
			var lost tally
			lost.begin(r.Try(rpc.Hop{}), 1, v.limit, v.answers)
			time.Sleep(2 * time.Second)
			lost.lose()
			if got := r.Usage().Output; got < min(most, 1000) || got > most {
				t.Errorf("%s: %d tokens are counted, at most %d were made", params, got, most)
			}
		})
	}
}
