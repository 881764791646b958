// Package session holds the sessions of legacy clients: what initialize agreed, the
// calls in flight, the questions that wait for an answer, and the GET streams.
//
// A session id is sealed: it carries the session's key, who opened it, where, when
// and with which revision and capabilities. Opening one stores nothing, and whoever
// has the sealing keys can resume it, so an id outlives a restart of the process.
// Live state exists from the first use of an id until the session ends or has been
// idle for too long. That a session was ended, its last use, the level of its log and
// what it has subscribed to are in a store, so that a later process knows them too. An
// id authenticates nobody: the principal of every call is compared with the one that
// opened the session.
//
// The package knows no HTTP. Package edge resumes sessions and registers calls;
// [Registry.Handle] answers the rows of the method table whose destination is the
// holder of the session; [Registry.Guard] belongs behind authentication.
package session
