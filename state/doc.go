// Package state says what the gateway remembers beyond a call, as interfaces of
// operations, one for each need: [Quota], [Jobs], [Cache], [Bus], [Logs], [Sessions]
// and [Clock]. An engine, such as the one in state/embedded, implements them; nothing
// above knows which one runs.
//
// An operation is what has to happen at once: one transition under a lock where the
// engine is in the process, one script where it is elsewhere. Time is the engine's;
// callers hand in durations, and no clock but the engine's decides anything.
//
// What an engine has acknowledged it knows after a crash, unless the operation says
// otherwise. Engines are bounded: they forget what has expired and, where there is
// too much of it, what matters least. Package statetest holds the suite that each
// engine passes.
package state
