// Package job does what clients submit to have it done later: it answers invoke_async, and status and cancel of jobs,
// and its workers run what was submitted, in the name of who submitted it.
//
// A job is on disk before its id is told to anybody. From then on it is begun at least once, and exactly one result of
// it is ever seen, whatever happens to the process: a job is the worker's that has its fence, and a worker that is not
// heard of loses it to another one. What runs is an ordinary call that enters the chain of policies behind
// authentication: it pays budgets, and what it used is paid for even where nobody wants its result any more.
//
// The package knows no engine and no model: jobs are kept by a [state.Jobs] and run by the [rpc.Handler] it was given.
package job
