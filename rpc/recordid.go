package rpc

import "crypto/rand"

// recordID is how long a Record's ID is: 80 bits. What is longer looks like a secret, and is left out of logs.
const recordID = 16

// NewRecordID returns a name for a call, good for finding it in the log.
func NewRecordID() string { return rand.Text()[:recordID] }
