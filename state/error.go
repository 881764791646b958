package state

import "errors"

// ErrUnavailable is in the chain of the error of an operation that the engine could
// not do, now or in time, such as when its disk is full. Nothing was changed that the
// caller has to undo. It may work later.
var ErrUnavailable = errors.New("state: the engine cannot do this now")
