// Package model is the gateway's client of servers that run models: a [Backend] takes an invocation and gives a reply,
// whatever the server speaks.
//
// An invocation is a call of the inference dialect. What its client wrote passes as it is, but for the few members that have
// another name or place at the server; of what the server answers, whatever the dialect has no name for is kept under its own. A
// streamed answer is a reply of chunks, read from the connection by whoever pulls: a client that is slow holds back
// the model, and one that leaves closes the connection.
//
// The tokens of an attempt are counted here, before anybody gets what they are in: by what the server says of them where it does,
// else by an estimate that says so.
//
// What it is not: adapters choose no backend and repeat no call. Deadlines, queues and retries are in front of them.
package model
